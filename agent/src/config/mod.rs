//! `otter-agent.toml`: what a person writes. `otter-agent.example.toml` explains every key.

mod check;
mod seconds;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use otter_protocol::{DeviceId, Model, Version};
use serde::Deserialize;
use url::Url;

pub use check::{Check, Probe};
use seconds::Seconds;

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server's address; device API calls go to `/device/v1` under it.
    pub server: Url,
    /// The device's own name.
    pub device_id: DeviceId,
    /// What hardware it is.
    pub model: Model,
    /// Where journal, key, token, trusted metadata and downloads are kept; one agent each.
    pub state_dir: PathBuf,
    /// Lets the device in at enrollment.
    #[serde(default)]
    pub enrollment_token: Option<String>,
    /// A file that holds the enrollment token, read at enrollment.
    #[serde(default)]
    pub enrollment_token_file: Option<PathBuf>,
    /// Root metadata that came with the device; without it, the first one that the server gives is trusted.
    #[serde(default)]
    pub root_metadata: Option<PathBuf>,
    /// What the device says of itself.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// How often to check in.
    #[serde(default)]
    pub check_in: CheckInPolicy,
    /// How to fetch.
    #[serde(default)]
    pub download: DownloadPolicy,
    /// How to try again.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// How `bundle` artifacts are installed.
    pub bundle: BundleConfig,
    /// What must hold for a new version to stay.
    #[serde(default)]
    pub health: HealthPolicy,
}

/// Bounds on the interval that the server asks for.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckInPolicy {
    min_interval_sec: Seconds,
    max_interval_sec: Seconds,
}

impl Default for CheckInPolicy {
    fn default() -> Self {
        Self {
            min_interval_sec: Seconds::of(1),
            max_interval_sec: Seconds::of(24 * 60 * 60),
        }
    }
}

impl CheckInPolicy {
    /// Returns the time to wait where the server asks for `sec` seconds.
    pub fn interval(&self, sec: u32) -> Duration {
        let (min, max) = (self.min_interval_sec.get(), self.max_interval_sec.get());
        Duration::from_secs(sec.into()).min(max).max(min)
    }
}

/// Limits on a download.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DownloadPolicy {
    stall_timeout_sec: Seconds,
    /// Largest artifact that is fetched, in bytes, whoever signed it.
    pub max_bytes: u64,
}

impl Default for DownloadPolicy {
    fn default() -> Self {
        Self {
            stall_timeout_sec: Seconds::of(30),
            max_bytes: 16 << 30,
        }
    }
}

impl DownloadPolicy {
    /// Returns how long a server may send nothing.
    pub fn stall_timeout(&self) -> Duration {
        self.stall_timeout_sec.get()
    }
}

/// Times between tries: a random part of `base · 2^n`, at most `max`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    base_sec: Seconds,
    max_sec: Seconds,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base_sec: Seconds::of(1),
            max_sec: Seconds::of(300),
        }
    }
}

impl RetryPolicy {
    /// Makes a policy of two times.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self {
            base_sec: Seconds(base),
            max_sec: Seconds(max),
        }
    }

    /// Returns the longest time to wait after `failures` failures, counted from 1.
    pub fn ceiling(&self, failures: u32) -> Duration {
        let factor = 2u32.saturating_pow(failures.saturating_sub(1).min(31));
        self.base_sec
            .get()
            .saturating_mul(factor)
            .min(self.max_sec.get())
    }
}

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

/// What must hold for a new version to stay.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthPolicy {
    deadline_sec: Seconds,
    settle_sec: Seconds,
    /// All of these must pass.
    pub check: Vec<Check>,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            deadline_sec: Seconds::of(60),
            settle_sec: Seconds::of(2),
            check: Vec::new(),
        }
    }
}

impl HealthPolicy {
    /// Returns how long all checks together may take to pass.
    pub fn deadline(&self) -> Duration {
        self.deadline_sec.get()
    }

    /// Returns how long the service must live after its start.
    pub fn settle(&self) -> Duration {
        self.settle_sec.get()
    }
}

/// A configuration can't be used; the text names the file, the place in it and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", file.display())]
pub struct ConfigError {
    file: PathBuf,
    reason: String,
}

impl Config {
    /// Reads a file. Relative paths in it are relative to its folder.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let error = |reason: String| ConfigError {
            file: file.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(file).map_err(|cause| {
            error(format!(
                "can't be read: {cause}. Name another with --config, or begin with otter-agent.example.toml"
            ))
        })?;
        let file = std::path::absolute(file).map_err(|cause| error(cause.to_string()))?;
        let folder = file.parent().unwrap_or(Path::new("/"));
        Self::parse(&text, folder).map_err(error)
    }

    /// Reads text; relative paths are relative to `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for path in config.paths() {
            *path = folder.join(&*path);
        }
        config.check()?;
        Ok(config)
    }

    /// Returns the token to enroll with, where there is one.
    pub fn enrollment_token(&self) -> std::io::Result<Option<String>> {
        match (&self.enrollment_token, &self.enrollment_token_file) {
            (Some(token), _) => Ok(Some(token.trim().to_owned())),
            (None, Some(file)) => Ok(Some(std::fs::read_to_string(file)?.trim().to_owned())),
            (None, None) => Ok(None),
        }
    }

    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.state_dir, &mut self.bundle.root]
            .into_iter()
            .chain(&mut self.enrollment_token_file)
            .chain(&mut self.root_metadata)
            .chain(&mut self.bundle.initial)
    }

    fn check(&self) -> Result<(), String> {
        if !matches!(self.server.scheme(), "http" | "https") || self.server.cannot_be_a_base() {
            return Err("`server` must be an http:// or https:// address".to_owned());
        }
        if self.enrollment_token.is_some() && self.enrollment_token_file.is_some() {
            return Err("set `enrollment_token` or `enrollment_token_file`, not both".to_owned());
        }
        if self.check_in.min_interval_sec.get() > self.check_in.max_interval_sec.get() {
            return Err("`check_in.min_interval_sec` is more than `max_interval_sec`".to_owned());
        }
        if self.bundle.initial.is_some() != self.bundle.initial_version.is_some() {
            return Err("`bundle.initial` and `bundle.initial_version` go together".to_owned());
        }
        let service = self.bundle.service.as_ref();
        if service.is_some_and(|service| service.command.first().is_none_or(String::is_empty)) {
            return Err("`bundle.service.command` needs a program to run".to_owned());
        }
        if self.health.settle() >= self.health.deadline() {
            return Err("`health.settle_sec` must be less than `health.deadline_sec`".to_owned());
        }
        for (place, check) in self.health.check.iter().enumerate() {
            check
                .validate(service.is_some())
                .map_err(|reason| format!("`[[health.check]]` number {}: {reason}", place + 1))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
