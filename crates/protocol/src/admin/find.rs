//! Anything that has a name, found by a part of it.

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, GroupName, Model, ReleaseId, RolloutId};
use crate::release::ReleaseState;
use crate::rollout::RolloutState;
use crate::version::Version;

/// What has a text in its name; of each kind the first few, those that begin with it before the others.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Found {
    /// Devices, by their ids.
    pub devices: Vec<FoundDevice>,
    /// Releases, by their versions.
    pub releases: Vec<FoundRelease>,
    /// Rollouts, by their names.
    pub rollouts: Vec<FoundRollout>,
    /// Groups, by their names.
    pub groups: Vec<GroupName>,
}

/// A device that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundDevice {
    /// Its own name.
    pub id: DeviceId,
    /// What hardware it is.
    pub model: Model,
    /// What it runs.
    pub version: Version,
}

/// A release that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundRelease {
    /// Its number.
    pub id: ReleaseId,
    /// Its version.
    pub version: Version,
    /// Whether it can be rolled out.
    pub state: ReleaseState,
}

/// A rollout that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundRollout {
    /// Its number.
    pub id: RolloutId,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub state: RolloutState,
}
