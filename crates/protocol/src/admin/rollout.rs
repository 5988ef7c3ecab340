//! Rollouts and the fleet's state, as people see them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::admin::AttemptSummary;
use crate::gate::Tally;
use crate::gate::Verdict;
use crate::id::{Model, TemplateName};
use crate::release::Release;
use crate::rollout::Phase;
use crate::rollout::Rollout;
use crate::rollout::UnderWay;
use crate::time::Timestamp;
use crate::version::Version;

/// A rollout in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutSummary {
    /// The rollout.
    #[serde(flatten)]
    pub rollout: Rollout,
    /// Its release's version.
    pub version: Version,
    /// Models that its release fits.
    pub models: Vec<Model>,
    /// All its attempts.
    pub total: Tally,
    /// Its phases, in order.
    pub progress: Vec<PhaseProgress>,
    /// Attempts to go back, and devices that still have to; absent until it is rolled back.
    #[serde(default)]
    pub way_back: Option<Tally>,
}

/// How far a phase is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PhaseProgress {
    /// The phase.
    pub phase: Phase,
    /// Attempts that began in it, and devices that still have to.
    pub tally: Tally,
    /// What its gate says; absent unless the phase is the one that is open.
    pub verdict: Option<Verdict>,
}

/// A rollout with the attempts that need a person's eye.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutDetail {
    /// What a list shows.
    #[serde(flatten)]
    pub summary: RolloutSummary,
    /// The newest attempts that failed, at most 50.
    pub failures: Vec<AttemptSummary>,
    /// Reasons of failures, the most frequent first.
    pub failure_reasons: Vec<ReasonCount>,
    /// What its gates said, the newest first, at most 100.
    #[serde(default)]
    pub gates: Vec<GateEvaluation>,
}

/// What a gate said, from when to when, and of which counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GateEvaluation {
    /// The phase, from 0.
    pub phase: u32,
    /// What it said, with its numbers.
    pub verdict: Verdict,
    /// The counts it said it of.
    pub tally: Tally,
    /// When it first said so.
    pub since: Timestamp,
    /// When it was last asked with other counts than before.
    pub at: Timestamp,
}

/// How a rollout is made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default)]
pub struct Making {
    /// It waits to be started; until then it can be changed.
    pub draft: bool,
    /// The template that whatever the body doesn't say is taken from.
    pub template: Option<TemplateName>,
}

/// How a rollout is stopped for good.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Abort {
    /// Why, in a person's words.
    pub reason: String,
    /// What becomes of attempts under way.
    pub under_way: UnderWay,
}

/// How often a reason was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReasonCount {
    /// The devices' own words.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// A reason for something that a person did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct WithReason {
    /// In his words.
    pub reason: String,
}

/// The fleet at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overview {
    /// Devices by whether they take part.
    pub devices_by_state: BTreeMap<String, u64>,
    /// Accepted devices by model and version.
    pub versions: Vec<VersionCount>,
    /// Accepted devices seen within ten minutes.
    pub online: u64,
    /// Attempts that came to their end within 24 hours.
    pub last_day: Tally,
    /// Live rollouts, the newest first.
    pub rollouts: Vec<RolloutSummary>,
    /// Newest failures, at most 10.
    pub failures: Vec<AttemptSummary>,
    /// Releases that wait for their signature.
    pub drafts: Vec<Release>,
}

/// How many run something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionCount {
    /// The model.
    pub model: Model,
    /// What they run.
    pub version: Version,
    /// How many.
    pub devices: u64,
}
