//! Devices that a person should look at.

use serde::{Deserialize, Serialize};

use crate::id::DeviceId;
use crate::time::Timestamp;

/// Devices that a person should look at; of each kind the first few by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Attention {
    /// Devices whose newest updates failed, those that failed most often first.
    pub failing: Vec<FailingDevice>,
    /// How many there are, among the `counted` that failed most often.
    pub failing_count: u64,
    /// Accepted devices that weren't seen for a day, those seen last first.
    pub silent: Vec<SilentDevice>,
    /// How many there are, among the `counted` that were seen last before that day.
    pub silent_count: u64,
    /// How many of each kind are counted at most.
    pub counted: u64,
}

/// A device whose updates fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailingDevice {
    /// Its own name.
    pub id: DeviceId,
    /// How many of its attempts failed, one after another.
    pub failures: u32,
}

/// A device that fell silent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SilentDevice {
    /// Its own name.
    pub id: DeviceId,
    /// When it was last seen.
    pub last_seen_at: Timestamp,
}
