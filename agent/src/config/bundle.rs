//! How `bundle` artifacts are installed.

use std::path::PathBuf;

use otter_protocol::Version;
use serde::Deserialize;

use super::service::ServiceConfig;

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
    /// The service that runs from the bundle, where there is one.
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
        Ok(())
    }
}

fn max_unpacked_bytes() -> u64 {
    4 << 30
}

fn max_entries() -> u64 {
    100_000
}
