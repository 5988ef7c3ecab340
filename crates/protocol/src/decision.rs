//! The decision: may this device update now, to what, and why not?
//!
//! [`decide`] is the only place where that is answered. For each live rollout it walks every rule, so that the answer can
//! be explained, not just given.

use serde::{Deserialize, Serialize};

use crate::cohort::Cohort;
use crate::device::{Device, DeviceState};
use crate::id::{AttemptId, ReleaseId, RolloutId};
use crate::plan::{Plan, PlannedRollout};
use crate::release::ReleaseState;
use crate::rollout::{Audience, CohortKind, PhaseScope, RolloutState};
use crate::rule::{Finding, Outcome, Rule};
use crate::time::Timestamp;
use crate::version::Version;
use crate::window::Opening;

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
    let one = Case {
        device,
        plan,
        planned,
        now,
    };
    let outcomes = vec![
        one.accepted(),
        one.model_fits(),
        one.not_on_it(),
        one.not_a_downgrade(),
        one.min_version(),
        one.min_bootloader_version(),
        one.rollout_running(),
        one.in_audience(),
        one.in_open_phase(),
        one.window_open(),
        one.battery(),
        one.power(),
        one.metered_link(),
        one.storage(),
        one.stable(),
        one.retries_left(),
        one.in_flight_limit(),
        one.not_held(),
    ];
    Consideration {
        rollout: planned.rollout.id,
        release: planned.release.id,
        outcomes,
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

/// One device before one rollout.
struct Case<'a> {
    device: &'a Device,
    plan: &'a Plan,
    planned: &'a PlannedRollout,
    now: Timestamp,
}

fn outcome(rule: Rule, passes: bool, finding: Finding) -> Outcome {
    Outcome {
        rule,
        passes,
        finding,
    }
}

/// An outcome that has something to say only where it stands in the way.
fn unless(rule: Rule, blocked: bool, finding: impl FnOnce() -> Finding) -> Outcome {
    outcome(
        rule,
        !blocked,
        if blocked { finding() } else { Finding::Passes },
    )
}

impl Case<'_> {
    fn accepted(&self) -> Outcome {
        let state = self.device.state;
        unless(Rule::Accepted, state != DeviceState::Accepted, || {
            Finding::DeviceState { state }
        })
    }

    fn model_fits(&self) -> Outcome {
        let release = &self.planned.release;
        if release.state != ReleaseState::Published {
            return outcome(
                Rule::ModelFits,
                false,
                Finding::ReleaseState {
                    state: release.state,
                },
            );
        }
        let model = &self.device.model;
        unless(
            Rule::ModelFits,
            release.artifact_for(model).is_none(),
            || Finding::NoArtifact {
                model: model.to_string(),
            },
        )
    }

    fn versions(&self, release: &Version) -> Finding {
        Finding::Versions {
            device: self.device.version.clone(),
            release: release.clone(),
        }
    }

    fn not_on_it(&self) -> Outcome {
        let version = &self.planned.release.version;
        outcome(
            Rule::NotOnIt,
            self.device.version != *version,
            self.versions(version),
        )
    }

    fn not_a_downgrade(&self) -> Outcome {
        let version = &self.planned.release.version;
        let is_older = self
            .plan
            .versions()
            .compare(version, &self.device.version)
            .is_lt();
        let blocked = is_older && !self.planned.rollout.spec.allow_downgrade;
        outcome(Rule::NotADowngrade, !blocked, self.versions(version))
    }

    fn min_version(&self) -> Outcome {
        let Some(needed) = &self.planned.release.min_version else {
            return outcome(Rule::MinVersion, true, Finding::Passes);
        };
        let is_older = self
            .plan
            .versions()
            .compare(&self.device.version, needed)
            .is_lt();
        outcome(Rule::MinVersion, !is_older, self.versions(needed))
    }

    fn min_bootloader_version(&self) -> Outcome {
        let rule = Rule::MinBootloaderVersion;
        match (
            &self.planned.release.min_bootloader_version,
            &self.device.bootloader_version,
        ) {
            (None, _) => outcome(rule, true, Finding::Passes),
            (Some(needed), None) => outcome(
                rule,
                false,
                Finding::BootloaderUnknown {
                    needed: needed.clone(),
                },
            ),
            (Some(needed), Some(has)) => {
                let is_older = self.plan.versions().compare(has, needed).is_lt();
                outcome(
                    rule,
                    !is_older,
                    Finding::Versions {
                        device: has.clone(),
                        release: needed.clone(),
                    },
                )
            }
        }
    }

    fn rollout_running(&self) -> Outcome {
        let rollout = &self.planned.rollout;
        let finding = || Finding::RolloutState {
            state: rollout.state,
            starts_at: rollout.spec.starts_at,
        };
        let has_begun = rollout.spec.starts_at.is_none_or(|start| start <= self.now);
        unless(
            Rule::RolloutRunning,
            rollout.state != RolloutState::Running || !has_begun,
            finding,
        )
    }

    fn in_audience(&self) -> Outcome {
        let passes = is_in_audience(self.device, self.plan, self.planned);
        let finding = match &self.planned.rollout.spec.audience {
            Audience::Percent { share } => Finding::Cohort {
                cohort: cohort_of(self.device, self.planned).as_percent(),
                share: *share,
            },
            _ if passes => Finding::Passes,
            audience => Finding::NotInAudience {
                audience: audience.to_string(),
            },
        };
        outcome(Rule::InAudience, passes, finding)
    }

    fn in_open_phase(&self) -> Outcome {
        let open = self.planned.rollout.current_phase;
        let own = phase_of(self.device, self.plan, self.planned);
        let shown = own.unwrap_or(open);
        let phases = &self.planned.rollout.spec.phases;
        let name = phases
            .get(shown as usize)
            .map(|phase| format!("{} ({})", phase.name, phase.scope))
            .unwrap_or_default();
        let cohort = cohort_of(self.device, self.planned).as_percent();
        let passes = own.is_some_and(|own| own <= open);
        outcome(
            Rule::InOpenPhase,
            passes,
            Finding::Phase {
                phase: shown,
                name,
                cohort,
            },
        )
    }

    fn window_open(&self) -> Outcome {
        let window = &self.planned.rollout.spec.window;
        let device_zone = self.device.conditions.time_zone.as_deref();
        match window.at(self.now, device_zone) {
            Opening::Open => outcome(Rule::WindowOpen, true, Finding::Passes),
            Opening::Closed { opens_at } => {
                let zone = window
                    .zone_for(device_zone)
                    .iana_name()
                    .unwrap_or("UTC")
                    .to_owned();
                outcome(
                    Rule::WindowOpen,
                    false,
                    Finding::WindowClosed { opens_at, zone },
                )
            }
        }
    }

    fn battery(&self) -> Outcome {
        let conditions = &self.device.conditions;
        let asked = self.planned.rollout.spec.requirements.min_battery_percent;
        match asked.zip(conditions.battery_percent) {
            Some((least, got)) if conditions.on_mains != Some(true) => outcome(
                Rule::Battery,
                got >= least,
                Finding::AtLeast {
                    got: got.into(),
                    least: least.into(),
                },
            ),
            _ => outcome(Rule::Battery, true, Finding::Passes),
        }
    }

    fn power(&self) -> Outcome {
        let blocked = self.planned.rollout.spec.requirements.needs_mains
            && self.device.conditions.on_mains == Some(false);
        unless(Rule::Power, blocked, || Finding::OnBattery)
    }

    fn metered_link(&self) -> Outcome {
        let avoids = self.planned.rollout.spec.requirements.avoids_metered;
        let is_metered = self.device.conditions.is_metered == Some(true);
        if avoids && is_metered && self.planned.release.required {
            return outcome(Rule::MeteredLink, true, Finding::Required);
        }
        unless(Rule::MeteredLink, avoids && is_metered, || Finding::Metered)
    }

    fn storage(&self) -> Outcome {
        let needed = self
            .planned
            .release
            .artifact_for(&self.device.model)
            .map(|artifact| artifact.size);
        match needed.zip(self.device.conditions.free_bytes) {
            Some((least, got)) => {
                outcome(Rule::Storage, got >= least, Finding::AtLeast { got, least })
            }
            None => outcome(Rule::Storage, true, Finding::Passes),
        }
    }

    fn stable(&self) -> Outcome {
        let asked = self.planned.rollout.spec.requirements.max_crashes;
        match asked.zip(self.device.conditions.crashes_since_boot) {
            Some((most, got)) => outcome(
                Rule::Stable,
                got <= most,
                Finding::AtMost {
                    got: got.into(),
                    most: most.into(),
                },
            ),
            None => outcome(Rule::Stable, true, Finding::Passes),
        }
    }

    fn retries_left(&self) -> Outcome {
        let most = self.planned.rollout.spec.max_attempts;
        let got = self
            .device
            .past
            .get(&self.planned.rollout.id)
            .map_or(0, |past| past.failures);
        unless(Rule::RetriesLeft, got >= most, || Finding::AtMost {
            got: got.into(),
            most: most.into(),
        })
    }

    fn in_flight_limit(&self) -> Outcome {
        let got = self.planned.in_flight;
        match self.planned.rollout.spec.max_in_flight {
            Some(most) => outcome(
                Rule::InFlightLimit,
                got < most,
                Finding::AtMost {
                    got: got.into(),
                    most: most.into(),
                },
            ),
            None => outcome(Rule::InFlightLimit, true, Finding::Passes),
        }
    }

    fn not_held(&self) -> Outcome {
        match &self.device.hold {
            Some(reason) => outcome(
                Rule::NotHeld,
                false,
                Finding::Held {
                    reason: reason.clone(),
                },
            ),
            None => outcome(Rule::NotHeld, true, Finding::Passes),
        }
    }
}

#[cfg(test)]
mod tests;
