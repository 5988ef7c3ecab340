//! One health check of the configuration.

use std::path::PathBuf;
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
    // For `tcp` and `mqtt`.
    address: Option<String>,
    // For `mqtt`.
    client_id: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    // For `unit`.
    unit: Option<String>,
    // For `file_age`.
    path: Option<PathBuf>,
    max_age_sec: Option<Seconds>,
    #[serde(default = "timeout")]
    timeout_sec: Seconds,
    #[serde(default = "interval")]
    interval_sec: Seconds,
    #[serde(default = "grace")]
    grace_sec: Seconds,
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
    Tcp,
    Mqtt,
    Unit,
    FileAge,
}

fn timeout() -> Seconds {
    Seconds::of(5)
}

fn interval() -> Seconds {
    Seconds::of(1)
}

fn grace() -> Seconds {
    Seconds::of(0)
}

fn successes() -> u32 {
    1
}

/// What a check looks at. `{version}` in the texts of `Http` and `Command` stands for the version that must be running.
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
    /// Somebody must take a connection at this address, `host:port`.
    Tcp(String),
    /// An MQTT broker must let a client in.
    Mqtt(MqttLogin),
    /// This systemd unit must be active.
    Unit(String),
    /// A file must have been modified lately.
    FileAge {
        /// The file.
        path: PathBuf,
        /// How long ago that may be.
        max_age: Duration,
    },
}

/// How a client introduces itself to an MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttLogin {
    /// The broker, `host:port`.
    pub address: String,
    /// The client's name; where it is empty the broker makes one up.
    pub client_id: String,
    /// Who logs in.
    pub user: Option<String>,
    /// The file that holds the user's password.
    pub password_file: Option<PathBuf>,
}

impl Check {
    /// Returns what the check looks at.
    pub fn probe(&self) -> Result<Probe, String> {
        self.has_only_its_own_keys()?;
        match self.kind {
            Kind::Http => self.http(),
            Kind::Command => match &self.command {
                Some(argv) if argv.first().is_some_and(|program| !program.is_empty()) => {
                    Ok(Probe::Command(argv.clone()))
                }
                _ => Err("needs `command`, a list of a program and its arguments".to_owned()),
            },
            Kind::Process => Ok(Probe::Process),
            Kind::Tcp => Ok(Probe::Tcp(self.address()?)),
            Kind::Mqtt => self.mqtt(),
            Kind::Unit => match &self.unit {
                Some(unit) => is_unit_name(unit).map(|()| Probe::Unit(unit.clone())),
                None => Err("needs `unit`, such as \"greeter.service\"".to_owned()),
            },
            Kind::FileAge => match (&self.path, self.max_age_sec) {
                (Some(path), Some(max_age)) => Ok(Probe::FileAge {
                    path: path.clone(),
                    max_age: max_age.get(),
                }),
                _ => Err("needs `path` and `max_age_sec`".to_owned()),
            },
        }
    }

    fn has_only_its_own_keys(&self) -> Result<(), String> {
        use Kind::{Command, FileAge, Http, Mqtt, Tcp, Unit};
        let keys: [(&str, bool, &[Kind]); 11] = [
            ("url", self.url.is_some(), &[Http]),
            ("status", self.status.is_some(), &[Http]),
            ("contains", self.contains.is_some(), &[Http]),
            ("command", self.command.is_some(), &[Command]),
            ("address", self.address.is_some(), &[Tcp, Mqtt]),
            ("client_id", self.client_id.is_some(), &[Mqtt]),
            ("user", self.user.is_some(), &[Mqtt]),
            ("password_file", self.password_file.is_some(), &[Mqtt]),
            ("unit", self.unit.is_some(), &[Unit]),
            ("path", self.path.is_some(), &[FileAge]),
            ("max_age_sec", self.max_age_sec.is_some(), &[FileAge]),
        ];
        let stray = keys
            .iter()
            .find(|(_, is_set, kinds)| *is_set && !kinds.contains(&self.kind));
        stray.map_or(Ok(()), |(key, ..)| {
            Err(format!("`{key}` belongs to another kind of check"))
        })
    }

    fn http(&self) -> Result<Probe, String> {
        match &self.url {
            Some(url) if matches!(url.scheme(), "http" | "https") => Ok(Probe::Http {
                url: url.clone(),
                status: self.status,
                contains: self.contains.clone(),
            }),
            _ => Err("needs `url`, an http:// or https:// address".to_owned()),
        }
    }

    fn mqtt(&self) -> Result<Probe, String> {
        // MQTT 3.1.1, 3.1.2.9: no password without a user.
        if self.password_file.is_some() && self.user.is_none() {
            return Err("`password_file` needs `user`".to_owned());
        }
        Ok(Probe::Mqtt(MqttLogin {
            address: self.address()?,
            client_id: self.client_id.clone().unwrap_or_default(),
            user: self.user.clone(),
            password_file: self.password_file.clone(),
        }))
    }

    /// Returns the address to connect to, if it is one.
    fn address(&self) -> Result<String, String> {
        let address = self.address.as_deref().filter(|address| {
            address.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            })
        });
        address.map(str::to_owned).ok_or_else(|| {
            "needs `address`, a host and a port such as \"127.0.0.1:1883\"".to_owned()
        })
    }

    /// Returns how long one try may take.
    pub fn timeout(&self) -> Duration {
        self.timeout_sec.get()
    }

    /// Returns the time between tries.
    pub fn interval(&self) -> Duration {
        self.interval_sec.get()
    }

    /// Returns how long after the start failures don't count.
    pub fn grace(&self) -> Duration {
        self.grace_sec.get()
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.password_file.iter_mut().chain(&mut self.path)
    }

    /// Tells what is wrong with it; `is_watched` says whether there is a service to look at.
    pub(super) fn validate(&self, is_watched: bool, deadline: Duration) -> Result<(), String> {
        match self.probe()? {
            Probe::Process if !is_watched => Err(
                "`process` needs a `[bundle.service]` with `command` or `unit`, or a `[container]`, to look at"
                    .to_owned(),
            ),
            _ if self.successes == 0 => Err("`successes` must be 1 or more".to_owned()),
            _ if self.grace() >= deadline => {
                Err("`grace_sec` must be less than `health.deadline_sec`".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Tells whether a text can be the name of a systemd unit, as systemd.unit(5) has it.
pub(super) fn is_unit_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let is_name = (1..256).contains(&name.len())
        && name.chars().all(is_plain)
        && !name.starts_with('-')
        && name.contains('.');
    if is_name {
        Ok(())
    } else {
        Err(format!(
            "`{name}` is no name of a systemd unit, such as \"greeter.service\""
        ))
    }
}
