//! How `bundle` artifacts are installed, and the program that is kept running from them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use otter_protocol::Version;
use serde::Deserialize;

use super::RetryPolicy;
use super::seconds::Seconds;

/// The `bundle` installer's section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleConfig {
    /// Holds `versions/` and the link `current`.
    pub root: PathBuf,
    /// A folder with the version that the device starts with, copied once where there is no `current` yet.
    #[serde(default)]
    pub initial: Option<PathBuf>,
    /// That version's name.
    #[serde(default)]
    pub initial_version: Option<Version>,
    /// Most bytes that a bundle may unpack to.
    #[serde(default = "max_unpacked_bytes")]
    pub max_unpacked_bytes: u64,
    /// Most files and folders that a bundle may hold.
    #[serde(default = "max_entries")]
    pub max_entries: u64,
    /// The program that the agent keeps running, where there is one.
    #[serde(default)]
    pub service: Option<ServiceConfig>,
}

impl BundleConfig {
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.root].into_iter().chain(&mut self.initial)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.initial.is_some() != self.initial_version.is_some() {
            return Err("`bundle.initial` and `bundle.initial_version` go together".to_owned());
        }
        let service = self.service.as_ref();
        if service.is_some_and(|service| service.command.first().is_none_or(String::is_empty)) {
            return Err("`bundle.service.command` needs a program to run".to_owned());
        }
        Ok(())
    }
}

fn max_unpacked_bytes() -> u64 {
    4 << 30
}

fn max_entries() -> u64 {
    100_000
}

/// A program that the agent keeps running.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// Program and arguments, run in the version's folder; a relative path with a `/` is looked for there.
    pub command: Vec<String>,
    /// More environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default = "stop_grace")]
    stop_grace_sec: Seconds,
    #[serde(default = "restart_min")]
    restart_min_sec: Seconds,
    #[serde(default = "restart_max")]
    restart_max_sec: Seconds,
}

fn stop_grace() -> Seconds {
    Seconds::of(10)
}

fn restart_min() -> Seconds {
    Seconds::of(1)
}

fn restart_max() -> Seconds {
    Seconds::of(60)
}

impl ServiceConfig {
    /// Returns how long the service may take to stop before it is killed.
    pub fn stop_grace(&self) -> Duration {
        self.stop_grace_sec.get()
    }

    /// Returns the times between restarts of a service that keeps dying.
    pub fn restarts(&self) -> RetryPolicy {
        RetryPolicy {
            base_sec: self.restart_min_sec,
            max_sec: self.restart_max_sec,
        }
    }
}
