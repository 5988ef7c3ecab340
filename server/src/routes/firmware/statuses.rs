//! What this dialect calls the states of an attempt.

use otter_protocol::AttemptState;
use serde::{Deserialize, Serialize};

/// Where an update is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Offered.
    Pending,
    /// The bytes are on their way.
    Downloading,
    /// The bytes are there and have the checksum.
    Downloaded,
    /// They are being applied.
    Installing,
    /// The device runs the version.
    Success,
    /// It was given up.
    Failed,
    /// It was tried, and the old version is back.
    RolledBack,
}

impl Status {
    /// Returns the state that a device means by it.
    pub(super) fn state(self) -> AttemptState {
        match self {
            Self::Pending => AttemptState::Offered,
            Self::Downloading => AttemptState::Downloading,
            Self::Downloaded => AttemptState::Downloaded,
            Self::Installing => AttemptState::Installing,
            Self::Success => AttemptState::Succeeded,
            Self::Failed => AttemptState::Failed,
            Self::RolledBack => AttemptState::RolledBack,
        }
    }

    /// Returns what comes nearest to a state.
    pub(super) fn of(state: AttemptState) -> Self {
        match state {
            AttemptState::Offered => Self::Pending,
            AttemptState::Downloading => Self::Downloading,
            AttemptState::Downloaded => Self::Downloaded,
            AttemptState::Installing | AttemptState::Rebooting | AttemptState::Verifying => {
                Self::Installing
            }
            AttemptState::Succeeded => Self::Success,
            AttemptState::RolledBack => Self::RolledBack,
            AttemptState::Failed
            | AttemptState::Cancelled
            | AttemptState::TimedOut
            | AttemptState::Superseded => Self::Failed,
        }
    }

    /// Returns the status as it is written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Downloading => "downloading",
            Self::Downloaded => "downloaded",
            Self::Installing => "installing",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_says_is_read_back_as_it_was_said() {
        for state in AttemptState::ALL {
            let status = Status::of(state);
            assert_eq!(Status::of(status.state()), status);
            let written = serde_json::to_string(&status).unwrap();
            assert_eq!(written, format!("\"{}\"", status.as_str()));
        }
    }
}
