//! What is kept before an update, and put back where it is taken back.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::seconds::Seconds;

/// What is kept before an update, and put back where it is taken back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupConfig {
    /// Files and folders that versions write to: their data, not themselves.
    pub paths: Vec<PathBuf>,
    /// A program that is run before, to bring the data into a state that can be copied; it must exit with status 0.
    pub before: Option<Vec<String>>,
    timeout_sec: Seconds,
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            before: None,
            timeout_sec: Seconds::of(300),
        }
    }
}

impl BackupConfig {
    /// Returns how long the program may take.
    pub fn timeout(&self) -> Duration {
        self.timeout_sec.get()
    }
}
