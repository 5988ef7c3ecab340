//! How the device restarts.

use std::time::Duration;

use serde::Deserialize;

use super::seconds::Seconds;

/// How the device restarts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestartConfig {
    /// The program that restarts the device; what the boot loader is to be told comes as one more argument.
    pub command: Vec<String>,
    deadline_sec: Seconds,
    /// How often a new system may be booted before it is given up: a boot that was cut off isn't the system's fault.
    pub tries: u32,
}

impl Default for RestartConfig {
    fn default() -> Self {
        Self {
            command: vec!["reboot".to_owned()],
            deadline_sec: Seconds::of(300),
            tries: 3,
        }
    }
}

impl RestartConfig {
    /// Returns how long the device may take to go down.
    pub fn deadline(&self) -> Duration {
        self.deadline_sec.get()
    }
}
