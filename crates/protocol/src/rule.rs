//! The rules of the decision and what they find, as data and in a person's words.

mod finding;
mod words;

use serde::{Deserialize, Serialize};

pub use finding::{Finding, WhoseWindow};

/// A rule that a device must pass, in the order in which they are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The device takes part.
    Accepted,
    /// The release has an artifact for its model.
    ModelFits,
    /// The dialect of the device API that it speaks carries the release.
    DialectFits,
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
    /// Its last failure is long enough ago.
    BackedOff,
    /// Not too many others are under way.
    InFlightLimit,
    /// No operator holds it.
    NotHeld,
    /// No other rollout goes first.
    GoesFirst,
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

impl Outcome {
    /// Tells whether it stands in the way until a person or a release changes it.
    pub fn is_lasting(&self) -> bool {
        let is_in_no_phase = matches!(self.finding, Finding::NoPhase { .. });
        !self.passes && (self.rule.is_lasting() || is_in_no_phase)
    }
}

impl Rule {
    /// Every rule, in the order in which they are walked.
    pub const ALL: [Self; 21] = [
        Self::Accepted,
        Self::ModelFits,
        Self::DialectFits,
        Self::NotOnIt,
        Self::NotADowngrade,
        Self::MinVersion,
        Self::MinBootloaderVersion,
        Self::RolloutRunning,
        Self::InAudience,
        Self::InOpenPhase,
        Self::WindowOpen,
        Self::Battery,
        Self::Power,
        Self::MeteredLink,
        Self::Storage,
        Self::Stable,
        Self::RetriesLeft,
        Self::BackedOff,
        Self::InFlightLimit,
        Self::NotHeld,
        Self::GoesFirst,
    ];

    /// Tells whether what fails it stays so until a person or a release changes it: such a device is not waited for.
    pub fn is_lasting(self) -> bool {
        match self {
            Self::Accepted
            | Self::ModelFits
            | Self::DialectFits
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
            | Self::BackedOff
            | Self::InFlightLimit
            | Self::GoesFirst => false,
        }
    }

    /// Returns the rule in a person's words, as what should be true.
    pub fn title(self) -> &'static str {
        match self {
            Self::Accepted => "The device takes part",
            Self::ModelFits => "The release fits its model",
            Self::DialectFits => "What it speaks carries the release",
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
            Self::BackedOff => "Its last failure is long enough ago",
            Self::InFlightLimit => "Not too many are under way",
            Self::NotHeld => "No operator holds it",
            Self::GoesFirst => "No other rollout goes first",
        }
    }
}
