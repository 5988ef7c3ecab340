//! How `container` artifacts are installed: through the Docker Engine's socket.

use std::path::PathBuf;
use std::time::Duration;

use otter_protocol::Version;
use serde::Deserialize;

use super::seconds::Seconds;

/// The `container` installer's section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerConfig {
    /// The container's name, or that of the compose project.
    pub name: String,
    /// The engine's socket.
    #[serde(default = "socket")]
    pub socket: PathBuf,
    /// A file with the body of the engine's call that creates a container.
    #[serde(default)]
    pub create: Option<PathBuf>,
    /// A compose file, in place of `create`.
    #[serde(default)]
    pub compose: Option<PathBuf>,
    /// Program and first arguments of compose.
    #[serde(default = "compose_command")]
    pub compose_command: Vec<String>,
    /// Credentials of registries, as `docker login` writes them.
    #[serde(default)]
    pub auth_file: Option<PathBuf>,
    /// The version of the container that came with the device; without it that is unknown.
    #[serde(default)]
    pub initial_version: Option<Version>,
    #[serde(default = "stop_grace")]
    stop_grace_sec: Seconds,
    #[serde(default = "call_timeout")]
    call_timeout_sec: Seconds,
    #[serde(default = "image_timeout")]
    image_timeout_sec: Seconds,
    #[serde(default = "wait")]
    wait_sec: Seconds,
}

/// How a container is made from an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// By the engine's own call, with this file's body.
    Create(&'a PathBuf),
    /// By compose, with this file.
    Compose(&'a PathBuf),
}

fn socket() -> PathBuf {
    PathBuf::from("/var/run/docker.sock")
}

fn compose_command() -> Vec<String> {
    vec!["docker".to_owned(), "compose".to_owned()]
}

fn stop_grace() -> Seconds {
    Seconds::of(10)
}

fn call_timeout() -> Seconds {
    Seconds::of(60)
}

fn image_timeout() -> Seconds {
    Seconds::of(60 * 60)
}

fn wait() -> Seconds {
    Seconds::of(60)
}

impl ContainerConfig {
    /// Returns how a container is made. There is exactly one way in a configuration that was checked.
    pub fn way(&self) -> Option<Way<'_>> {
        let create = self.create.as_ref().map(Way::Create);
        create.or(self.compose.as_ref().map(Way::Compose))
    }

    /// Returns how long a container may take to stop before it is killed.
    pub fn stop_grace(&self) -> Duration {
        self.stop_grace_sec.get()
    }

    /// Returns how long one call of the engine, or one run of compose, may take.
    pub fn call_timeout(&self) -> Duration {
        self.call_timeout_sec.get()
    }

    /// Returns how long loading or pulling an image may take.
    pub fn image_timeout(&self) -> Duration {
        self.image_timeout_sec.get()
    }

    /// Returns how long an update waits for an engine that is away.
    pub fn wait(&self) -> Duration {
        self.wait_sec.get()
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.socket]
            .into_iter()
            .chain(&mut self.create)
            .chain(&mut self.compose)
            .chain(&mut self.auth_file)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if !is_plain(&self.name) {
            return Err(format!(
                "`container.name` is `{}`: it may have lower-case letters, digits, `-` and `_` only, and begins with a \
                 letter or digit",
                self.name
            ));
        }
        if self.create.is_some() == self.compose.is_some() {
            return Err("set either `container.create` or `container.compose`".to_owned());
        }
        if self.compose_command.first().is_none_or(String::is_empty) {
            return Err("`container.compose_command` needs a program to run".to_owned());
        }
        Ok(())
    }
}

/// Tells whether engine and compose both take a name.
fn is_plain(name: &str) -> bool {
    let is_ordinary = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.chars().next().is_some_and(is_ordinary)
        && name.chars().all(|c| is_ordinary(c) || "-_".contains(c))
}
