//! Named sets of devices.

use otter_protocol::admin::ChangeKind;
use otter_protocol::group::{Group, RINGS};
use otter_protocol::rollout::{Audience, PhaseScope, RolloutSpec, RolloutState};
use otter_protocol::{DeviceId, GroupName, ProblemCode};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::{device, enrollment_token, group, rollout};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::text::check_text;

impl Fleet {
    /// Lists groups by name.
    pub async fn groups(&self) -> Result<Vec<Group>> {
        let rows = group::Entity::find()
            .order_by_asc(group::Column::Name)
            .all(self.db())
            .await?;
        rows.into_iter().map(group_of).collect()
    }

    /// Makes a group, or changes the one of that name.
    pub async fn put_group(&self, actor: &Actor, group: &Group) -> Result<Group> {
        check_text("description", &group.description, 1000)?;
        if let Some(window) = &group.window {
            window
                .check()
                .map_err(|error| Error::invalid("window", error.to_string()))?;
        }
        let tx = database::begin(self.db()).await?;
        let row = locked(&tx, group::Entity::find_by_id(group.name.as_str()))
            .one(&tx)
            .await?;
        let before = row.map(group_of).transpose()?;
        if before.as_ref() == Some(group) {
            return Ok(group.clone());
        }
        write(&tx, group, self.now().0).await?;
        let mut happening = Happening::new(actor, "group.put", "group", &group.name).after(group);
        if let Some(before) = before {
            happening = happening.before(before);
        }
        audit::record(&tx, self.now(), happening).await?;
        tx.commit().await?;
        self.renew_plan().await?;
        self.changed(ChangeKind::Group, &group.name);
        Ok(group.clone())
    }

    /// Removes a group; `conflict` while a live rollout speaks of it, its members by hand are in none afterwards.
    pub async fn delete_group(&self, actor: &Actor, name: &GroupName) -> Result<()> {
        if RINGS.contains(&name.as_str()) {
            let detail = format!(
                "`{name}` is one of the rings, which stay. Take its devices out of it instead."
            );
            return Err(Error::problem(ProblemCode::Conflict, detail));
        }
        let tx = database::begin(self.db()).await?;
        let row = locked(&tx, group::Entity::find_by_id(name.as_str()))
            .one(&tx)
            .await?;
        let before = group_of(row.ok_or_else(|| Error::not_found(format!("group `{name}`")))?)?;
        refuse_while_in_use(&tx, name).await?;
        let members = take_out_members(&tx, name).await?;
        group::Entity::delete_by_id(name.as_str()).exec(&tx).await?;
        let happening = Happening::new(actor, "group.delete", "group", name).before(before);
        audit::record(&tx, self.now(), happening).await?;
        tx.commit().await?;
        for member in members.iter().filter_map(|id| DeviceId::new(id).ok()) {
            self.forget_device(&member);
        }
        self.renew_plan().await?;
        self.changed(ChangeKind::Group, name);
        Ok(())
    }

    /// Makes the rings that exist from the start, where they don't yet.
    pub(crate) async fn ensure_rings(&self) -> Result<()> {
        let known = self.groups().await?;
        for ring in RINGS {
            if known.iter().any(|group| group.name.as_str() == ring) {
                continue;
            }
            let name = GroupName::new(ring).map_err(|error| Error::Corrupt(error.to_string()))?;
            let group = Group {
                name,
                description: "A ring: devices that go at the same time.".into(),
                selector: None,
                window: None,
            };
            let tx = database::begin(self.db()).await?;
            write(&tx, &group, self.now().0).await?;
            let happening =
                Happening::new(&Actor::Engine, "group.put", "group", ring).after(&group);
            audit::record(&tx, self.now(), happening).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Refuses a group that doesn't exist, as the value of a field.
pub(crate) async fn check_group(
    db: &impl ConnectionTrait,
    field: &str,
    name: &GroupName,
) -> Result<()> {
    match group::Entity::find_by_id(name.as_str()).one(db).await? {
        Some(_) => Ok(()),
        None => Err(Error::invalid(
            field,
            format!("There is no group `{name}`; make it first."),
        )),
    }
}

async fn write(tx: &DatabaseTransaction, group: &Group, now: i64) -> Result<()> {
    let window = group.window.as_ref().map(serde_json::to_string).transpose();
    let window = window.map_err(|error| Error::Corrupt(error.to_string()))?;
    let row = group::ActiveModel {
        name: Set(group.name.to_string()),
        description: Set(group.description.clone()),
        selector: Set(group.selector.clone().map(String::from)),
        update_window: Set(window),
        created_at: Set(now),
    };
    let update = OnConflict::column(group::Column::Name)
        .update_columns([
            group::Column::Description,
            group::Column::Selector,
            group::Column::UpdateWindow,
        ])
        .to_owned();
    group::Entity::insert(row)
        .on_conflict(update)
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

async fn refuse_while_in_use(tx: &DatabaseTransaction, name: &GroupName) -> Result<()> {
    let live = RolloutState::ALL
        .into_iter()
        .filter(|state| state.is_live())
        .map(RolloutState::as_str);
    let rows = rollout::Entity::find()
        .filter(rollout::Column::State.is_in(live))
        .all(tx)
        .await?;
    for row in rows {
        let spec: RolloutSpec = serde_json::from_str(&row.spec)
            .map_err(|error| Error::Corrupt(format!("rollout {}: {error}", row.id)))?;
        let in_audience = matches!(&spec.audience, Audience::Group { group } if group == name);
        let in_phase =
            |phase: &PhaseScope| matches!(phase, PhaseScope::Group { group } if group == name);
        if in_audience
            || spec.exclude.groups.contains(name)
            || spec.phases.iter().any(|phase| in_phase(&phase.scope))
        {
            let detail = format!(
                "Rollout {} (`{}`) goes to this group; abort it first, or wait.",
                row.id, row.name
            );
            return Err(Error::problem(ProblemCode::Conflict, detail));
        }
    }
    Ok(())
}

/// Takes all members by hand out of a group, and tokens that put devices in it; returns the devices' ids.
async fn take_out_members(tx: &DatabaseTransaction, name: &GroupName) -> Result<Vec<String>> {
    let members: Vec<String> = device::Entity::find()
        .select_only()
        .column(device::Column::Id)
        .filter(device::Column::GroupName.eq(name.as_str()))
        .into_tuple()
        .all(tx)
        .await?;
    device::Entity::update_many()
        .set(device::ActiveModel {
            group_name: Set(None),
            ..Default::default()
        })
        .filter(device::Column::GroupName.eq(name.as_str()))
        .exec(tx)
        .await?;
    enrollment_token::Entity::update_many()
        .set(enrollment_token::ActiveModel {
            group_name: Set(None),
            ..Default::default()
        })
        .filter(enrollment_token::Column::GroupName.eq(name.as_str()))
        .exec(tx)
        .await?;
    Ok(members)
}

fn group_of(row: group::Model) -> Result<Group> {
    let corrupt = |error: String| Error::Corrupt(format!("group {}: {error}", row.name));
    Ok(Group {
        name: GroupName::new(&row.name).map_err(|error| corrupt(error.to_string()))?,
        selector: row
            .selector
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error| corrupt(format!("{error}")))?,
        window: row
            .update_window
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| corrupt(error.to_string()))?,
        description: row.description,
    })
}
