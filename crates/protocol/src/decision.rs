//! The decision: may this device update now, to what, and why not?
//!
//! [`decide`] is the only place where that is answered. For each live rollout it walks every rule, so that the answer can
//! be explained, not just given.

mod case;
mod circumstances;
mod limits;
mod phases;
mod target;
mod weigh;

use serde::{Deserialize, Serialize};

use case::Case;
pub use phases::{cohort_of, is_in_audience, phase_of};
use target::Target;
pub use weigh::{Weighed, Weigher};

use crate::attempt::AttemptPurpose;
use crate::device::{Device, DeviceState};
use crate::id::{AttemptId, ReleaseId, RolloutId};
use crate::plan::{Plan, PlannedRollout};
use crate::rule::{Finding, Outcome, Rule};
use crate::time::Timestamp;

/// One rollout's outcomes for a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Consideration {
    /// Which rollout.
    pub rollout: RolloutId,
    /// What the device would get: the rollout's release, one on the way to it, or its former one.
    pub release: ReleaseId,
    /// What for.
    #[serde(default)]
    pub purpose: AttemptPurpose,
    /// Every rule's outcome, in order.
    pub outcomes: Vec<Outcome>,
}

impl Consideration {
    /// Tells whether every rule lets the device update.
    pub fn passes(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.passes)
    }

    /// Tells whether the rollout still waits for the device: nothing that lasts stands in the way.
    pub fn awaits(&self) -> bool {
        self.blockers().all(|outcome| !outcome.is_lasting())
    }

    /// Returns what holds the device back.
    pub fn blockers(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| !outcome.passes)
    }
}

/// What a device is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Begin an attempt, once the limits are held in the database.
    Begin {
        /// At this rollout.
        rollout: RolloutId,
        /// With this release.
        release: ReleaseId,
        /// What for.
        purpose: AttemptPurpose,
        /// In this phase, from 0; on the way back the one after the last.
        phase: u32,
    },
    /// Go on with the attempt under way.
    Continue {
        /// That attempt.
        attempt: AttemptId,
        /// With this release.
        release: ReleaseId,
    },
    /// Give up the attempt under way.
    Cancel {
        /// That attempt.
        attempt: AttemptId,
    },
    /// Nothing.
    Wait,
}

/// The answer for one device, with everything that was weighed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Decision {
    /// What the device is to do.
    pub action: Action,
    /// Every live rollout for the device's model, in the order in which they were asked.
    pub considered: Vec<Consideration>,
}

/// Decides what a device is to do now. Total and deterministic: the same three always give the same answer.
pub fn decide(device: &Device, plan: &Plan, now: Timestamp) -> Decision {
    let mut considered: Vec<Consideration> = plan
        .rollouts()
        .iter()
        .filter(|planned| planned.release.artifact_for(&device.model).is_some())
        .map(|planned| consider(device, plan, planned, now))
        .collect();
    let action = match &device.attempt {
        Some(open) if device.state == DeviceState::Accepted && may_continue(plan, open) => {
            Action::Continue {
                attempt: open.id,
                release: open.release,
            }
        }
        Some(open) => Action::Cancel { attempt: open.id },
        None => considered
            .iter()
            .find(|one| one.passes())
            .map_or(Action::Wait, |one| begin(device, plan, one)),
    };
    put_in_line(&mut considered, device, plan);
    Decision { action, considered }
}

/// An attempt goes on through a pause and its rollout's end, unless that takes it back or the release was withdrawn.
fn may_continue(plan: &Plan, open: &crate::device::OpenAttempt) -> bool {
    !plan.takes_back(open) && plan.release(open.release).is_some()
}

fn begin(device: &Device, plan: &Plan, chosen: &Consideration) -> Action {
    let planned = plan.rollout(chosen.rollout);
    let phase = planned
        .and_then(|planned| match chosen.purpose {
            AttemptPurpose::RollBack => u32::try_from(planned.rollout.spec.phases.len()).ok(),
            AttemptPurpose::Update | AttemptPurpose::Step => phase_of(device, plan, planned),
        })
        .unwrap_or(0);
    Action::Begin {
        rollout: chosen.rollout,
        release: chosen.release,
        purpose: chosen.purpose,
        phase,
    }
}

/// Says for each rollout whether another gets the device first: the one that is under way on it, else the first that may.
fn put_in_line(considered: &mut [Consideration], device: &Device, plan: &Plan) {
    let under_way = device.attempt.as_ref().map(|open| open.rollout);
    let first = under_way.or_else(|| {
        let first = considered.iter().find(|one| one.passes());
        first.map(|one| one.rollout)
    });
    for one in considered {
        let other = first.filter(|first| *first != one.rollout);
        let finding = other.map_or(Finding::Passes, |to| Finding::Yields {
            to,
            name: plan
                .rollout(to)
                .map(|planned| planned.rollout.spec.name.clone())
                .unwrap_or_default(),
            is_under_way: under_way.is_some(),
        });
        one.outcomes.push(Outcome {
            rule: Rule::GoesFirst,
            passes: other.is_none(),
            finding,
        });
    }
}

/// Walks every rule of one rollout, but for the last: whether another goes first is not its own to say.
pub fn consider(
    device: &Device,
    plan: &Plan,
    planned: &PlannedRollout,
    now: Timestamp,
) -> Consideration {
    let target = Target::of(device, plan, planned);
    let case = Case::new(device, plan, planned, &target, now);
    Consideration {
        rollout: planned.rollout.id,
        release: target.release.id,
        purpose: target.purpose,
        outcomes: case.outcomes().collect(),
    }
}

#[cfg(test)]
mod tests;
