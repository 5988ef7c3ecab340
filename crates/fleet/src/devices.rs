//! The registry, as operators see it.

use std::collections::BTreeMap;

use otter_protocol::admin::{
    AttemptDetail, AttemptSummary, ChangeKind, DeviceDetail, DeviceFilter, DevicePatch,
    DeviceSummary, Page,
};
use otter_protocol::decision::Decision;
use otter_protocol::device::{Device, DeviceState, Pairs};
use otter_protocol::{DeviceId, GroupName, Model, RolloutId, Sha256Digest, Timestamp, decide};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{
    ColumnTrait, DatabaseBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use crate::actor::Actor;
use crate::database::{self, is_postgres};
use crate::device_changes::{locked_device, patched, record_patch, set_state};
use crate::entity::{device, rollout};
use crate::error::{Error, Result};
use crate::fleet::{Fleet, page};
use crate::known_device::device_of;
use crate::text::check_text;

/// Most attempts in a device's story.
const MAX_ATTEMPTS: u64 = 50;

impl Fleet {
    /// Lists devices by id, a page at a time.
    pub async fn devices(&self, filter: &DeviceFilter) -> Result<Page<DeviceSummary>> {
        let limit = u64::from(filter.limit.unwrap_or(50).clamp(1, 500));
        let query = filtered(filter, self.db().get_database_backend());
        let rows = query
            .order_by_asc(device::Column::Id)
            .limit(limit + 1)
            .all(self.db())
            .await?;
        let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
        let attempts = self.latest_attempts(&ids).await?;
        page(
            rows,
            limit,
            |row| row.id.clone(),
            |row| {
                let attempt = attempts.get(&row.id).cloned();
                self.summary(row, attempt)
            },
        )
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
        Ok(DeviceDetail {
            fingerprint: fingerprint_of(&row)?,
            summary: self.summary(row, newest)?,
            metadata: device.metadata,
            conditions: device.conditions,
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

    /// Lets a pending device take part: its next enrollment with the same key gets its token.
    pub async fn accept_device(&self, actor: &Actor, id: &DeviceId) -> Result<DeviceSummary> {
        self.move_device(actor, id, DeviceState::Accepted, "").await
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
        let models: Vec<String> = device::Entity::find()
            .select_only()
            .column(device::Column::Model)
            .distinct()
            .into_tuple()
            .all(self.db())
            .await?;
        let model = |text| {
            Model::new(text).map_err(|error| Error::Corrupt(format!("a device's model: {error}")))
        };
        let mut models = models.into_iter().map(model).collect::<Result<Vec<_>>>()?;
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
        if let Some(rollout) = set_state(&tx, actor, &before, to, reason, self.now()).await? {
            tx.commit().await?;
            self.device_changed(id);
            if let Some(rollout) = rollout {
                self.rollout_changed(rollout).await?;
            }
        } else {
            tx.rollback().await?;
        }
        self.device_summary(id).await
    }

    fn device_changed(&self, id: &DeviceId) {
        self.forget_device(id);
        self.changed(ChangeKind::Device, id);
    }

    async fn device_summary(&self, id: &DeviceId) -> Result<DeviceSummary> {
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

    fn summary(
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

fn filtered(filter: &DeviceFilter, backend: DatabaseBackend) -> Select<device::Entity> {
    let mut query = device::Entity::find();
    if let Some(search) = filter.search.as_deref().filter(|search| !search.is_empty()) {
        // A search for a part, not a pattern: no character means anything else.
        let position = if is_postgres(backend) {
            "strpos"
        } else {
            "instr"
        };
        let lower = |text: Expr| Expr::from(Func::lower(text));
        let place = Func::cust(position)
            .arg(lower(Expr::col(device::Column::Id)))
            .arg(lower(Expr::val(search)));
        query = query.filter(Expr::from(place).gt(0));
    }
    if let Some(model) = &filter.model {
        query = query.filter(device::Column::Model.eq(model.as_str()));
    }
    if let Some(version) = &filter.version {
        query = query.filter(device::Column::Version.eq(version.as_str()));
    }
    if let Some(state) = filter.state {
        query = query.filter(device::Column::State.eq(state.as_str()));
    }
    if let Some(group) = filter.group.as_ref().map(GroupName::as_str) {
        query = query.filter(device::Column::GroupName.eq(group));
    }
    if let Some(cursor) = &filter.cursor {
        query = query.filter(device::Column::Id.gt(cursor.as_str()));
    }
    query
}

fn fingerprint_of(row: &device::Model) -> Result<Sha256Digest> {
    let key = hex::decode(&row.public_key)
        .map_err(|_| Error::Corrupt(format!("the key of device {}", row.id)))?;
    Ok(Sha256Digest::of(&key))
}

/// Reads pairs as the database keeps them.
pub(crate) fn pairs_of(row: &device::Model) -> Result<Pairs> {
    serde_json::from_str(&row.labels)
        .map_err(|error| Error::Corrupt(format!("the labels of {}: {error}", row.id)))
}
