//! The rules, one function each.

use std::cell::OnceCell;

use super::phases::{cohort_of, exclusion_of, is_in_audience, phase_at};
use super::target::Target;
use super::weigh::WindowMemo;
use crate::attempt::AttemptPurpose;
use crate::cohort::Cohort;
use crate::device::{Device, DeviceState};
use crate::plan::{Plan, PlannedRollout};
use crate::release::{ArtifactKind, ReleaseState};
use crate::rollout::{Audience, RolloutState};
use crate::rule::{Finding, Outcome, Rule};
use crate::time::Timestamp;
use crate::version::Version;

/// One device before one rollout.
pub(super) struct Case<'a> {
    pub(super) device: &'a Device,
    pub(super) plan: &'a Plan,
    pub(super) planned: &'a PlannedRollout,
    pub(super) target: &'a Target<'a>,
    pub(super) now: Timestamp,
    /// What windows said of devices like it, where a whole fleet is weighed and only what blocks is asked for.
    pub(super) memo: Option<&'a WindowMemo>,
    cohort: OnceCell<Cohort>,
    phase: OnceCell<Option<u32>>,
}

pub(super) fn outcome(rule: Rule, passes: bool, finding: Finding) -> Outcome {
    Outcome {
        rule,
        passes,
        finding,
    }
}

/// An outcome that has something to say only where it stands in the way.
pub(super) fn unless(rule: Rule, blocked: bool, finding: impl FnOnce() -> Finding) -> Outcome {
    outcome(
        rule,
        !blocked,
        if blocked { finding() } else { Finding::Passes },
    )
}

impl<'a> Case<'a> {
    /// Puts a device before a rollout.
    pub(super) fn new(
        device: &'a Device,
        plan: &'a Plan,
        planned: &'a PlannedRollout,
        target: &'a Target<'a>,
        now: Timestamp,
    ) -> Self {
        Self {
            device,
            plan,
            planned,
            target,
            now,
            memo: None,
            cohort: OnceCell::new(),
            phase: OnceCell::new(),
        }
    }
}

impl Case<'_> {
    /// Walks every rule but the last, in the order of [`Rule::ALL`].
    pub(super) fn outcomes(&self) -> impl Iterator<Item = Outcome> {
        let walks: [fn(&Self) -> Outcome; 20] = [
            Self::accepted,
            Self::model_fits,
            Self::dialect_fits,
            Self::not_on_it,
            Self::not_a_downgrade,
            Self::min_version,
            Self::min_bootloader_version,
            Self::rollout_running,
            Self::in_audience,
            Self::in_open_phase,
            Self::window_open,
            Self::battery,
            Self::power,
            Self::metered_link,
            Self::storage,
            Self::stable,
            Self::retries_left,
            Self::backed_off,
            Self::in_flight_limit,
            Self::not_held,
        ];
        walks.into_iter().map(|walk| walk(self))
    }

    /// Returns the device's place in the rollout.
    pub(super) fn cohort(&self) -> Cohort {
        *self
            .cohort
            .get_or_init(|| cohort_of(self.device, self.planned))
    }

    /// Returns the first phase that takes the device in, open or not.
    pub(super) fn phase(&self) -> Option<u32> {
        *self
            .phase
            .get_or_init(|| phase_at(self.device, self.plan, self.planned, || self.cohort()))
    }

    pub(super) fn goes_back(&self) -> bool {
        self.target.purpose == AttemptPurpose::RollBack
    }

    fn accepted(&self) -> Outcome {
        let state = self.device.state;
        unless(Rule::Accepted, state != DeviceState::Accepted, || {
            Finding::DeviceState { state }
        })
    }

    fn model_fits(&self) -> Outcome {
        if self.goes_back() {
            let former = self.target.former.cloned();
            return unless(Rule::ModelFits, !self.target.is_known, || {
                Finding::NoFormerRelease { former }
            });
        }
        let release = &self.planned.release;
        if release.state != ReleaseState::Published {
            let state = release.state;
            return outcome(Rule::ModelFits, false, Finding::ReleaseState { state });
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

    /// Devices that verify signatures get nothing that has none; those on the plain firmware API get firmware, and by way of
    /// a rollout only the newest.
    fn dialect_fits(&self) -> Outcome {
        let rule = Rule::DialectFits;
        let (device, release) = (self.device, self.target.release);
        if device.dialect.verifies_signatures() {
            return unless(rule, !release.is_signed(), || Finding::Unsigned);
        }
        let kind = release
            .artifact_for(&device.model)
            .map_or(ArtifactKind::Firmware, |artifact| artifact.kind);
        if kind != ArtifactKind::Firmware {
            return outcome(rule, false, Finding::NotFirmware { kind });
        }
        let newest = self.plan.newest_firmware(&device.model);
        match newest.filter(|newest| !self.goes_back() && newest.id != self.planned.release.id) {
            Some(newest) => {
                let newest = newest.version.clone();
                outcome(rule, false, Finding::NotNewest { newest })
            }
            None => outcome(rule, true, Finding::Passes),
        }
    }

    fn versions(&self, release: &Version) -> Finding {
        Finding::Versions {
            device: self.device.version.clone(),
            release: release.clone(),
        }
    }

    /// On the way back it must still be on the release that is taken back.
    fn not_on_it(&self) -> Outcome {
        let version = &self.planned.release.version;
        let is_on_it = self.device.version == *version;
        let passes = is_on_it == self.goes_back();
        let shown = match self.target.former {
            Some(former) if self.goes_back() && is_on_it => {
                Finding::GoesBack { to: former.clone() }
            }
            _ => self.versions(version),
        };
        outcome(Rule::NotOnIt, passes, shown)
    }

    fn not_a_downgrade(&self) -> Outcome {
        let version = &self.target.release.version;
        if self.goes_back() {
            return outcome(Rule::NotADowngrade, true, self.versions(version));
        }
        let is_older = self
            .plan
            .versions()
            .compare(version, &self.device.version)
            .is_lt();
        let blocked = is_older && !self.planned.rollout.spec.allow_downgrade;
        outcome(Rule::NotADowngrade, !blocked, self.versions(version))
    }

    fn min_version(&self) -> Outcome {
        let rule = Rule::MinVersion;
        let Some(needed) = &self.planned.release.min_version else {
            return outcome(rule, true, Finding::Passes);
        };
        match self.target.purpose {
            AttemptPurpose::RollBack => outcome(rule, true, Finding::Passes),
            AttemptPurpose::Step => {
                let finding = Finding::GoesBy {
                    device: self.device.version.clone(),
                    needed: needed.clone(),
                    step: self.target.release.version.clone(),
                };
                outcome(rule, true, finding)
            }
            AttemptPurpose::Update => {
                let is_older = self
                    .plan
                    .versions()
                    .compare(&self.device.version, needed)
                    .is_lt();
                outcome(rule, !is_older, self.versions(needed))
            }
        }
    }

    fn min_bootloader_version(&self) -> Outcome {
        let rule = Rule::MinBootloaderVersion;
        let needed = &self.target.release.min_bootloader_version;
        match (needed, &self.device.bootloader_version) {
            (None, _) => outcome(rule, true, Finding::Passes),
            (Some(needed), None) => {
                let needed = needed.clone();
                outcome(rule, false, Finding::BootloaderUnknown { needed })
            }
            (Some(needed), Some(has)) => {
                let is_older = self.plan.versions().compare(has, needed).is_lt();
                let finding = Finding::Versions {
                    device: has.clone(),
                    release: needed.clone(),
                };
                outcome(rule, !is_older, finding)
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
        let offers = match rollout.state {
            RolloutState::Running => has_begun,
            RolloutState::RollingBack => true,
            _ => false,
        };
        unless(Rule::RolloutRunning, !offers, finding)
    }

    fn in_audience(&self) -> Outcome {
        let rule = Rule::InAudience;
        if self.goes_back() {
            return unless(rule, self.target.former.is_none(), || {
                let audience = "the devices that it updated".to_owned();
                Finding::NotInAudience { audience }
            });
        }
        let rollout = &self.planned.rollout;
        if let Some(by) = exclusion_of(self.device, self.plan, self.planned) {
            return outcome(rule, false, Finding::Excluded { by });
        }
        let enrolled_at = self.device.enrolled_at;
        match rollout.started_at {
            Some(started_at) if rollout.spec.frozen && enrolled_at > started_at => {
                let finding = Finding::JoinedLater {
                    enrolled_at,
                    started_at,
                };
                return outcome(rule, false, finding);
            }
            _ => {}
        }
        let passes = is_in_audience(self.device, self.plan, self.planned);
        let finding = match &rollout.spec.audience {
            Audience::Percent { share } => Finding::Cohort {
                cohort: self.cohort().as_percent(),
                share: *share,
            },
            _ if passes => Finding::Passes,
            audience => Finding::NotInAudience {
                audience: audience.to_string(),
            },
        };
        outcome(rule, passes, finding)
    }

    fn in_open_phase(&self) -> Outcome {
        if self.goes_back() {
            return outcome(Rule::InOpenPhase, true, Finding::Passes);
        }
        let cohort = || self.cohort().as_percent();
        let Some(own) = self.phase() else {
            let cohort = cohort();
            return outcome(Rule::InOpenPhase, false, Finding::NoPhase { cohort });
        };
        let passes = own <= self.planned.rollout.current_phase;
        if passes && self.memo.is_some() {
            return outcome(Rule::InOpenPhase, true, Finding::Passes);
        }
        let phases = &self.planned.rollout.spec.phases;
        let name = phases
            .get(own as usize)
            .map(|phase| format!("{} ({})", phase.name, phase.scope))
            .unwrap_or_default();
        let finding = Finding::Phase {
            phase: own,
            name,
            cohort: cohort(),
        };
        outcome(Rule::InOpenPhase, passes, finding)
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
