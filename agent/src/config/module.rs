//! How `module` artifacts are installed: by an executable of the user's.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use otter_protocol::Version;
use serde::Deserialize;

use super::seconds::Seconds;

/// The `module` installer's section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleConfig {
    /// What is called with each verb.
    pub executable: PathBuf,
    /// More environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The version that came with the device, where the module has no `recover`.
    #[serde(default)]
    pub initial_version: Option<Version>,
    #[serde(default = "timeout")]
    timeout_sec: Seconds,
    #[serde(default)]
    verb_timeout_sec: BTreeMap<Verb, Seconds>,
}

fn timeout() -> Seconds {
    Seconds::of(300)
}

/// What a module is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Print what is installed.
    Recover,
    /// Put the artifact beside what runs.
    Prepare,
    /// Keep what is needed to go back.
    BackUp,
    /// Stop what runs.
    Stop,
    /// Make the artifact what starts next.
    Apply,
    /// Start it.
    Start,
    /// It stays.
    Commit,
    /// Make the old version what starts next.
    RollBack,
    /// Remove what nothing needs.
    Clean,
}

impl Verb {
    /// Returns the word that the module is called with.
    pub fn word(self) -> &'static str {
        match self {
            Self::Recover => "recover",
            Self::Prepare => "prepare",
            Self::BackUp => "back-up",
            Self::Stop => "stop",
            Self::Apply => "apply",
            Self::Start => "start",
            Self::Commit => "commit",
            Self::RollBack => "roll-back",
            Self::Clean => "clean",
        }
    }
}

impl ModuleConfig {
    /// Returns how long a call may take.
    pub fn timeout(&self, verb: Verb) -> Duration {
        let own = self.verb_timeout_sec.get(&verb);
        own.unwrap_or(&self.timeout_sec).get()
    }

    /// Returns the longest time that any call may take.
    pub fn longest_timeout(&self) -> Duration {
        let own = self.verb_timeout_sec.values().copied();
        let longest = own.map(Seconds::get).max().unwrap_or_default();
        longest.max(self.timeout_sec.get())
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.executable].into_iter()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let times = self.verb_timeout_sec.values().chain([&self.timeout_sec]);
        if times.into_iter().any(|time| time.get().is_zero()) {
            return Err("a `[module]`'s `timeout_sec` must be more than 0".to_owned());
        }
        Ok(())
    }
}
