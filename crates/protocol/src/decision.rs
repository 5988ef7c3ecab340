//! The decision: may this device update now, to what, and why not?
//!
//! [`decide`] is the only place where that is answered. For each live rollout it walks every rule, so that the answer can
//! be explained, not just given.

mod case;

use serde::{Deserialize, Serialize};

use case::Case;

use crate::cohort::Cohort;
use crate::device::{Device, DeviceState};
use crate::id::{AttemptId, ReleaseId, RolloutId};
use crate::plan::{Plan, PlannedRollout};
use crate::rollout::{Audience, CohortKind, PhaseScope};
use crate::rule::Outcome;
use crate::time::Timestamp;

/// One rollout's outcomes for a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Consideration {
    /// Which rollout.
    pub rollout: RolloutId,
    /// What it brings.
    pub release: ReleaseId,
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
        self.blockers().all(|outcome| !outcome.rule.is_lasting())
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
        /// In this phase, from 0.
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
    let considered: Vec<Consideration> = plan
        .rollouts()
        .iter()
        .filter(|planned| planned.release.artifact_for(&device.model).is_some())
        .map(|planned| consider(device, plan, planned, now))
        .collect();
    let action = match &device.attempt {
        Some(open)
            if device.state == DeviceState::Accepted
                && may_continue(plan, open.rollout, open.release) =>
        {
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
    Decision { action, considered }
}

/// An attempt goes on while its rollout lives (a pause stops offers, not what is under way) and its release is published.
fn may_continue(plan: &Plan, rollout: RolloutId, release: ReleaseId) -> bool {
    plan.rollout(rollout).is_some() && plan.release(release).is_some()
}

fn begin(device: &Device, plan: &Plan, chosen: &Consideration) -> Action {
    let phase = plan
        .rollout(chosen.rollout)
        .and_then(|planned| phase_of(device, plan, planned))
        .unwrap_or(0);
    Action::Begin {
        rollout: chosen.rollout,
        release: chosen.release,
        phase,
    }
}

/// Walks every rule of one rollout.
pub fn consider(
    device: &Device,
    plan: &Plan,
    planned: &PlannedRollout,
    now: Timestamp,
) -> Consideration {
    let case = Case {
        device,
        plan,
        planned,
        now,
    };
    Consideration {
        rollout: planned.rollout.id,
        release: planned.release.id,
        outcomes: case.outcomes(),
    }
}

/// Returns the first phase that takes a device in, open or not, from 0.
pub fn phase_of(device: &Device, plan: &Plan, planned: &PlannedRollout) -> Option<u32> {
    let cohort = cohort_of(device, planned);
    let place = planned
        .rollout
        .spec
        .phases
        .iter()
        .position(|phase| match &phase.scope {
            PhaseScope::Share { share } => cohort.is_below(*share),
            PhaseScope::Group { group } => plan.is_member(device, group),
        })?;
    u32::try_from(place).ok()
}

/// Tells whether a rollout is for a device, its model aside.
pub fn is_in_audience(device: &Device, plan: &Plan, planned: &PlannedRollout) -> bool {
    match &planned.rollout.spec.audience {
        Audience::All => true,
        Audience::Percent { share } => cohort_of(device, planned).is_below(*share),
        Audience::Devices { devices } => devices.contains(&device.id),
        Audience::Group { group } => plan.is_member(device, group),
        Audience::Selector { selector } => selector.matches(|key| device.value_of(key)),
    }
}

/// Returns a device's place in a rollout.
pub fn cohort_of(device: &Device, planned: &PlannedRollout) -> Cohort {
    match planned.rollout.spec.cohort {
        CohortKind::Fixed => Cohort::fixed(&device.id),
        CohortKind::Spread => Cohort::spread(planned.rollout.id, &device.id),
    }
}

#[cfg(test)]
mod tests;
