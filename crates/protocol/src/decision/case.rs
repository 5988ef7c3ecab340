//! The rules, one function each.

use crate::decision::{cohort_of, is_in_audience, phase_of};
use crate::device::{Device, DeviceState};
use crate::plan::{Plan, PlannedRollout};
use crate::release::ReleaseState;
use crate::rollout::{Audience, RolloutState};
use crate::rule::{Finding, Outcome, Rule};
use crate::time::Timestamp;
use crate::version::Version;
use crate::window::Opening;

/// One device before one rollout.
pub(super) struct Case<'a> {
    pub(super) device: &'a Device,
    pub(super) plan: &'a Plan,
    pub(super) planned: &'a PlannedRollout,
    pub(super) now: Timestamp,
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
    /// Walks every rule, in the order of [`Rule`].
    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        vec![
            self.accepted(),
            self.model_fits(),
            self.not_on_it(),
            self.not_a_downgrade(),
            self.min_version(),
            self.min_bootloader_version(),
            self.rollout_running(),
            self.in_audience(),
            self.in_open_phase(),
            self.window_open(),
            self.battery(),
            self.power(),
            self.metered_link(),
            self.storage(),
            self.stable(),
            self.retries_left(),
            self.in_flight_limit(),
            self.not_held(),
        ]
    }

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
