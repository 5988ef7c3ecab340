//! The steps of an attempt.

use otter_protocol::AttemptState;
use serde::{Deserialize, Serialize};

/// The steps of an attempt, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Is the offer signed for this device?
    Checking,
    /// Its bytes are fetched.
    Downloading,
    /// They are hashed and unpacked beside what runs.
    Verifying,
    /// What the old version needs to come back is kept.
    BackingUp,
    /// What runs is stopped.
    Stopping,
    /// The new version takes its place.
    Applying,
    /// The new version is started.
    Starting,
    /// The device restarts into it.
    Rebooting,
    /// The new version must prove itself.
    HealthCheck,
    /// It stays.
    Committing,
    /// The old version comes back.
    RollingBack,
}

impl Step {
    /// Returns what the server is told when the step begins, where it is told anything.
    pub fn reported_as(self) -> Option<AttemptState> {
        match self {
            Self::Checking | Self::BackingUp | Self::Applying | Self::Starting => None,
            Self::Committing | Self::RollingBack => None,
            Self::Downloading => Some(AttemptState::Downloading),
            Self::Verifying => Some(AttemptState::Downloaded),
            Self::Stopping => Some(AttemptState::Installing),
            Self::Rebooting => Some(AttemptState::Rebooting),
            Self::HealthCheck => Some(AttemptState::Verifying),
        }
    }

    /// Tells whether what ran before still runs, so that the attempt can be given up without a trace.
    pub fn is_before_change(self) -> bool {
        self < Self::Stopping
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Checking => "checking",
            Self::Downloading => "downloading",
            Self::Verifying => "verifying",
            Self::BackingUp => "backing up",
            Self::Stopping => "stopping",
            Self::Applying => "applying",
            Self::Starting => "starting",
            Self::Rebooting => "rebooting",
            Self::HealthCheck => "health check",
            Self::Committing => "committing",
            Self::RollingBack => "rolling back",
        })
    }
}
