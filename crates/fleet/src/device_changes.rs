//! What operators change about a device, with its event.

use otter_protocol::admin::DevicePatch;
use otter_protocol::device::{DeviceState, Pairs};
use otter_protocol::{AttemptState, DeviceId, GroupName, ProblemCode, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{DatabaseTransaction, EntityTrait};
use serde_json::{Map, Value, json};

use crate::actor::Actor;
use crate::attempts::{count_end, open_attempt};
use crate::audit::{self, Happening};
use crate::database::locked;
use crate::devices::pairs_of;
use crate::entity::{attempt, device};
use crate::error::{Error, Result};
use crate::groups::check_group;
use crate::text::check_text;

/// Most labels of a device, and most bytes of a key and of a value.
const MAX_LABELS: (usize, usize, usize) = (64, 64, 256);
/// Most bytes of an operator's reason to hold a device.
pub(crate) const MAX_HOLD: usize = 500;

/// Reads a device to change it.
pub(crate) async fn locked_device(
    tx: &DatabaseTransaction,
    id: &DeviceId,
) -> Result<device::Model> {
    let row = locked(tx, device::Entity::find_by_id(id.as_str()))
        .one(tx)
        .await?;
    row.ok_or_else(|| Error::not_found(format!("device `{id}`")))
}

/// Returns the row that a patch makes; `None` where it changes nothing.
pub(crate) async fn patched(
    tx: &DatabaseTransaction,
    before: &device::Model,
    patch: &DevicePatch,
    now: Timestamp,
) -> Result<Option<device::ActiveModel>> {
    let mut row = device::ActiveModel {
        id: Set(before.id.clone()),
        updated_at: Set(now.0),
        ..Default::default()
    };
    let mut is_changed = false;
    if let Some(labels) = &patch.labels {
        check_labels(labels)?;
        if *labels != pairs_of(before)? {
            let text =
                serde_json::to_string(labels).map_err(|error| Error::Corrupt(error.to_string()))?;
            (row.labels, is_changed) = (Set(text), true);
        }
    }
    if let Some(group) = &patch.group {
        let group = (!group.is_empty())
            .then(|| GroupName::new(group))
            .transpose();
        let group = group.map_err(|error| Error::invalid("group", error.to_string()))?;
        if let Some(group) = &group {
            check_group(tx, "group", group).await?;
        }
        let group = group.map(String::from);
        if group != before.group_name {
            (row.group_name, is_changed) = (Set(group), true);
        }
    }
    if let Some(hold) = &patch.hold {
        check_text("hold", hold, MAX_HOLD)?;
        let hold = Some(hold.trim())
            .filter(|hold| !hold.is_empty())
            .map(str::to_owned);
        if hold != before.hold {
            (row.hold, is_changed) = (Set(hold), true);
        }
    }
    Ok(is_changed.then_some(row))
}

/// Checks labels that an operator gives.
pub(crate) fn check_labels(labels: &Pairs) -> Result<()> {
    let (most, key_bytes, value_bytes) = MAX_LABELS;
    if labels.len() > most {
        return Err(Error::invalid(
            "labels",
            format!(
                "A device may have at most {most} labels, not {}.",
                labels.len()
            ),
        ));
    }
    for (key, value) in labels {
        let field = format!("labels.{key}");
        let is_printable = !key.chars().chain(value.chars()).any(char::is_control);
        if key.trim().is_empty() || key.trim() != key || !is_printable {
            return Err(Error::invalid(
                field,
                "A label's key must not be empty, and neither part may hold control characters.",
            ));
        }
        check_text(&field, key, key_bytes)?;
        check_text(&field, value, value_bytes)?;
    }
    Ok(())
}

/// Records what a patch changed, and only that.
pub(crate) async fn record_patch(
    tx: &DatabaseTransaction,
    actor: &Actor,
    before: &device::Model,
    after: &device::Model,
    now: Timestamp,
) -> Result<()> {
    let (mut was, mut is) = (Map::new(), Map::new());
    let mut note = |key: &str, old: Value, new: Value| {
        if old != new {
            was.insert(key.to_owned(), old);
            is.insert(key.to_owned(), new);
        }
    };
    note("labels", json!(pairs_of(before)?), json!(pairs_of(after)?));
    note("group", json!(before.group_name), json!(after.group_name));
    note("hold", json!(before.hold), json!(after.hold));
    let happening = Happening::new(actor, "device.patch", "device", &before.id);
    audit::record(tx, now, happening.before(was).after(is)).await
}

/// Moves a device to another state; `None` where it is there already, else the attempt that this ended.
pub(crate) async fn set_state(
    tx: &DatabaseTransaction,
    actor: &Actor,
    before: &device::Model,
    to: DeviceState,
    reason: &str,
    now: Timestamp,
) -> Result<Option<Option<attempt::Model>>> {
    let from = DeviceState::named(&before.state)
        .ok_or_else(|| Error::Corrupt(format!("the state of device {}", before.id)))?;
    let action = match (from, to) {
        _ if from == to => return Ok(None),
        (DeviceState::Pending | DeviceState::Accepted, DeviceState::Revoked) => "device.revoke",
        (_, DeviceState::Decommissioned) => "device.decommission",
        _ => {
            let detail = format!(
                "The device `{}` is {}; it can't become {}.",
                before.id,
                from.as_str(),
                to.as_str()
            );
            return Err(Error::problem(ProblemCode::Conflict, detail));
        }
    };
    let row = device::ActiveModel {
        id: Set(before.id.clone()),
        state: Set(to.as_str().to_owned()),
        token_hash: Set(None),
        held_key: Set(None),
        held_at: Set(None),
        updated_at: Set(now.0),
        ..Default::default()
    };
    device::Entity::update(row).exec(tx).await?;
    let ended = end_attempt(tx, before, now).await?;
    let mut after = json!({ "state": to });
    if let (Some(after), false) = (after.as_object_mut(), reason.is_empty()) {
        after.insert("reason".to_owned(), json!(reason));
    }
    let happening = Happening::new(actor, action, "device", &before.id)
        .before(json!({ "state": from }))
        .after(after);
    audit::record(tx, now, happening).await?;
    Ok(Some(ended))
}

/// Ends the attempt of a device that leaves: it counts in no rate.
async fn end_attempt(
    tx: &DatabaseTransaction,
    device: &device::Model,
    now: Timestamp,
) -> Result<Option<attempt::Model>> {
    let corrupt = |error| Error::Corrupt(format!("the id of device {}: {error}", device.id));
    let id = DeviceId::new(&device.id).map_err(corrupt)?;
    let Some(open) = open_attempt(tx, &id).await? else {
        return Ok(None);
    };
    let row = attempt::ActiveModel {
        id: Set(open.id),
        state: Set(AttemptState::Cancelled.as_str().to_owned()),
        message: Set(Some("The device left the fleet.".to_owned())),
        updated_at: Set(now.0),
        finished_at: Set(Some(now.0)),
        ..Default::default()
    };
    attempt::Entity::update(row).exec(tx).await?;
    count_end(tx, &open, AttemptState::Cancelled, now).await?;
    Ok(Some(open))
}
