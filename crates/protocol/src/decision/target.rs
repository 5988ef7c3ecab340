//! What a rollout would bring a device: its release, one on the way to it, or what the device ran before.

use std::sync::Arc;

use crate::attempt::AttemptPurpose;
use crate::device::Device;
use crate::id::ReleaseId;
use crate::plan::{Plan, PlannedRollout};
use crate::release::Release;
use crate::rollout::RolloutState;
use crate::version::Version;

/// What a device would get.
pub(super) struct Target<'a> {
    /// The release.
    pub(super) release: &'a Arc<Release>,
    /// What for.
    pub(super) purpose: AttemptPurpose,
    /// On the way back, what the device ran before; absent where the rollout didn't update it.
    pub(super) former: Option<&'a Version>,
    /// On the way back, tells whether there is a release of that.
    pub(super) is_known: bool,
}

impl<'a> Target<'a> {
    /// Finds out what a rollout would bring a device.
    pub(super) fn of(device: &'a Device, plan: &'a Plan, planned: &'a PlannedRollout) -> Self {
        if planned.rollout.state == RolloutState::RollingBack {
            return Self::former(device, plan, planned);
        }
        let step = step_towards(device, plan, &planned.release, &mut Vec::new());
        match step {
            Some(release) if release.id != planned.release.id => Self {
                release,
                purpose: AttemptPurpose::Step,
                former: None,
                is_known: true,
            },
            _ => Self {
                release: &planned.release,
                purpose: AttemptPurpose::Update,
                former: None,
                is_known: true,
            },
        }
    }

    fn former(device: &'a Device, plan: &'a Plan, planned: &'a PlannedRollout) -> Self {
        let past = device.past.get(&planned.rollout.id);
        let is_on_it = device.version == planned.release.version;
        let former = past.and_then(|past| {
            // One that was given up as silent, and runs the release all the same, came there by this rollout, too.
            let unsaid = past.began_from.as_ref().filter(|_| is_on_it);
            past.former.as_ref().or(unsaid)
        });
        let release = former.and_then(|former| {
            plan.releases()
                .filter(|release| {
                    release.version == *former && release.artifact_for(&device.model).is_some()
                })
                .max_by_key(|release| release.id)
        });
        Self {
            release: release.unwrap_or(&planned.release),
            purpose: AttemptPurpose::RollBack,
            former,
            is_known: release.is_some(),
        }
    }
}

/// Returns what a device takes first to get to a release: the release itself where it can be installed over what the device
/// runs, else the lowest that can and from which there is a way; `None` where there is none.
fn step_towards<'a>(
    device: &Device,
    plan: &'a Plan,
    goal: &'a Arc<Release>,
    tried: &mut Vec<ReleaseId>,
) -> Option<&'a Arc<Release>> {
    let order = plan.versions();
    let Some(needed) = &goal.min_version else {
        return Some(goal);
    };
    if order.compare(&device.version, needed).is_ge() {
        return Some(goal);
    }
    let mut between: Vec<&Arc<Release>> = plan
        .releases()
        .filter(|release| {
            release.artifact_for(&device.model).is_some()
                && order.compare(&release.version, needed).is_ge()
                && order.compare(&release.version, &goal.version).is_lt()
        })
        .collect();
    between.sort_by(|a, b| order.compare(&a.version, &b.version).then(a.id.cmp(&b.id)));
    between.into_iter().find_map(|release| {
        // What was tried before leads nowhere, or it would have been taken.
        if tried.contains(&release.id) {
            return None;
        }
        tried.push(release.id);
        step_towards(device, plan, release, tried)
    })
}
