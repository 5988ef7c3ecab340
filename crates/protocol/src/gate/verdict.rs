//! What a gate says of a phase.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::share::Share;
use crate::time::Timestamp;

/// Something that is counted among finished attempts and has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// Failed, rolled back or timed out.
    Failure,
    /// Rolled back.
    Rollback,
    /// Timed out.
    Silence,
    /// Succeeded, and unhealthy since.
    Unhealthy,
}

impl Rate {
    /// Returns what happened to those that are counted.
    pub fn words(self) -> &'static str {
        match self {
            Self::Failure => "failed",
            Self::Rollback => "rolled back",
            Self::Silence => "fell silent",
            Self::Unhealthy => "became unhealthy",
        }
    }
}

/// Which rate went over its limit, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Breach {
    /// Which rate.
    pub rate: Rate,
    /// Attempts that ended so.
    pub count: u64,
    /// Attempts that finished.
    pub finished: u64,
    /// The limit.
    pub limit: Share,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            finished,
            limit,
            rate,
        } = self;
        let percent = *count as f64 / (*finished).max(1) as f64 * 100.0;
        write!(
            f,
            "{count} of {finished} {}, {percent:.1} %, limit {limit}",
            rate.words()
        )
    }
}

/// What a gate says of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// More attempts must finish first.
    Sampling {
        /// Finished so far.
        finished: u64,
        /// How many must; `None` means all the phase's devices.
        needed: Option<u64>,
    },
    /// The sample is complete; time has to pass.
    Soaking {
        /// Until then.
        until: Timestamp,
    },
    /// Time has passed; a person has to let it go on.
    AwaitingApproval,
    /// A rate is over its limit.
    Breached(Breach),
    /// The next phase may begin.
    Open,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sampling {
                finished,
                needed: Some(needed),
            } => write!(f, "{finished} of {needed} attempts finished"),
            Self::Sampling {
                finished,
                needed: None,
            } => write!(f, "{finished} finished, all devices must"),
            Self::Soaking { until } => write!(f, "soaks until {until}"),
            Self::AwaitingApproval => f.write_str("waits for a person's approval"),
            Self::Breached(breach) => write!(f, "{breach}"),
            Self::Open => f.write_str("open"),
        }
    }
}
