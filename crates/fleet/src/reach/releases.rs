//! The releases in reach: those that fit its models and no others. A release belongs to no group.

use otter_protocol::admin::{DeviceFilter, NewRelease, ReleaseDetail, TrustStatus};
use otter_protocol::release::Release;
use otter_protocol::{Model, ReleaseId};
use otter_trust::{SignedArtifact, VerifiedTargets};

use super::Reach;
use crate::actor::Actor;
use crate::error::{Error, Result};
use crate::list_change::ListChange;

impl Reach {
    /// Makes a draft; `forbidden` where it fits a model out of reach.
    pub async fn create_release(&self, actor: &Actor, new: &NewRelease) -> Result<Release> {
        self.check_models(new.artifacts.iter().flat_map(|artifact| &artifact.models))?;
        self.fleet.create_release(actor, new).await
    }

    /// Lists the releases in reach, the newest first.
    pub async fn releases(&self) -> Result<Vec<Release>> {
        let mut releases = self.fleet.releases().await?;
        releases.retain(|release| self.scope.has_models(&release.models()));
        Ok(releases)
    }

    /// Returns a release in reach with the devices in reach that run it, and its rollouts that are.
    pub async fn release(&self, id: ReleaseId) -> Result<ReleaseDetail> {
        let mut detail = self.fleet.release(id).await?;
        if self.scope.is_everything() {
            return Ok(detail);
        }
        let models = detail.release.models();
        if !self.scope.has_models(&models) {
            return Err(Error::not_found(format!("release {id}")));
        }
        let mut rollouts = Vec::new();
        for rollout in detail.rollouts {
            if self.has_rollout(&models, &rollout.rollout.spec).await? {
                rollouts.push(rollout);
            }
        }
        detail.rollouts = rollouts;
        if !self.scope.groups.is_empty() {
            detail.devices_on_it = 0;
            for model in models {
                let on_it = DeviceFilter {
                    model: Some(model),
                    version: Some(detail.release.version.clone()),
                    ..DeviceFilter::default()
                };
                detail.devices_on_it += self.count(on_it).await?;
            }
        }
        Ok(detail)
    }

    /// Takes a release in reach back; `forbidden` where groups out of reach may have it.
    pub async fn withdraw_release(
        &self,
        actor: &Actor,
        id: ReleaseId,
        reason: &str,
    ) -> Result<Release> {
        if !self.scope.is_everything() {
            let found = self.releases().await?;
            if !found.iter().any(|release| release.id == id) {
                return Err(Error::not_found(format!("release {id}")));
            }
            if !self.scope.groups.is_empty() {
                return Err(self.beyond("a release is taken back from devices of every group"));
            }
        }
        self.fleet.withdraw_release(actor, id, reason).await
    }

    /// Takes signed targets; `forbidden` where they say anything new of what is out of reach.
    pub async fn put_targets(&self, actor: &Actor, bytes: &[u8]) -> Result<TrustStatus> {
        let check = |change: &ListChange| self.check_list(change);
        self.fleet.put_targets_if(actor, bytes, check).await
    }

    fn check_list(&self, change: &ListChange) -> Result<()> {
        if !self.scope.is_everything() && change.changes_delegations() {
            return Err(self.beyond("this list changes who signs for which models"));
        }
        self.check_targets(change.old.as_ref(), &change.new)
    }

    fn check_targets(&self, old: Option<&VerifiedTargets>, new: &VerifiedTargets) -> Result<()> {
        if self.scope.is_everything() {
            return Ok(());
        }
        let before = old.map_or(&[][..], |old| &old.artifacts);
        let lacks = |all: &[SignedArtifact], one: &SignedArtifact| !all.contains(one);
        let added = new.artifacts.iter().filter(|one| lacks(before, one));
        let gone = before.iter().filter(|one| lacks(&new.artifacts, one));
        for artifact in added.chain(gone.clone()) {
            let models: Option<Vec<Model>> = artifact
                .facts
                .models
                .iter()
                .map(|model| Model::new(model).ok())
                .collect();
            self.check_models(&models.unwrap_or_default())?;
        }
        let is_withdrawn_anew = old.map(|old| &old.withdrawn) != Some(&new.withdrawn)
            && !(old.is_none() && new.withdrawn.is_empty());
        // New releases go to nobody by themselves; what was signed before, groups out of reach may have.
        if !self.scope.groups.is_empty() && (gone.count() > 0 || is_withdrawn_anew) {
            return Err(self.beyond("these targets change what devices of every group may have"));
        }
        if is_withdrawn_anew {
            self.check_withdrawn(old, new)?;
        }
        Ok(())
    }

    /// Refuses the withdrawal of bytes that models out of reach may have.
    fn check_withdrawn(&self, old: Option<&VerifiedTargets>, new: &VerifiedTargets) -> Result<()> {
        let before = old.map_or(&[][..], |old| &old.artifacts);
        let is_new = |digest: &&otter_protocol::Sha256Digest| {
            old.is_none_or(|old| old.withdrawn.get(*digest) != new.withdrawn.get(*digest))
        };
        for digest in new.withdrawn.keys().filter(is_new) {
            let known = before.iter().chain(&new.artifacts);
            let models: Option<Vec<Model>> = known
                .filter(|artifact| artifact.sha256 == *digest)
                .flat_map(|artifact| &artifact.facts.models)
                .map(|model| Model::new(model).ok())
                .collect();
            self.check_models(&models.unwrap_or_default())?;
        }
        Ok(())
    }
}
