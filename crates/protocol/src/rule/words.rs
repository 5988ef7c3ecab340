//! What a rule found, in a person's words, and what would change it.

use std::fmt;

use super::{Finding, Outcome, Rule, WhoseWindow};
use crate::rollout::RolloutState;
use crate::time::Timestamp;

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.finding {
            Finding::Passes => f.write_str("yes"),
            Finding::DeviceState { state } => write!(f, "the device is {}", state.as_str()),
            Finding::NoArtifact { model } => write!(f, "the release has nothing for model {model}"),
            Finding::Unsigned => {
                f.write_str("the release isn't signed, and the device installs only what is")
            }
            Finding::NotFirmware { kind } => write!(
                f,
                "the plain firmware API carries firmware, and the artifact is a {kind}"
            ),
            Finding::NotNewest { newest } => write!(
                f,
                "the plain firmware API offers only the newest release, and that is {newest}"
            ),
            Finding::ReleaseState { state } => write!(f, "the release is {}", state.as_str()),
            Finding::Versions { device, release } if self.rule == Rule::NotOnIt => {
                write!(f, "runs {device}, the release is {release}")
            }
            Finding::Versions { device, release } => write!(f, "has {device}, against {release}"),
            Finding::BootloaderUnknown { needed } => {
                write!(
                    f,
                    "the release needs boot loader {needed}, and the device doesn't say which it has"
                )
            }
            Finding::RolloutState { state, starts_at } => {
                write!(f, "the rollout is {}", state.as_str().replace('_', " "))?;
                match starts_at.filter(|_| is_to_begin(*state)) {
                    Some(start) => write!(f, ", starts {start}"),
                    None => Ok(()),
                }
            }
            Finding::Cohort { cohort, share } => {
                write!(f, "cohort {cohort:.1} %, open below {share}")
            }
            Finding::GoesBy {
                device,
                needed,
                step,
            } => write!(
                f,
                "has {device}, the release needs {needed}: goes by {step} first"
            ),
            Finding::GoesBack { to } => write!(f, "goes back to {to}"),
            Finding::NoFormerRelease {
                former: Some(former),
            } => write!(
                f,
                "ran {former} before, and there is no published release of it for its model"
            ),
            Finding::NoFormerRelease { former: None } => {
                f.write_str("the rollout didn't update it, so there is nothing to go back from")
            }
            Finding::Excluded { by } => write!(f, "excluded: {by}"),
            Finding::JoinedLater {
                enrolled_at,
                started_at,
            } => write!(
                f,
                "joined at {enrolled_at}, the rollout is for those known at {started_at}"
            ),
            Finding::NotInAudience { audience } => write!(f, "the rollout is for {audience}"),
            Finding::Phase { name, cohort, .. } if self.passes => {
                write!(f, "in phase {name}, cohort {cohort:.1} %")
            }
            Finding::Phase { name, cohort, .. } => {
                write!(f, "waits for phase {name}, cohort {cohort:.1} %")
            }
            Finding::NoPhase { cohort } => {
                write!(f, "no phase takes it in, cohort {cohort:.1} %")
            }
            Finding::WindowClosed {
                opens_at,
                zone,
                opens,
                whose,
            } => {
                if let WhoseWindow::Group { group } = whose {
                    write!(f, "the window of group {group} ")?;
                }
                match (opens, opens_at) {
                    (Some(opens), _) => write!(f, "opens {opens} {zone}"),
                    (None, Some(at)) => write!(f, "opens at {at} ({zone})"),
                    (None, None) => write!(f, "doesn't open within a year ({zone})"),
                }
            }
            Finding::AtLeast { got, least } if self.rule == Rule::Storage => write!(
                f,
                "has {} free, needs at least {}",
                bytes(*got),
                bytes(*least)
            ),
            Finding::AtLeast { got, least } if self.rule == Rule::Battery => {
                write!(f, "has {got} %, needs at least {least} %")
            }
            Finding::BatchUnderWay { size, under_way } => {
                write!(f, "{under_way} of the batch of {size} are still under way")
            }
            Finding::Paced { next_at, .. } => {
                write!(f, "the pace lets the next begin at {next_at}")
            }
            Finding::BacksOff { failures: 1, until } => {
                write!(f, "failed once, tries again at {until}")
            }
            Finding::BacksOff { failures, until } => {
                write!(f, "failed {failures} times, tries again at {until}")
            }
            Finding::Yields {
                to,
                name,
                is_under_way,
            } => {
                write!(f, "rollout {to} ")?;
                // One that is over has no name here.
                if !name.is_empty() {
                    write!(f, "({name}) ")?;
                }
                f.write_str(if *is_under_way {
                    "is under way on it"
                } else {
                    "goes first"
                })
            }
            Finding::AtLeast { got, least } => write!(f, "has {got}, needs at least {least}"),
            Finding::AtMost { got, most } => write!(f, "{got} of at most {most}"),
            Finding::OnBattery => f.write_str("runs on its battery"),
            Finding::Metered => f.write_str("the link is metered"),
            Finding::Required => f.write_str("the link is metered, but the release is required"),
            Finding::Held { reason } => write!(f, "held: {reason}"),
        }
    }
}

impl Outcome {
    /// Returns when this changes by itself, where that is known.
    pub fn changes_at(&self) -> Option<Timestamp> {
        if self.passes {
            return None;
        }
        match &self.finding {
            Finding::WindowClosed { opens_at, .. } => *opens_at,
            Finding::Paced { next_at, .. } => Some(*next_at),
            Finding::BacksOff { until, .. } => Some(*until),
            Finding::RolloutState {
                state: RolloutState::Scheduled | RolloutState::Running,
                starts_at,
            } => *starts_at,
            _ => None,
        }
    }

    /// Returns what would let the device pass; absent where it does.
    pub fn remedy(&self) -> Option<&'static str> {
        if self.passes {
            return None;
        }
        Some(match self.rule {
            Rule::Accepted => "An operator accepts the device.",
            Rule::ModelFits => match self.finding {
                Finding::NoFormerRelease { .. } => {
                    "A published release of that version for its model; or another rollout."
                }
                _ => "A published release with an artifact for its model.",
            },
            Rule::DialectFits => match self.finding {
                Finding::NotFirmware { .. } => {
                    "Otter's agent, or a release with firmware for its model."
                }
                Finding::NotNewest { .. } => "A rollout of the newest release.",
                _ => "A release that its publishers signed.",
            },
            Rule::NotOnIt => "Nothing: there is nothing to do.",
            Rule::NotADowngrade => "A rollout that allows downgrades.",
            Rule::MinVersion => "A published release on the way, which the device can take first.",
            Rule::MinBootloaderVersion => "A newer boot loader, or one that says its version.",
            Rule::RolloutRunning => "The rollout starts, is approved or resumed.",
            Rule::InAudience => "A rollout whose audience has the device.",
            Rule::InOpenPhase => match self.finding {
                Finding::NoPhase { .. } => "A rollout with a phase that takes it in.",
                _ => "The gates of the phases before open.",
            },
            Rule::WindowOpen => "The window opens.",
            Rule::Battery => "The battery charges, or the device runs on mains.",
            Rule::Power => "The device runs on mains.",
            Rule::MeteredLink => "The device uses a link that isn't metered.",
            Rule::Storage => "Space is freed on the device.",
            Rule::Stable => "The device restarts and stays up.",
            Rule::RetriesLeft => "An operator has the failed devices retried.",
            Rule::BackedOff => "Time passes.",
            Rule::InFlightLimit => match self.finding {
                Finding::Paced { .. } => "Time passes.",
                _ => "Attempts under way come to their end.",
            },
            Rule::NotHeld => "An operator lets the device go.",
            Rule::GoesFirst => "The other rollout is done with the device.",
        })
    }
}

/// Tells whether a rollout in a state still waits for its time.
fn is_to_begin(state: RolloutState) -> bool {
    matches!(
        state,
        RolloutState::Draft
            | RolloutState::AwaitingApproval
            | RolloutState::Scheduled
            | RolloutState::Running
    )
}

/// Returns a number of bytes as people read it, in powers of 1024.
fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} bytes");
    }
    let mut scaled = number as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while scaled >= 1024.0
        && let Some(next) = units.next()
    {
        scaled /= 1024.0;
        unit = Some(next);
    }
    format!("{scaled:.1} {}", unit.unwrap_or(&"bytes"))
}
