//! What a person may do to a rollout, and when.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::RolloutState;

/// What becomes of attempts under way when their rollout ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnderWay {
    /// What wasn't applied yet is taken back.
    #[default]
    Cancel,
    /// They go on to their end.
    Finish,
}

/// What a person does to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Steering {
    /// Ends the writing of a draft: it begins, waits for its time, or for its approval.
    Start,
    /// Lets a rollout of somebody else's begin.
    Approve,
    /// Stops offers; what is under way goes on.
    Pause,
    /// Goes on; failures that are known by now no longer stop it.
    Resume,
    /// Lets the open phase's gate open, where it waits for a person.
    ApproveGate,
    /// Goes on to the next phase whatever the gate says.
    SkipGate,
    /// Stops for good.
    Abort(UnderWay),
    /// Offers the devices that it updated what they ran before.
    RollBack,
    /// Lets the devices that failed try again.
    RetryFailed,
}

impl Steering {
    /// Returns the states in which it can be done.
    pub fn possible_in(self) -> &'static [RolloutState] {
        use RolloutState::{
            Aborted, AwaitingApproval, Completed, Draft, Paused, RollingBack, Running, Scheduled,
        };
        match self {
            Self::Start => &[Draft],
            Self::Approve => &[AwaitingApproval],
            Self::Pause => &[Running, Scheduled],
            Self::Resume => &[Paused],
            Self::ApproveGate => &[Running, Paused],
            Self::SkipGate => &[Running, Paused],
            Self::Abort(_) => &[
                Draft,
                AwaitingApproval,
                Scheduled,
                Running,
                Paused,
                RollingBack,
            ],
            Self::RollBack => &[Running, Paused, Completed, Aborted],
            Self::RetryFailed => &[Running, Paused, Completed],
        }
    }

    /// Tells whether a person has to say why.
    pub fn needs_reason(self) -> bool {
        matches!(self, Self::SkipGate)
    }

    /// Returns the audit log's word for it.
    pub fn action(self) -> &'static str {
        match self {
            Self::Start => "rollout.submit",
            Self::Approve => "rollout.approve",
            Self::Pause => "rollout.pause",
            Self::Resume => "rollout.resume",
            Self::ApproveGate => "rollout.approve_gate",
            Self::SkipGate => "rollout.skip_gate",
            Self::Abort(_) => "rollout.abort",
            Self::RollBack => "rollout.roll_back",
            Self::RetryFailed => "rollout.retry_failed",
        }
    }
}

impl fmt::Display for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "started",
            Self::Approve => "approved",
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::ApproveGate => "let through its gate",
            Self::SkipGate => "made to skip its gate",
            Self::Abort(_) => "aborted",
            Self::RollBack => "rolled back",
            Self::RetryFailed => "made to retry",
        })
    }
}
