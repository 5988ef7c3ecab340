//! Releases on their way to an audience, in phases.

mod check;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use check::SpecError;

use crate::gate::Gate;
use crate::id::{DeviceId, GroupName, ReleaseId, RolloutId};
use crate::selector::Selector;
use crate::share::Share;
use crate::time::Timestamp;
use crate::window::Window;

/// Where a rollout is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Being written; offers nothing.
    Draft,
    /// Begins at its time.
    Scheduled,
    /// Offers its release.
    Running,
    /// Offers nothing; what is under way goes on.
    Paused,
    /// Every phase ended.
    Completed,
    /// Stopped for good; what wasn't applied yet is taken back.
    Aborted,
}

impl RolloutState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Draft,
        Self::Scheduled,
        Self::Running,
        Self::Paused,
        Self::Completed,
        Self::Aborted,
    ];

    /// Tells whether it may still offer something, now or later.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Scheduled | Self::Running | Self::Paused)
    }

    /// Returns the state as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Aborted => "aborted",
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

/// Who a rollout is for, among the devices of the release's models.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Audience {
    /// All.
    #[default]
    All,
    /// A share, by cohort.
    Percent {
        /// How much.
        share: Share,
    },
    /// Those listed.
    Devices {
        /// At least one.
        devices: Vec<DeviceId>,
    },
    /// A group's members.
    Group {
        /// Its name.
        group: GroupName,
    },
    /// Whatever a selector takes in.
    Selector {
        /// The selector.
        selector: Selector,
    },
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all devices"),
            Self::Percent { share } => write!(f, "{share} of devices"),
            Self::Devices { devices } => write!(f, "{} listed devices", devices.len()),
            Self::Group { group } => write!(f, "group {group}"),
            Self::Selector { selector } => write!(f, "{selector}"),
        }
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

/// Which part of the audience a phase opens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PhaseScope {
    /// Devices whose cohort lies below a share; includes the phases before.
    Share {
        /// How much.
        share: Share,
    },
    /// Members of a group, added to the phases before.
    Group {
        /// Its name.
        group: GroupName,
    },
}

impl fmt::Display for PhaseScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share { share } => write!(f, "{share}"),
            Self::Group { group } => write!(f, "group {group}"),
        }
    }
}

/// A step of a rollout, and what must hold before the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Phase {
    /// Its name, to people.
    pub name: String,
    /// Which devices it opens.
    pub scope: PhaseScope,
    /// What must hold before the next phase begins, or the rollout completes.
    #[serde(default)]
    pub gate: Gate,
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
    /// At least one, shares rising.
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
    /// Most failed attempts of one device, at least 1.
    #[serde(default = "one")]
    pub max_attempts: u32,
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
    /// When it begins, where not at once.
    #[serde(default)]
    pub starts_at: Option<Timestamp>,
}

fn one() -> u32 {
    1
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
}
