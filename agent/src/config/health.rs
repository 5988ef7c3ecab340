//! What must hold for a new version to stay.

use std::time::Duration;

use serde::Deserialize;

use super::check::Check;
use super::seconds::Seconds;

/// What must hold for a new version to stay.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthPolicy {
    deadline_sec: Seconds,
    settle_sec: Seconds,
    /// All of these must pass.
    pub check: Vec<Check>,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            deadline_sec: Seconds::of(60),
            settle_sec: Seconds::of(2),
            check: Vec::new(),
        }
    }
}

impl HealthPolicy {
    /// Returns how long all checks together may take to pass.
    pub fn deadline(&self) -> Duration {
        self.deadline_sec.get()
    }

    /// Returns how long the service must live after its start.
    pub fn settle(&self) -> Duration {
        self.settle_sec.get()
    }
}
