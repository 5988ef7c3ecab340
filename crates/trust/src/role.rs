//! The four roles that sign.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::TrustError;

/// One of TUF's four top-level roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Names the keys of every role; held by the publishers.
    Root,
    /// Names the artifacts that may be installed; held by the publishers.
    Targets,
    /// Names the current version of targets; held by the server.
    Snapshot,
    /// Names the current snapshot and proves that it is fresh; held by the server.
    Timestamp,
}

impl Role {
    /// All roles, in the order in which trust flows.
    pub const ALL: [Self; 4] = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];

    /// Returns the role's name in metadata.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }

    /// Returns the file's name under consistent snapshots: `7.snapshot.json`, but `timestamp.json`.
    #[must_use]
    pub fn file_name(self, version: u64) -> String {
        match self {
            Self::Timestamp => "timestamp.json".to_owned(),
            _ => format!("{version}.{self}.json"),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<Self, TrustError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| {
                TrustError::Refused(format!(
                    "{text:?} is no role. Use root, targets, snapshot or timestamp"
                ))
            })
    }
}
