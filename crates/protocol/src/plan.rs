//! Everything that is under way: what the decision looks at beside the device.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::device::Device;
use crate::digest::Sha256Digest;
use crate::group::Group;
use crate::id::{GroupName, ReleaseId, RolloutId};
use crate::release::Release;
use crate::rollout::Rollout;
use crate::version::VersionOrder;

/// A live rollout with what the decision needs of the database.
#[derive(Debug, Clone)]
pub struct PlannedRollout {
    /// The rollout.
    pub rollout: Arc<Rollout>,
    /// What it brings.
    pub release: Arc<Release>,
    /// Attempts under way, as last counted; the grant counts again.
    pub in_flight: u32,
}

/// Everything under way in a fleet. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Live rollouts, in the order in which they get a device: higher priority, then newer.
    rollouts: Vec<PlannedRollout>,
    /// Releases that open attempts may need, by number.
    releases: Arc<HashMap<ReleaseId, Arc<Release>>>,
    /// Lengths in bytes of the artifacts that devices may fetch.
    artifacts: Arc<HashMap<Sha256Digest, u64>>,
    /// Groups by name.
    groups: Arc<BTreeMap<GroupName, Group>>,
    /// Which version is newer.
    versions: Arc<VersionOrder>,
}

impl Plan {
    /// Puts a plan together; `rollouts` in any order, `releases` published ones in the order of publication.
    pub fn new(
        mut rollouts: Vec<PlannedRollout>,
        releases: Vec<Arc<Release>>,
        groups: Vec<Group>,
    ) -> Self {
        rollouts.sort_by_key(|planned| {
            std::cmp::Reverse((planned.rollout.spec.priority, planned.rollout.id))
        });
        let versions = VersionOrder::of_published(releases.iter().map(|release| &release.version));
        let artifacts = releases.iter().flat_map(|release| &release.artifacts);
        Self {
            rollouts,
            versions: Arc::new(versions),
            artifacts: Arc::new(
                artifacts
                    .map(|artifact| (artifact.sha256, artifact.size))
                    .collect(),
            ),
            groups: Arc::new(
                groups
                    .into_iter()
                    .map(|group| (group.name.clone(), group))
                    .collect(),
            ),
            releases: Arc::new(
                releases
                    .into_iter()
                    .map(|release| (release.id, release))
                    .collect(),
            ),
        }
    }

    /// Returns the live rollouts, the one that gets a device first in front.
    pub fn rollouts(&self) -> &[PlannedRollout] {
        &self.rollouts
    }

    /// Returns a live rollout.
    pub fn rollout(&self, id: RolloutId) -> Option<&PlannedRollout> {
        self.rollouts
            .iter()
            .find(|planned| planned.rollout.id == id)
    }

    /// Returns a published release.
    pub fn release(&self, id: ReleaseId) -> Option<&Arc<Release>> {
        self.releases.get(&id)
    }

    /// Returns the length in bytes of a published release's artifact.
    pub fn artifact_size(&self, sha256: &Sha256Digest) -> Option<u64> {
        self.artifacts.get(sha256).copied()
    }

    /// Returns the order of versions.
    pub fn versions(&self) -> &VersionOrder {
        &self.versions
    }

    /// Returns the groups.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// Tells whether a device is a member of a group, by hand or by its selector.
    pub fn is_member(&self, device: &Device, group: &GroupName) -> bool {
        let by_selector = || {
            let selector = self
                .groups
                .get(group)
                .and_then(|group| group.selector.as_ref());
            selector.is_some_and(|selector| selector.matches(|key| device.value_of(key)))
        };
        device.group.as_ref() == Some(group) || by_selector()
    }

    /// Returns the plan with one more or less under way in a rollout.
    pub fn with_in_flight(&self, id: RolloutId, change: impl Fn(u32) -> u32) -> Self {
        let mut plan = self.clone();
        for planned in plan
            .rollouts
            .iter_mut()
            .filter(|planned| planned.rollout.id == id)
        {
            planned.in_flight = change(planned.in_flight);
        }
        plan
    }
}
