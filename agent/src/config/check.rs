//! One health check of the configuration.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::seconds::Seconds;

/// One check, with what kinds have in common.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    kind: Kind,
    // For `http`.
    url: Option<Url>,
    status: Option<u16>,
    contains: Option<String>,
    // For `command`.
    command: Option<Vec<String>>,
    #[serde(default = "timeout")]
    timeout_sec: Seconds,
    #[serde(default = "interval")]
    interval_sec: Seconds,
    /// Failures in a row that are forgiven; without it, all until the deadline.
    pub retries: Option<u32>,
    /// Successes in a row that it takes.
    #[serde(default = "successes")]
    pub successes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Http,
    Command,
    Process,
}

fn timeout() -> Seconds {
    Seconds::of(5)
}

fn interval() -> Seconds {
    Seconds::of(1)
}

fn successes() -> u32 {
    1
}

/// What a check looks at. `{version}` in its texts stands for the version that must be running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A GET request that must be answered.
    Http {
        /// What to ask for.
        url: Url,
        /// The status that counts; any from 200 to 299 without it.
        status: Option<u16>,
        /// What the body's first 64 KiB must hold.
        contains: Option<String>,
    },
    /// A program, run in the version's folder, that must exit with status 0.
    Command(Vec<String>),
    /// The service must be running.
    Process,
}

impl Check {
    /// Returns what the check looks at.
    pub fn probe(&self) -> Result<Probe, String> {
        let stray = |key: &str, is_set: bool| {
            if is_set {
                Err(format!("`{key}` belongs to another kind of check"))
            } else {
                Ok(())
            }
        };
        if self.kind != Kind::Http {
            stray("url", self.url.is_some())?;
            stray("status", self.status.is_some())?;
            stray("contains", self.contains.is_some())?;
        }
        if self.kind != Kind::Command {
            stray("command", self.command.is_some())?;
        }
        match (self.kind, &self.url, &self.command) {
            (Kind::Http, Some(url), _) if matches!(url.scheme(), "http" | "https") => {
                Ok(Probe::Http {
                    url: url.clone(),
                    status: self.status,
                    contains: self.contains.clone(),
                })
            }
            (Kind::Http, ..) => Err("needs `url`, an http:// or https:// address".to_owned()),
            (Kind::Command, _, Some(argv))
                if argv.first().is_some_and(|program| !program.is_empty()) =>
            {
                Ok(Probe::Command(argv.clone()))
            }
            (Kind::Command, ..) => {
                Err("needs `command`, a list of a program and its arguments".to_owned())
            }
            (Kind::Process, ..) => Ok(Probe::Process),
        }
    }

    /// Returns how long one try may take.
    pub fn timeout(&self) -> Duration {
        self.timeout_sec.get()
    }

    /// Returns the time between tries.
    pub fn interval(&self) -> Duration {
        self.interval_sec.get()
    }

    pub(super) fn validate(&self, has_service: bool) -> Result<(), String> {
        match self.probe()? {
            Probe::Process if !has_service => {
                Err("`process` needs a `[bundle.service]` to look at".to_owned())
            }
            _ if self.successes == 0 => Err("`successes` must be 1 or more".to_owned()),
            _ => Ok(()),
        }
    }
}
