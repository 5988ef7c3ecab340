//! How a fleet is set up.

use std::path::{Path, PathBuf};

use crate::artifact_store::{ArtifactPlace, ArtifactRedirect};
use crate::clock::Clock;
use crate::database;

/// How a fleet is set up.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// `sqlite://path` or `postgres://…`.
    pub database_url: String,
    /// Where artifacts lie.
    pub artifacts: ArtifactPlace,
    /// Whether devices are sent there for them.
    pub artifacts_redirect: ArtifactRedirect,
    /// Hours that an artifact stays that is part of no release.
    pub artifacts_grace_hours: u32,
    /// Most bytes of one artifact.
    pub max_artifact_bytes: u64,
    /// Seconds between two check-ins of an idle device.
    pub check_in_interval_sec: u32,
    /// Seconds between two check-ins of a device whose attempt is under way.
    pub busy_check_in_interval_sec: u32,
    /// Devices kept in memory.
    pub max_known_devices: u64,
    /// Lets webhooks go to addresses that aren't public.
    pub webhooks_allow_private: bool,
    /// Days that the audit log's events are kept; without it all of them are.
    pub audit_keep_days: Option<u32>,
    /// What time it is.
    pub clock: Clock,
}

impl FleetConfig {
    /// Returns the usual setup for a database and a folder.
    pub fn new(database_url: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self {
            database_url: database_url.into(),
            artifacts: ArtifactPlace::Folder(folder.into()),
            artifacts_redirect: ArtifactRedirect::Off,
            artifacts_grace_hours: 24,
            max_artifact_bytes: 8 << 30,
            check_in_interval_sec: 60,
            busy_check_in_interval_sec: 10,
            max_known_devices: 1_000_000,
            webhooks_allow_private: false,
            audit_keep_days: None,
            clock: Clock::System,
        }
    }

    /// Returns the database's file, where it is a SQLite one: such a database is one server's at a time.
    pub fn sqlite_file(&self) -> Option<&Path> {
        database::sqlite_file(&self.database_url)
    }
}
