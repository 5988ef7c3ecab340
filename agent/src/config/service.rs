//! The service that goes with a bundle, and who keeps it running.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::RetryPolicy;
use super::check::is_unit_name;
use super::seconds::Seconds;

/// The service that goes with a bundle.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Keys")]
pub struct ServiceConfig {
    /// Who keeps it running.
    pub kind: ServiceKind,
    /// More environment variables.
    pub env: BTreeMap<String, String>,
    stop_grace: Duration,
    restarts: RetryPolicy,
}

/// Who keeps a service running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceKind {
    /// The agent: program and arguments, run in the version's folder; a relative path with a `/` is looked for there.
    Command(Vec<String>),
    /// systemd.
    Unit {
        /// The unit's name.
        name: String,
        /// How long systemd may take to start or stop it.
        timeout: Duration,
    },
    /// Somebody else, who is told by programs that are run in the version's folder.
    Commands {
        /// Starts it.
        start: Vec<String>,
        /// Stops it.
        stop: Vec<String>,
        /// How long each may take.
        timeout: Duration,
    },
}

impl ServiceConfig {
    /// Returns how long the service may take to stop before it is killed.
    pub fn stop_grace(&self) -> Duration {
        self.stop_grace
    }

    /// Returns the times between restarts of a service that keeps dying.
    pub fn restarts(&self) -> RetryPolicy {
        self.restarts
    }

    /// Tells whether anybody sees how the service runs.
    pub fn is_watched(&self) -> bool {
        !matches!(self.kind, ServiceKind::Commands { .. })
    }

    /// Returns how long it may take to stop and start the service.
    pub fn patience(&self) -> Duration {
        match &self.kind {
            ServiceKind::Command(_) => self.stop_grace,
            ServiceKind::Unit { timeout, .. } | ServiceKind::Commands { timeout, .. } => {
                timeout.saturating_mul(2)
            }
        }
    }
}

/// What a person writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    command: Option<Vec<String>>,
    unit: Option<String>,
    start: Option<Vec<String>>,
    stop: Option<Vec<String>>,
    env: Option<BTreeMap<String, String>>,
    timeout_sec: Option<Seconds>,
    stop_grace_sec: Option<Seconds>,
    restart_min_sec: Option<Seconds>,
    restart_max_sec: Option<Seconds>,
}

impl TryFrom<Keys> for ServiceConfig {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let kind = keys.kind()?;
        keys.has_only_keys_of(&kind)?;
        let or = |key: Option<Seconds>, sec| key.unwrap_or(Seconds::of(sec));
        Ok(Self {
            kind,
            stop_grace: or(keys.stop_grace_sec, 10).get(),
            restarts: RetryPolicy::new(
                or(keys.restart_min_sec, 1).get(),
                or(keys.restart_max_sec, 60).get(),
            ),
            env: keys.env.unwrap_or_default(),
        })
    }
}

impl Keys {
    fn kind(&self) -> Result<ServiceKind, String> {
        // As long as systemd itself gives a unit.
        let timeout = self.timeout_sec.unwrap_or(Seconds::of(90)).get();
        match (&self.command, &self.unit, &self.start, &self.stop) {
            (Some(command), None, None, None) => {
                Ok(ServiceKind::Command(program("command", command)?))
            }
            (None, Some(name), None, None) => {
                is_unit_name(name)
                    .map_err(|error| format!("`bundle.service.unit`: {error}"))?;
                Ok(ServiceKind::Unit {
                    name: name.clone(),
                    timeout,
                })
            }
            (None, None, Some(start), Some(stop)) => Ok(ServiceKind::Commands {
                start: program("start", start)?,
                stop: program("stop", stop)?,
                timeout,
            }),
            _ => Err(
                "`[bundle.service]` needs one of `command`, `unit`, or `start` together with `stop`"
                    .to_owned(),
            ),
        }
    }

    fn has_only_keys_of(&self, kind: &ServiceKind) -> Result<(), String> {
        let is_ours = matches!(kind, ServiceKind::Command(_));
        let is_unit = matches!(kind, ServiceKind::Unit { .. });
        let keys = [
            ("env", self.env.is_some(), !is_unit),
            ("timeout_sec", self.timeout_sec.is_some(), !is_ours),
            ("stop_grace_sec", self.stop_grace_sec.is_some(), is_ours),
            ("restart_min_sec", self.restart_min_sec.is_some(), is_ours),
            ("restart_max_sec", self.restart_max_sec.is_some(), is_ours),
        ];
        match keys
            .iter()
            .find(|(_, is_set, is_known)| *is_set && !is_known)
        {
            None => Ok(()),
            Some((key, ..)) => Err(format!(
                "`bundle.service.{key}` belongs to another kind of service"
            )),
        }
    }
}

fn program(key: &str, argv: &[String]) -> Result<Vec<String>, String> {
    if argv.first().is_none_or(String::is_empty) {
        return Err(format!("`bundle.service.{key}` needs a program to run"));
    }
    Ok(argv.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ServiceConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn there_is_exactly_one_kind() {
        let table = [
            ("command = ['./x']", true),
            ("unit = 'x.service'", true),
            ("start = ['a']\nstop = ['b']", false),
        ];
        for (text, is_watched) in table {
            assert_eq!(read(text).unwrap().is_watched(), is_watched, "{text}");
        }
        let both = "command = ['x']\nunit = 'x.service'";
        let all = "command = ['x']\nstart = ['x']\nstop = ['x']";
        for text in ["", "start = ['x']", "stop = ['x']", both, all] {
            let error = read(text).unwrap_err();
            assert!(error.contains("needs one of `command`"), "{text}: {error}");
        }
    }

    #[test]
    fn keys_of_other_kinds_and_nonsense_are_refused() {
        let table = [
            ("unit = 'x.service'\nenv = {}", "`bundle.service.env`"),
            ("unit = 'x.service'\nstop_grace_sec = 1", "stop_grace_sec"),
            ("command = ['x']\ntimeout_sec = 1", "timeout_sec"),
            ("start = ['x']\nstop = ['']", "`bundle.service.stop` needs"),
            ("unit = '--now'", "no name of a systemd unit"),
            ("unit = 'x'", "no name of a systemd unit"),
            ("unit = 'a b.service'", "no name of a systemd unit"),
        ];
        for (text, words) in table {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
