//! The rules of the decision and what they find, as data and in a person's words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::device::DeviceState;
use crate::release::ReleaseState;
use crate::rollout::RolloutState;
use crate::share::Share;
use crate::time::Timestamp;
use crate::version::Version;

/// A rule that a device must pass, in the order in which they are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The device takes part.
    Accepted,
    /// The release has an artifact for its model.
    ModelFits,
    /// It doesn't run the release's version already.
    NotOnIt,
    /// The release is not older than what it runs, unless the rollout says so.
    NotADowngrade,
    /// What it runs can update to the release directly.
    MinVersion,
    /// Its boot loader can start the release.
    MinBootloaderVersion,
    /// The rollout is running and has begun.
    RolloutRunning,
    /// It is one of those the rollout is for.
    InAudience,
    /// A phase that is open takes it in.
    InOpenPhase,
    /// The window is open and nothing is frozen.
    WindowOpen,
    /// Its battery holds enough charge.
    Battery,
    /// It runs on mains, where the rollout asks for that.
    Power,
    /// Its link doesn't cost by the byte, where the rollout asks for that.
    MeteredLink,
    /// The artifact fits its storage.
    Storage,
    /// What it runs doesn't crash too often.
    Stable,
    /// It hasn't failed too often in this rollout.
    RetriesLeft,
    /// Not too many others are under way.
    InFlightLimit,
    /// No operator holds it.
    NotHeld,
}

/// What a rule found, with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// Nothing stands in the way, and there is no more to say.
    Passes,
    /// The device's state.
    DeviceState {
        /// As it is.
        state: DeviceState,
    },
    /// The release has nothing for the device's model.
    NoArtifact {
        /// The device's model.
        model: String,
    },
    /// The release's state.
    ReleaseState {
        /// As it is.
        state: ReleaseState,
    },
    /// Two versions that were compared.
    Versions {
        /// What the device has.
        device: Version,
        /// What the release has or asks for.
        release: Version,
    },
    /// The release asks for a boot loader version that the device doesn't say.
    BootloaderUnknown {
        /// What the release asks for.
        needed: Version,
    },
    /// The rollout's state.
    RolloutState {
        /// As it is.
        state: RolloutState,
        /// When it begins, where it is scheduled.
        starts_at: Option<Timestamp>,
    },
    /// A cohort against a share, both in percent.
    Cohort {
        /// The device's place, 0 to 100.
        cohort: f64,
        /// The share that is open.
        share: Share,
    },
    /// The device is not one of the audience.
    NotInAudience {
        /// Who the rollout is for.
        audience: String,
    },
    /// The open phases' scopes.
    Phase {
        /// The phase that takes the device in, or the one that is open, from 0.
        phase: u32,
        /// That phase's name.
        name: String,
        /// The device's place, 0 to 100.
        cohort: f64,
    },
    /// The window is closed.
    WindowClosed {
        /// When it opens; `None` where that is over a year away.
        opens_at: Option<Timestamp>,
        /// In this zone.
        zone: String,
    },
    /// A number that must not be under its limit.
    AtLeast {
        /// As it is.
        got: u64,
        /// The limit.
        least: u64,
    },
    /// A number that must not be over its limit.
    AtMost {
        /// As it is.
        got: u64,
        /// The limit.
        most: u64,
    },
    /// Runs on its battery.
    OnBattery,
    /// The link costs by the byte.
    Metered,
    /// The release is required, so a wish doesn't count.
    Required,
    /// An operator holds the device.
    Held {
        /// Why.
        reason: String,
    },
}

/// One rule's outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outcome {
    /// Which rule.
    pub rule: Rule,
    /// Whether it lets the device update.
    pub passes: bool,
    /// What it found.
    pub finding: Finding,
}

impl Rule {
    /// Tells whether what fails it stays so until a person or a release changes it: such a device is not waited for.
    pub fn is_lasting(self) -> bool {
        match self {
            Self::Accepted
            | Self::ModelFits
            | Self::NotOnIt
            | Self::NotADowngrade
            | Self::MinVersion
            | Self::MinBootloaderVersion
            | Self::InAudience
            | Self::RetriesLeft
            | Self::NotHeld => true,
            Self::RolloutRunning
            | Self::InOpenPhase
            | Self::WindowOpen
            | Self::Battery
            | Self::Power
            | Self::MeteredLink
            | Self::Storage
            | Self::Stable
            | Self::InFlightLimit => false,
        }
    }

    /// Returns the rule in a person's words, as what should be true.
    pub fn title(self) -> &'static str {
        match self {
            Self::Accepted => "The device takes part",
            Self::ModelFits => "The release fits its model",
            Self::NotOnIt => "It doesn't run the release yet",
            Self::NotADowngrade => "The release isn't older than what it runs",
            Self::MinVersion => "What it runs can update directly",
            Self::MinBootloaderVersion => "Its boot loader is new enough",
            Self::RolloutRunning => "The rollout is running",
            Self::InAudience => "The rollout is for it",
            Self::InOpenPhase => "Its phase is open",
            Self::WindowOpen => "The window is open",
            Self::Battery => "Its battery holds enough charge",
            Self::Power => "It runs on mains",
            Self::MeteredLink => "Its link isn't metered",
            Self::Storage => "The artifact fits its storage",
            Self::Stable => "It runs stably",
            Self::RetriesLeft => "It has attempts left",
            Self::InFlightLimit => "Not too many are under way",
            Self::NotHeld => "No operator holds it",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.finding {
            Finding::Passes => f.write_str("yes"),
            Finding::DeviceState { state } => write!(f, "the device is {}", state.as_str()),
            Finding::NoArtifact { model } => write!(f, "the release has nothing for model {model}"),
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
            Finding::RolloutState {
                state,
                starts_at: Some(start),
            } => write!(f, "the rollout is {state}, starts {start}"),
            Finding::RolloutState {
                state,
                starts_at: None,
            } => write!(f, "the rollout is {state}"),
            Finding::Cohort { cohort, share } => {
                write!(f, "cohort {cohort:.1} %, open below {share}")
            }
            Finding::NotInAudience { audience } => write!(f, "the rollout is for {audience}"),
            Finding::Phase { name, cohort, .. } if self.passes => {
                write!(f, "in phase {name}, cohort {cohort:.1} %")
            }
            Finding::Phase { name, cohort, .. } => {
                write!(f, "waits for phase {name}, cohort {cohort:.1} %")
            }
            Finding::WindowClosed {
                opens_at: Some(at),
                zone,
            } => write!(f, "opens at {at} ({zone})"),
            Finding::WindowClosed {
                opens_at: None,
                zone,
            } => write!(f, "doesn't open within a year ({zone})"),
            Finding::AtLeast { got, least } => write!(f, "has {got}, needs at least {least}"),
            Finding::AtMost { got, most } => write!(f, "{got} of at most {most}"),
            Finding::OnBattery => f.write_str("runs on its battery"),
            Finding::Metered => f.write_str("the link is metered"),
            Finding::Required => f.write_str("the link is metered, but the release is required"),
            Finding::Held { reason } => write!(f, "held: {reason}"),
        }
    }
}
