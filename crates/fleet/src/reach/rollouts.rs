//! The rollouts in reach: those that can come to no device out of it.

use otter_protocol::admin::{RolloutDetail, RolloutPreview, RolloutSummary};
use otter_protocol::rollout::{Audience, Rollout, RolloutSpec, Steering};
use otter_protocol::{DeviceId, Model, ProblemCode, RolloutId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::Reach;
use crate::actor::Actor;
use crate::entity::device;
use crate::error::{Error, Result};
use crate::known_device::device_of;

/// Devices in one question to the database.
const BATCH: usize = 500;

impl Reach {
    /// Lists the rollouts in reach among the newest 200 of all, the newest first.
    pub async fn rollouts(&self) -> Result<Vec<RolloutSummary>> {
        let mut rollouts = Vec::new();
        for rollout in self.fleet.rollouts().await? {
            if self
                .has_rollout(&rollout.models, &rollout.rollout.spec)
                .await?
            {
                rollouts.push(rollout);
            }
        }
        Ok(rollouts)
    }

    /// Returns a rollout in reach with its failures.
    pub async fn rollout(&self, id: RolloutId) -> Result<RolloutDetail> {
        let detail = self.fleet.rollout(id).await?;
        let summary = &detail.summary;
        if self
            .has_rollout(&summary.models, &summary.rollout.spec)
            .await?
        {
            Ok(detail)
        } else {
            Err(Error::not_found(format!("rollout {id}")))
        }
    }

    /// Makes a rollout; `forbidden` where it could come to a device out of reach.
    pub async fn create_rollout(
        &self,
        actor: &Actor,
        spec: &RolloutSpec,
        is_draft: bool,
    ) -> Result<Rollout> {
        self.check_spec(spec).await?;
        self.fleet.create_rollout(actor, spec, is_draft).await
    }

    /// Writes a draft in reach anew; it must stay there.
    pub async fn update_rollout(
        &self,
        actor: &Actor,
        id: RolloutId,
        spec: &RolloutSpec,
    ) -> Result<Rollout> {
        self.check_rollout(id).await?;
        self.check_spec(spec).await?;
        self.fleet.update_rollout(actor, id, spec).await
    }

    /// Steers a rollout in reach.
    pub async fn steer_rollout(
        &self,
        actor: &Actor,
        id: RolloutId,
        steering: Steering,
        reason: &str,
    ) -> Result<Rollout> {
        self.check_rollout(id).await?;
        self.fleet.steer_rollout(actor, id, steering, reason).await
    }

    /// Foresees a rollout that isn't made; `forbidden` where it could come to a device out of reach.
    pub async fn preview_new_rollout(&self, spec: &RolloutSpec) -> Result<RolloutPreview> {
        self.check_spec(spec).await?;
        self.fleet.preview_new_rollout(spec).await
    }

    /// Foresees what a rollout in reach has yet to do.
    pub async fn preview_rollout(&self, id: RolloutId) -> Result<RolloutPreview> {
        self.check_rollout(id).await?;
        self.fleet.preview_rollout(id).await
    }

    /// Tells whether there is such a rollout, and it is in reach.
    pub(super) async fn reaches_rollout(&self, id: RolloutId) -> Result<bool> {
        match self.check_rollout(id).await {
            Ok(()) => Ok(true),
            Err(Error::Problem(problem)) if problem.code == ProblemCode::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Refuses a rollout out of reach as one that isn't there.
    async fn check_rollout(&self, id: RolloutId) -> Result<()> {
        if self.scope.is_everything() {
            return Ok(());
        }
        self.rollout(id).await.map(|_| ())
    }

    /// Refuses a rollout to make that could come to a device out of reach.
    async fn check_spec(&self, spec: &RolloutSpec) -> Result<()> {
        if self.scope.is_everything() {
            return Ok(());
        }
        let releases = self.fleet.releases().await?;
        let release = releases.iter().find(|release| release.id == spec.release);
        // One that isn't there is refused in the same words as one whose models are out of reach: it may be for any.
        let models = release.map(otter_protocol::release::Release::models);
        if self.has_rollout(&models.unwrap_or_default(), spec).await? {
            return Ok(());
        }
        let what = format!(
            "this rollout could come to others: it is for {}, and its release for {}",
            spec.audience,
            match release {
                Some(release) if self.scope.has_models(&release.models()) => "its models",
                _ => "models beyond that, or none",
            }
        );
        Err(self.beyond(&what))
    }

    /// Tells whether a rollout can come to no device out of reach: by what it says of itself, not by who fits it just now.
    pub(super) async fn has_rollout(&self, models: &[Model], spec: &RolloutSpec) -> Result<bool> {
        if self.scope.is_everything() {
            return Ok(true);
        }
        match &spec.audience {
            Audience::Devices { devices } => self.has_devices(devices).await,
            Audience::Group { group } => {
                Ok(self.scope.has_models(models) && self.scope.has_group(Some(group)))
            }
            Audience::All
            | Audience::Percent { .. }
            | Audience::Split { .. }
            | Audience::Selector { .. } => {
                Ok(self.scope.has_models(models) && self.scope.has_group(None))
            }
        }
    }

    /// Tells whether each of these is a device in reach.
    async fn has_devices(&self, ids: &[DeviceId]) -> Result<bool> {
        let bounds = self.bounds().await?;
        let ids: std::collections::BTreeSet<&str> = ids.iter().map(DeviceId::as_str).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        for batch in ids.chunks(BATCH) {
            let rows = device::Entity::find()
                .filter(device::Column::Id.is_in(batch.iter().copied()))
                .all(self.fleet.db())
                .await?;
            if rows.len() != batch.len() {
                return Ok(false);
            }
            for row in rows {
                if !bounds.has(&device_of(row)?) {
                    return Ok(false);
                }
            }
        }
        Ok(!ids.is_empty())
    }
}
