//! The registry, as operators see it.

use std::collections::BTreeMap;

use otter_protocol::admin::{
    AttemptDetail, AttemptSummary, ChangeKind, DeviceDetail, DeviceFilter, DevicePatch,
    DeviceSummary, HeldKey, Page,
};
use otter_protocol::clock_off::notable;
use otter_protocol::decision::Decision;
use otter_protocol::device::{Device, DeviceState, Pairs};
use otter_protocol::{AttemptState, DeviceId, Model, RolloutId, Sha256Digest, Timestamp, decide};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::actor::Actor;
use crate::database;
use crate::device_changes::{locked_device, patched, record_patch, set_state};
use crate::device_search::{self, Found};
use crate::entity::{device, rollout};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::known_device::device_of;
use crate::text::check_text;
use crate::webhooks::Notice;

/// Most attempts in a device's story.
const MAX_ATTEMPTS: u64 = 50;

impl Fleet {
    /// Lists devices by id, a page at a time; of a search those first whose id begins with what is searched for. A page may be
    /// short, and still have a next.
    pub async fn devices(&self, filter: &DeviceFilter) -> Result<Page<DeviceSummary>> {
        let limit = filter.limit.unwrap_or(50).clamp(1, 500);
        let Found { rows, next } = device_search::page(self.db(), filter, limit as usize).await?;
        self.summaries(rows, next).await
    }

    /// Completes the rows of a page.
    pub(crate) async fn summaries(
        &self,
        rows: Vec<device::Model>,
        next: Option<String>,
    ) -> Result<Page<DeviceSummary>> {
        let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
        let mut attempts = self.latest_attempts(&ids).await?;
        let summaries = rows.into_iter().map(|row| {
            let attempt = attempts.remove(&row.id);
            self.summary(row, attempt)
        });
        Ok(Page {
            items: summaries.collect::<Result<_>>()?,
            next,
        })
    }

    /// Returns a device with its story, and why it updates or doesn't.
    pub async fn device(&self, id: &DeviceId) -> Result<DeviceDetail> {
        let row = device::Entity::find_by_id(id.as_str())
            .one(self.db())
            .await?;
        let row = row.ok_or_else(|| Error::not_found(format!("device `{id}`")))?;
        let device = self.load_device(row.clone()).await?;
        let decision = decide(&device, &self.plan(), self.now());
        let attempts = self.attempts_of_device(id, MAX_ATTEMPTS).await?;
        let rollout_names = self.rollout_names(&decision, &attempts).await?;
        let newest = attempts.first().map(|attempt| attempt.summary.clone());
        let clock_off_sec = match self.inner.presence.unwritten_clock(id) {
            Some(off) => notable(off),
            None => row.clock_off_sec,
        };
        Ok(DeviceDetail {
            clock_off_sec,
            fingerprint: fingerprint_of(&row)?,
            held_key: held_key_of(&row)?,
            summary: self.summary(row, newest)?,
            metadata: device.metadata,
            conditions: device.conditions,
            dialect: device.dialect,
            bootloader_version: device.bootloader_version,
            attempts,
            decision,
            rollout_names,
        })
    }

    /// Changes labels, group or hold.
    pub async fn patch_device(
        &self,
        actor: &Actor,
        id: &DeviceId,
        patch: &DevicePatch,
    ) -> Result<DeviceSummary> {
        let tx = database::begin(self.db()).await?;
        let before = locked_device(&tx, id).await?;
        let row = patched(&tx, &before, patch, self.now()).await?;
        if let Some(row) = row {
            let after = device::Entity::update(row).exec(&tx).await?;
            record_patch(&tx, actor, &before, &after, self.now()).await?;
            tx.commit().await?;
            self.device_changed(id);
        } else {
            tx.rollback().await?;
        }
        self.device_summary(id).await
    }

    /// Ends a device's access; its token and key no longer count.
    pub async fn revoke_device(
        &self,
        actor: &Actor,
        id: &DeviceId,
        reason: &str,
    ) -> Result<DeviceSummary> {
        self.move_device(actor, id, DeviceState::Revoked, reason)
            .await
    }

    /// Ends a device's part for good; its story stays.
    pub async fn decommission_device(
        &self,
        actor: &Actor,
        id: &DeviceId,
        reason: &str,
    ) -> Result<DeviceSummary> {
        self.move_device(actor, id, DeviceState::Decommissioned, reason)
            .await
    }

    /// Returns the models that devices have said, in order.
    pub async fn models(&self) -> Result<Vec<Model>> {
        let model = |text| {
            Model::new(text).map_err(|error| Error::Corrupt(format!("a device's model: {error}")))
        };
        let mut models = device_search::models(self.db())
            .await?
            .into_iter()
            .map(model)
            .collect::<Result<Vec<_>>>()?;
        models.sort();
        Ok(models)
    }

    async fn move_device(
        &self,
        actor: &Actor,
        id: &DeviceId,
        to: DeviceState,
        reason: &str,
    ) -> Result<DeviceSummary> {
        check_text("reason", reason, 1000)?;
        let tx = database::begin(self.db()).await?;
        let before = locked_device(&tx, id).await?;
        if let Some(ended) = set_state(&tx, actor, &before, to, reason, self.now()).await? {
            let notice = ended.as_ref();
            let notice = notice.map(|row| Notice::attempt(row, AttemptState::Cancelled));
            self.announce(&tx, notice.as_slice()).await?;
            tx.commit().await?;
            self.device_changed(id);
            if let Some(ended) = ended {
                self.rollout_changed(RolloutId(ended.rollout_id)).await?;
            }
        } else {
            tx.rollback().await?;
        }
        self.device_summary(id).await
    }

    pub(crate) fn device_changed(&self, id: &DeviceId) {
        self.forget_device(id);
        self.changed(ChangeKind::Device, id);
    }

    pub(crate) async fn device_summary(&self, id: &DeviceId) -> Result<DeviceSummary> {
        let row = device::Entity::find_by_id(id.as_str())
            .one(self.db())
            .await?;
        let row = row.ok_or_else(|| Error::not_found(format!("device `{id}`")))?;
        let attempt = self
            .latest_attempts(std::slice::from_ref(&row.id))
            .await?
            .remove(&row.id);
        self.summary(row, attempt)
    }

    pub(crate) fn summary(
        &self,
        row: device::Model,
        attempt: Option<AttemptSummary>,
    ) -> Result<DeviceSummary> {
        let (enrolled_at, last_seen_at) =
            (Timestamp(row.enrolled_at), row.last_seen_at.map(Timestamp));
        let Device {
            id,
            model,
            version,
            state,
            hold,
            group,
            labels,
            ..
        } = device_of(row)?;
        // What this server saw since it last wrote is newer than what is written.
        let last_seen_at = last_seen_at.max(self.inner.presence.unwritten(&id));
        Ok(DeviceSummary {
            id,
            model,
            version,
            state,
            hold,
            group,
            labels,
            enrolled_at,
            last_seen_at,
            attempt,
        })
    }

    async fn rollout_names(
        &self,
        decision: &Decision,
        attempts: &[AttemptDetail],
    ) -> Result<BTreeMap<RolloutId, String>> {
        let considered = decision
            .considered
            .iter()
            .map(|consideration| consideration.rollout.0);
        let attempted = attempts.iter().map(|attempt| attempt.summary.rollout.0);
        let rows: Vec<(i64, String)> = rollout::Entity::find()
            .select_only()
            .columns([rollout::Column::Id, rollout::Column::Name])
            .filter(rollout::Column::Id.is_in(considered.chain(attempted)))
            .into_tuple()
            .all(self.db())
            .await?;
        Ok(rows
            .into_iter()
            .map(|(id, name)| (RolloutId(id), name))
            .collect())
    }
}

/// Returns the SHA-256 of a device's key; `None` where it was registered without one and hasn't enrolled yet.
pub(crate) fn fingerprint_of(row: &device::Model) -> Result<Option<Sha256Digest>> {
    if row.public_key.is_empty() {
        return Ok(None);
    }
    fingerprint(row, &row.public_key).map(Some)
}

/// Returns the key that came under a device's name and waits.
pub(crate) fn held_key_of(row: &device::Model) -> Result<Option<HeldKey>> {
    let (Some(key), Some(at)) = (&row.held_key, row.held_at) else {
        return Ok(None);
    };
    Ok(Some(HeldKey {
        fingerprint: fingerprint(row, key)?,
        at: Timestamp(at),
    }))
}

fn fingerprint(row: &device::Model, key: &str) -> Result<Sha256Digest> {
    let key =
        hex::decode(key).map_err(|_| Error::Corrupt(format!("a key of device {}", row.id)))?;
    Ok(Sha256Digest::of(&key))
}

/// Reads pairs as the database keeps them.
pub(crate) fn pairs_of(row: &device::Model) -> Result<Pairs> {
    serde_json::from_str(&row.labels)
        .map_err(|error| Error::Corrupt(format!("the labels of {}: {error}", row.id)))
}
