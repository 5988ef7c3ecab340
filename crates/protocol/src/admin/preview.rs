//! What a rollout would do, before it does.

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, RolloutId};
use crate::rollout::{PhaseScope, RolloutState};
use crate::rule::Rule;
use crate::time::Timestamp;

/// What a rollout would do, or has yet to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutPreview {
    /// The rollout; absent for one that isn't made yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
    /// Where that rollout is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RolloutState>,
    /// When this was counted.
    pub at: Timestamp,
    /// Devices of the release's models that take part or ask to.
    pub devices: u64,
    /// Of those, the ones that the rollout is for.
    pub audience: u64,
    /// Of those, the ones that run the release already.
    pub on_it: u64,
    /// Its phases, in order; for one that rolls back, the way back alone.
    pub phases: Vec<PhasePreview>,
    /// Devices that still have to begin, in all phases.
    pub left: u64,
    /// Attempts under way, in all phases.
    pub under_way: u64,
    /// Attempts that finished, in all phases.
    pub finished: u64,
    /// Devices of the audience that any rule holds back now, each once; those that run the release already aside.
    pub held_devices: u64,
    /// What holds them back, the rule that holds the most first; a device that several rules hold counts for each.
    pub held: Vec<Held>,
    /// When it begins, or began.
    pub starts_at: Timestamp,
    /// When it will be done; absent where that can't be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Why that can't be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_end: Option<String>,
    /// When the last attempt ends of those that can be foreseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_finish_at: Option<Timestamp>,
    /// Finished attempts over time, to draw; at most 200 points.
    pub curve: Vec<CurvePoint>,
    /// What the forecast rests on.
    pub assumptions: Assumptions,
    /// What whoever starts it should know.
    pub warnings: Vec<PreviewWarning>,
}

/// What a phase would do, or has yet to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PhasePreview {
    /// Its name.
    pub name: String,
    /// Which devices it opens; absent for the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<PhaseScope>,
    /// All devices that it takes in, those that began already and those that are held too.
    pub devices: u64,
    /// Devices that still have to begin.
    pub left: u64,
    /// Of those, the ones of which nobody can say when they do.
    pub unreached: u64,
    /// Attempts of it under way.
    pub under_way: u64,
    /// Attempts of it that finished.
    pub finished: u64,
    /// Its devices that any rule holds back now, each once.
    pub held_devices: u64,
    /// What holds them back, the rule that holds the most first.
    pub held: Vec<Held>,
    /// When it begins, where it hasn't and that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// When its gate opens, where that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

/// Devices that a rule holds back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Held {
    /// The rule.
    pub rule: Rule,
    /// How many devices it holds back.
    pub devices: u64,
    /// Of those, the ones that it holds until a person or a release changes it: they aren't waited for.
    pub lasting: u64,
    /// One of them.
    pub device: DeviceId,
    /// Why that one is held.
    pub example: String,
}

/// How many attempts will have finished at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CurvePoint {
    /// At this time.
    pub at: Timestamp,
    /// So many.
    pub finished: u64,
}

/// What a forecast rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Assumptions {
    /// Seconds between two check-ins of a device.
    pub check_in_interval_sec: u32,
    /// Seconds that an attempt takes.
    pub attempt_sec: u64,
    /// Attempts of these models that this is the median of; with 0 it is a guess.
    pub attempts_measured: u64,
    /// Devices that have to begin and weren't seen for three intervals: they are not forecast.
    pub silent: u64,
}

/// Something that whoever starts a rollout should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviewWarning {
    /// What it is about, for programs.
    pub about: PreviewConcern,
    /// The phase that it is about, from 0, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<u32>,
    /// The same in words.
    pub text: String,
}

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PreviewConcern {
    /// The rollout is for no device.
    NoAudience,
    /// A phase takes in no device.
    EmptyPhase,
    /// Devices of the audience that no phase takes in.
    NoPhase,
    /// A gate waits for more attempts than its phase has devices.
    Sample,
    /// A window doesn't open within a year.
    Window,
    /// Another rollout gets devices first.
    Priority,
    /// Devices of earlier phases that still wait when it is over.
    LeftBehind,
    /// Which devices go first isn't known yet.
    Cohort,
    /// A person has to act first; the forecast takes it that he does now.
    Person,
    /// Devices that weren't seen lately.
    Silent,
}
