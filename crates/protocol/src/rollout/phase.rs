//! The steps of a rollout.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::gate::Gate;
use crate::id::GroupName;
use crate::share::Share;

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
    /// So many devices more than the phases before: those that ask first.
    Count {
        /// How many, at least 1.
        devices: u32,
    },
}

impl fmt::Display for PhaseScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share { share } => write!(f, "{share}"),
            Self::Group { group } => write!(f, "group {group}"),
            Self::Count { devices: 1 } => f.write_str("1 device"),
            Self::Count { devices } => write!(f, "{devices} devices"),
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
