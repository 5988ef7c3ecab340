//! Everything that is under way: what the decision looks at beside the device.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::attempt::AttemptPurpose;
use crate::device::{Device, OpenAttempt};
use crate::digest::Sha256Digest;
use crate::group::Group;
use crate::id::{GroupName, Model, ReleaseId, RolloutId};
use crate::release::{ArtifactKind, Release};
use crate::rollout::{Audience, Rollout, RolloutState};
use crate::time::Timestamp;
use crate::version::VersionOrder;

/// A live rollout with what the decision needs of the database.
#[derive(Debug, Clone)]
pub struct PlannedRollout {
    /// The rollout.
    pub rollout: Arc<Rollout>,
    /// What it brings.
    pub release: Arc<Release>,
    /// What began and what is under way, as last counted; the grant counts again.
    pub load: Load,
}

/// How much of a rollout has begun and is under way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Load {
    /// The phases', in order; after them that of the way back.
    pub phases: Vec<PhaseLoad>,
    /// When the next attempt may begin, where the rollout has a pace.
    pub next_grant_at: Option<Timestamp>,
}

/// How much of a phase has begun and is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PhaseLoad {
    /// Attempts that began in it.
    pub begun: u64,
    /// Devices that began in it, each once.
    pub devices: u64,
    /// Attempts of it that aren't at their end.
    pub under_way: u64,
}

impl PhaseLoad {
    /// Tells whether a batch of so many is full and not yet at its end.
    pub fn is_batch_full(&self, size: u32) -> bool {
        self.under_way > 0 && self.begun.is_multiple_of(u64::from(size.max(1)))
    }
}

impl Load {
    /// Returns the attempts under way.
    pub fn in_flight(&self) -> u64 {
        self.phases.iter().map(|phase| phase.under_way).sum()
    }

    /// Returns a phase's part; nothing where there is none.
    pub fn phase(&self, phase: u32) -> PhaseLoad {
        self.phases.get(phase as usize).copied().unwrap_or_default()
    }

    /// Counts an attempt that begins.
    pub fn begin(
        &mut self,
        phase: u32,
        is_first_of_device: bool,
        next_grant_at: Option<Timestamp>,
    ) {
        if let Some(load) = self.phases.get_mut(phase as usize) {
            load.begun += 1;
            load.under_way += 1;
            load.devices += u64::from(is_first_of_device);
        }
        self.next_grant_at = next_grant_at;
    }

    /// Counts an attempt that came to its end.
    pub fn end(&mut self, phase: u32) {
        if let Some(load) = self.phases.get_mut(phase as usize) {
            load.under_way = load.under_way.saturating_sub(1);
        }
    }
}

/// Everything under way in a fleet. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Live rollouts, in the order in which they get a device: higher priority, then newer.
    rollouts: Vec<PlannedRollout>,
    /// Rollouts that came to their end and take back what is under way.
    taken_back: Arc<HashSet<RolloutId>>,
    /// Published releases by number: open attempts may need any of them.
    releases: Arc<HashMap<ReleaseId, Arc<Release>>>,
    /// Lengths in bytes of the artifacts that devices may fetch.
    artifacts: Arc<HashMap<Sha256Digest, u64>>,
    /// The newest firmware for each model, by publication.
    newest_firmware: Arc<HashMap<Model, Arc<Release>>>,
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
        rollouts.iter_mut().for_each(put_in_order);
        let versions = VersionOrder::of_published(releases.iter().map(|release| &release.version));
        let artifacts = releases.iter().flat_map(|release| &release.artifacts);
        Self {
            rollouts,
            taken_back: Arc::default(),
            versions: Arc::new(versions),
            newest_firmware: Arc::new(newest_firmware(&releases)),
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

    /// Adds rollouts that came to their end and take back what is under way.
    pub fn taking_back(mut self, rollouts: HashSet<RolloutId>) -> Self {
        self.taken_back = Arc::new(rollouts);
        self
    }

    /// Tells whether an attempt is taken back: its rollout came to such an end, or goes the other way.
    pub fn takes_back(&self, open: &OpenAttempt) -> bool {
        let goes_back =
            |planned: &PlannedRollout| planned.rollout.state == RolloutState::RollingBack;
        self.taken_back.contains(&open.rollout)
            || (open.purpose != AttemptPurpose::RollBack
                && self.rollout(open.rollout).is_some_and(goes_back))
    }

    /// Returns a published release.
    pub fn release(&self, id: ReleaseId) -> Option<&Arc<Release>> {
        self.releases.get(&id)
    }

    /// Returns the published releases, in no order.
    pub fn releases(&self) -> impl Iterator<Item = &Arc<Release>> {
        self.releases.values()
    }

    /// Returns a model's newest firmware, by publication.
    pub fn newest_firmware(&self, model: &Model) -> Option<&Arc<Release>> {
        self.newest_firmware.get(model)
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
        self.groups.get(group).map_or_else(
            // By hand it may be in a group that is being removed.
            || device.group.as_ref() == Some(group),
            |group| group.has(device),
        )
    }

    /// Returns the groups with a window that a device is a member of.
    pub fn windows_of<'a>(&'a self, device: &'a Device) -> impl Iterator<Item = &'a Group> {
        self.groups
            .values()
            .filter(|group| group.window.is_some() && group.has(device))
    }

    /// Returns the plan with the load of a rollout changed.
    pub fn with_load(&self, id: RolloutId, change: impl Fn(&mut Load)) -> Self {
        let mut plan = self.clone();
        for planned in plan
            .rollouts
            .iter_mut()
            .filter(|planned| planned.rollout.id == id)
        {
            change(&mut planned.load);
        }
        plan
    }
}

/// Finds each model's newest firmware among releases in the order of their publication.
fn newest_firmware(releases: &[Arc<Release>]) -> HashMap<Model, Arc<Release>> {
    let mut newest = HashMap::new();
    for release in releases {
        let firmware = release
            .artifacts
            .iter()
            .filter(|artifact| artifact.kind == ArtifactKind::Firmware);
        for model in firmware.flat_map(|artifact| &artifact.models) {
            newest.insert(model.clone(), release.clone());
        }
    }
    newest
}

/// Puts listed devices in order, where they aren't, so that they are found quickly.
fn put_in_order(planned: &mut PlannedRollout) {
    let listed = [
        match &planned.rollout.spec.audience {
            Audience::Devices { devices } => devices.as_slice(),
            _ => &[],
        },
        planned.rollout.spec.exclude.devices.as_slice(),
    ];
    if listed.iter().all(|devices| devices.is_sorted()) {
        return;
    }
    let rollout = Arc::make_mut(&mut planned.rollout);
    rollout.spec.audience.put_in_order();
    rollout.spec.exclude.devices.sort();
}
