//! Releases on their way to an audience, in phases.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::gate::Gate;
use crate::id::{DeviceId, GroupName, ReleaseId, RolloutId};
use crate::selector::Selector;
use crate::share::Share;
use crate::time::Timestamp;
use crate::window::{Window, WindowError};

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

/// A rollout that can't work as written: the field, and why.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct SpecError {
    /// The field, as a path such as `phases[1].scope.share`.
    pub field: String,
    /// What is wrong and what would be right.
    pub why: String,
}

impl SpecError {
    fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            why: why.into(),
        }
    }
}

impl RolloutSpec {
    /// Checks what can be checked without the database.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.name.trim().is_empty() || self.name.len() > 200 {
            return Err(SpecError::new(
                "name",
                "a rollout needs a name of at most 200 bytes",
            ));
        }
        if self.max_attempts == 0 {
            return Err(SpecError::new(
                "max_attempts",
                "a device needs at least 1 attempt",
            ));
        }
        if self.max_in_flight == Some(0) {
            return Err(SpecError::new(
                "max_in_flight",
                "with 0 no device could ever begin; leave it out for no limit",
            ));
        }
        if self.attempt_deadline_sec == 0 {
            return Err(SpecError::new(
                "attempt_deadline_sec",
                "an attempt needs some time; give at least 1 second",
            ));
        }
        if self
            .requirements
            .min_battery_percent
            .is_some_and(|percent| percent > 100)
        {
            return Err(SpecError::new(
                "requirements.min_battery_percent",
                "a battery holds at most 100 percent",
            ));
        }
        self.check_audience()?;
        self.window
            .check()
            .map_err(|error: WindowError| SpecError::new("window", error.to_string()))?;
        self.check_phases()
    }

    fn check_audience(&self) -> Result<(), SpecError> {
        match &self.audience {
            Audience::Devices { devices } if devices.is_empty() => Err(SpecError::new(
                "audience.devices",
                "list at least one device",
            )),
            Audience::Percent { share } if *share == Share::NONE => Err(SpecError::new(
                "audience.share",
                "0 percent is nobody; give more than 0",
            )),
            _ => Ok(()),
        }
    }

    fn check_phases(&self) -> Result<(), SpecError> {
        if self.phases.is_empty() {
            return Err(SpecError::new(
                "phases",
                "a rollout needs at least one phase",
            ));
        }
        let mut before = Share::NONE;
        for (place, phase) in self.phases.iter().enumerate() {
            if phase.name.trim().is_empty() || phase.name.len() > 100 {
                return Err(SpecError::new(
                    format!("phases[{place}].name"),
                    "a phase needs a name of at most 100 bytes",
                ));
            }
            if let PhaseScope::Share { share } = phase.scope {
                if share <= before {
                    let why = format!(
                        "shares must rise from phase to phase: {share} does not come after {before}"
                    );
                    return Err(SpecError::new(format!("phases[{place}].scope.share"), why));
                }
                before = share;
            }
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(shares: &[f64]) -> RolloutSpec {
        let phase = |share: &f64| serde_json::json!({"name": format!("{share}"), "scope": {"kind": "share", "share": share}});
        let phases: Vec<_> = shares.iter().map(phase).collect();
        serde_json::from_value(serde_json::json!({"name": "r", "release": 1, "phases": phases}))
            .unwrap()
    }

    #[test]
    fn little_is_needed() {
        let spec = spec(&[5.0, 25.0, 100.0]);
        assert_eq!(spec.check(), Ok(()));
        assert_eq!((spec.max_attempts, spec.attempt_deadline_sec), (1, 3600));
    }

    #[test]
    fn each_fault_names_its_field() {
        let field = |spec: RolloutSpec| spec.check().unwrap_err().field;
        assert_eq!(field(spec(&[])), "phases");
        assert_eq!(field(spec(&[25.0, 5.0])), "phases[1].scope.share");
        assert_eq!(field(spec(&[0.0])), "phases[0].scope.share");
        assert_eq!(
            field(RolloutSpec {
                name: " ".into(),
                ..spec(&[5.0])
            }),
            "name"
        );
        assert_eq!(
            field(RolloutSpec {
                max_in_flight: Some(0),
                ..spec(&[5.0])
            }),
            "max_in_flight"
        );
        assert_eq!(
            field(RolloutSpec {
                audience: Audience::Devices { devices: vec![] },
                ..spec(&[5.0])
            }),
            "audience.devices"
        );
        let zone = Window {
            zone: Some("Nowhere/At".into()),
            ..Window::default()
        };
        assert_eq!(
            field(RolloutSpec {
                window: zone,
                ..spec(&[5.0])
            }),
            "window"
        );
    }

    #[test]
    fn percentages_out_of_range_do_not_parse() {
        let json = r#"{"name":"r","release":1,"phases":[{"name":"a","scope":{"kind":"share","share":120}}]}"#;
        let error = serde_json::from_str::<RolloutSpec>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains("from 0 to 100, not 120"), "{error}");
    }
}
