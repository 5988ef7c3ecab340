//! A rollout as its form writes it: texts throughout, so that a wrong one is a problem of its field.

use serde::{Deserialize, Serialize};

/// A rollout's form.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RolloutForm {
    /// Its name, to people.
    pub(crate) name: String,
    /// The release's number.
    pub(crate) release: String,
    /// `all`, `percent`, `group`, `selector` or `devices`.
    pub(crate) audience: String,
    /// The audience's share, where it is one.
    pub(crate) percent: String,
    /// The audience's group, where it is one.
    pub(crate) group: String,
    /// The audience's selector, where it is one.
    pub(crate) selector: String,
    /// The audience's devices, where they are listed.
    pub(crate) devices: String,
    /// Rows, of which those without a share don't count.
    pub(crate) phases: Vec<PhaseForm>,
    /// Most attempts under way at once; empty for no limit.
    pub(crate) max_in_flight: String,
    /// `pause` or `abort`.
    pub(crate) on_breach: String,
    /// `point` or `confident`.
    pub(crate) judgement: String,
    /// `fixed` or `spread`.
    pub(crate) cohort: String,
    /// Most failed attempts of one device.
    pub(crate) max_attempts: String,
    /// How long an attempt may be silent.
    pub(crate) deadline: String,
    /// When it begins, in UTC, as a browser writes it; empty for at once.
    pub(crate) starts_at: String,
    /// Least charge of a battery.
    pub(crate) min_battery: String,
    /// `on` where only devices on mains may begin.
    pub(crate) needs_mains: String,
    /// `on` where no device on a metered link may begin.
    pub(crate) avoids_metered: String,
    /// `on` where devices may go back to a lower version.
    pub(crate) allow_downgrade: String,
}

/// A row of the form's phases.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PhaseForm {
    /// How much of the audience is open.
    pub(crate) share: String,
    /// Attempts that must finish; empty for all.
    pub(crate) min_finished: String,
    /// Time to wait after that.
    pub(crate) soak: String,
    /// Most failures, in percent; empty for no limit.
    pub(crate) max_failures: String,
}
