//! Releases on their way to an audience, in phases.

mod audience;
mod check;
mod pace;
mod phase;
mod progress;
mod steering;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use audience::{Audience, Exclusions};
pub use check::SpecError;
pub use pace::{Growth, Pace};
pub use phase::{Phase, PhaseScope};
pub use progress::{Judged, Step};
pub use steering::{Steering, UnderWay};

use crate::id::{AttemptId, ReleaseId, RolloutId};
use crate::time::Timestamp;
use crate::window::Window;

/// Where a rollout is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Being written; offers nothing.
    Draft,
    /// Written; somebody other than its author has to let it begin.
    AwaitingApproval,
    /// Begins at its time.
    Scheduled,
    /// Offers its release.
    Running,
    /// Offers nothing; what is under way goes on.
    Paused,
    /// Every phase ended.
    Completed,
    /// Stopped for good.
    Aborted,
    /// Offers the devices that it updated their former version.
    RollingBack,
    /// Every device that it updated, and that could go back, did.
    RolledBack,
}

impl RolloutState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Draft,
        Self::AwaitingApproval,
        Self::Scheduled,
        Self::Running,
        Self::Paused,
        Self::Completed,
        Self::Aborted,
        Self::RollingBack,
        Self::RolledBack,
    ];

    /// Tells whether it may still offer something, now or later.
    pub fn is_live(self) -> bool {
        match self {
            Self::AwaitingApproval
            | Self::Scheduled
            | Self::Running
            | Self::Paused
            | Self::RollingBack => true,
            Self::Draft | Self::Completed | Self::Aborted | Self::RolledBack => false,
        }
    }

    /// Tells whether it has come to its end.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Aborted | Self::RolledBack)
    }

    /// Returns the state as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Aborted => "aborted",
            Self::RollingBack => "rolling_back",
            Self::RolledBack => "rolled_back",
        }
    }

    /// Returns the state that the API writes so.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for RolloutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which hash places devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CohortKind {
    /// The same devices go first every time.
    #[default]
    Fixed,
    /// The risk moves around the fleet.
    Spread,
}

/// What happens when a rate goes over its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnBreach {
    /// Stop offering and wait for a person.
    #[default]
    Pause,
    /// Stop for good.
    Abort,
    /// Offer the devices that it updated their former version.
    RollBack,
}

/// What a device must be like before an update may start; only what is set and what the device says counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Requirements {
    /// Least charge of a battery, 0 to 100; a device on mains passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_battery_percent: Option<u8>,
    /// Only on mains.
    pub needs_mains: bool,
    /// Not over a metered link, unless the release is required.
    pub avoids_metered: bool,
    /// Most crashes since boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_crashes: Option<u32>,
}

/// How a rollout goes about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutSpec {
    /// Its name, to people.
    pub name: String,
    /// What it brings.
    pub release: ReleaseId,
    /// Who it is for.
    #[serde(default)]
    pub audience: Audience,
    /// Who it is not for, all the same.
    #[serde(default, skip_serializing_if = "Exclusions::is_empty")]
    pub exclude: Exclusions,
    /// Only for devices that were enrolled when it began; otherwise those that join later are in, too.
    #[serde(default)]
    pub frozen: bool,
    /// At least one, shares rising.
    #[serde(default)]
    pub phases: Vec<Phase>,
    /// Which hash places devices.
    #[serde(default)]
    pub cohort: CohortKind,
    /// Where two rollouts want one device, the higher goes first, then the newer.
    #[serde(default)]
    pub priority: i32,
    /// Most attempts under way at once.
    #[serde(default)]
    pub max_in_flight: Option<u32>,
    /// Attempts that begin together within a phase: the next batch waits for the end of the one before.
    #[serde(default)]
    pub batch_size: Option<u32>,
    /// How many attempts begin in an hour.
    #[serde(default)]
    pub pace: Option<Pace>,
    /// Most failed attempts of one device, at least 1.
    #[serde(default = "one")]
    pub max_attempts: u32,
    /// Seconds until a device that failed may try again; doubles with each failure, up to a day.
    #[serde(default = "five_minutes")]
    pub retry_after_sec: u64,
    /// A device that failed so many times in a row, in whatever rollouts, is held until an operator lets it go.
    #[serde(default = "five")]
    pub hold_after: Option<u32>,
    /// Devices that weren't seen for so many seconds aren't waited for, so that a rollout can come to its end without
    /// them; they get their update where they come back before that.
    #[serde(default = "a_week")]
    pub unseen_after_sec: u64,
    /// Seconds without a word after which an attempt is timed out.
    #[serde(default = "an_hour")]
    pub attempt_deadline_sec: u64,
    /// When updates may start.
    #[serde(default)]
    pub window: Window,
    /// What a device must be like.
    #[serde(default)]
    pub requirements: Requirements,
    /// What happens on a breach.
    #[serde(default)]
    pub on_breach: OnBreach,
    /// Lets devices go back to a lower version.
    #[serde(default)]
    pub allow_downgrade: bool,
    /// Somebody other than its author has to let it begin.
    #[serde(default)]
    pub needs_approval: bool,
    /// When it begins, where not at once.
    #[serde(default)]
    pub starts_at: Option<Timestamp>,
}

fn one() -> u32 {
    1
}

fn five_minutes() -> u64 {
    300
}

fn five() -> Option<u32> {
    Some(5)
}

fn a_week() -> u64 {
    7 * 86_400
}

fn an_hour() -> u64 {
    3600
}

/// A rollout as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rollout {
    /// Its number on this server.
    pub id: RolloutId,
    /// How it goes about it.
    #[serde(flatten)]
    pub spec: RolloutSpec,
    /// Where it is in its life.
    pub state: RolloutState,
    /// Why it is there, where the engine or a person said so.
    pub state_reason: Option<String>,
    /// The phase that is open, from 0; the phases before it are open too.
    pub current_phase: u32,
    /// When the open phase's sample was complete.
    pub sampled_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
    /// Who let it begin, where somebody had to.
    #[serde(default)]
    pub approved_by: Option<String>,
    /// Who approved the gate of the open phase.
    #[serde(default)]
    pub gate_approved_by: Option<String>,
    /// Failures up to this attempt no longer count against their devices: somebody had them retried.
    #[serde(default)]
    pub retried_upto: Option<AttemptId>,
    /// Tells whether its end takes back what was under way.
    #[serde(default)]
    pub takes_back: bool,
}

/// Longest wait between two attempts of one device, in seconds.
const MAX_RETRY_AFTER_SEC: u64 = 86_400;

impl RolloutSpec {
    /// Returns a rollout to all devices of a release's models that says nothing else.
    pub fn new(name: impl Into<String>, release: ReleaseId, phases: Vec<Phase>) -> Self {
        Self {
            name: name.into(),
            release,
            audience: Audience::default(),
            exclude: Exclusions::default(),
            frozen: false,
            phases,
            cohort: CohortKind::default(),
            priority: 0,
            max_in_flight: None,
            batch_size: None,
            pace: None,
            max_attempts: one(),
            retry_after_sec: five_minutes(),
            hold_after: five(),
            unseen_after_sec: a_week(),
            attempt_deadline_sec: an_hour(),
            window: Window::default(),
            requirements: Requirements::default(),
            on_breach: OnBreach::default(),
            allow_downgrade: false,
            needs_approval: false,
            starts_at: None,
        }
    }

    /// Returns how long a device waits after so many failures in this rollout, in seconds.
    pub fn back_off_sec(&self, failures: usize) -> u64 {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 2_u64.checked_pow(doublings).unwrap_or(u64::MAX);
        self.retry_after_sec
            .saturating_mul(factor)
            .min(MAX_RETRY_AFTER_SEC.max(self.retry_after_sec))
    }
}
