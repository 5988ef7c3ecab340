//! A phase's attempts, counted.

use serde::{Deserialize, Serialize};

/// A phase's attempts, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tally {
    /// Ended on the new version.
    pub succeeded: u64,
    /// Given up on the old version.
    pub failed: u64,
    /// Back on the old version.
    pub rolled_back: u64,
    /// No word for the deadline.
    pub timed_out: u64,
    /// Ended on a release on the way to the rollout's; count in no rate.
    #[serde(default)]
    pub stepped: u64,
    /// Of those that succeeded, devices that say they are unhealthy now.
    #[serde(default)]
    pub unhealthy: u64,
    /// Taken back by the server, or superseded; count in no rate.
    pub cancelled: u64,
    /// Offered and not at their end.
    pub under_way: u64,
    /// Devices of the phase that still have to begin; `None` while nobody has counted.
    pub waiting: Option<u64>,
}

impl Tally {
    /// Returns the attempts that count in rates.
    pub fn finished(&self) -> u64 {
        self.succeeded + self.failures()
    }

    /// Returns the attempts that ended as failures.
    pub fn failures(&self) -> u64 {
        self.failed + self.rolled_back + self.timed_out
    }

    /// Tells whether every device of the phase is at its end.
    pub fn is_exhausted(&self) -> bool {
        self.under_way == 0 && self.waiting == Some(0)
    }

    /// Adds another phase's attempts.
    pub fn plus(self, other: Self) -> Self {
        Self {
            succeeded: self.succeeded + other.succeeded,
            failed: self.failed + other.failed,
            rolled_back: self.rolled_back + other.rolled_back,
            timed_out: self.timed_out + other.timed_out,
            stepped: self.stepped + other.stepped,
            unhealthy: self.unhealthy + other.unhealthy,
            cancelled: self.cancelled + other.cancelled,
            under_way: self.under_way + other.under_way,
            waiting: self.waiting.zip(other.waiting).map(|(a, b)| a + b),
        }
    }

    /// Returns the tally with seen failures counted as finished without one, so that they fill the sample and breach
    /// nothing.
    pub fn without(self, forgiven: &Self) -> Self {
        let left = |now: u64, seen: u64| now.saturating_sub(seen);
        let fewer = Self {
            failed: left(self.failed, forgiven.failed),
            rolled_back: left(self.rolled_back, forgiven.rolled_back),
            timed_out: left(self.timed_out, forgiven.timed_out),
            unhealthy: left(self.unhealthy, forgiven.unhealthy),
            ..self
        };
        Self {
            succeeded: self.succeeded + (self.failures() - fewer.failures()),
            ..fewer
        }
    }
}
