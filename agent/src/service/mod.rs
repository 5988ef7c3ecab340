//! The service: the program that the agent keeps running, or one that systemd or somebody else keeps running for it.
//!
//! The agent's own runs one at a time, in a process group of its own. It outlives an agent that is killed, so that an agent's
//! end is no outage. What keeps it single is a lock that the service itself holds: its standard input is the locked file
//! `service.lock`, which the system unlocks when the last process of the service is gone. The next agent finds it by that
//! file, and takes it over where it is just what should be running.

mod commands;
mod log;
mod process;
pub(crate) mod slot;
mod supervised;
mod supervisor;
mod unit;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use otter_protocol::{Sha256Digest, Version};
use tokio::sync::watch;

use crate::config::{ServiceConfig, ServiceKind};
use crate::systemctl::Systemctl;

pub(crate) use log::last_line;
pub use supervisor::{Status, Supervisor, Trial};

/// A version that runs, or is to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which.
    pub version: Version,
    /// Where it is.
    pub folder: PathBuf,
    /// What it is told, where it can be told anything.
    pub env: BTreeMap<String, String>,
}

/// A service, whoever keeps it running.
#[async_trait]
pub trait Service: Send + Sync + fmt::Debug {
    /// Starts a version in place of whatever runs; what already runs just so is left alone.
    async fn start(&self, run: Run, trial: Trial) -> io::Result<()>;

    /// Keeps what was on trial running from now on.
    fn trust(&self);

    /// Stops the service, and returns when it has; `run` is what was started last, as far as the disk tells.
    async fn stop(&self, run: Option<Run>) -> io::Result<()>;

    /// Tells whether it runs on when the agent stops.
    fn outlives_agent(&self) -> bool;

    /// Returns the last lines that it printed since it was started last, where they can be seen.
    fn output(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns a watch on whether the service runs, where that can be seen.
    fn status(&self) -> Option<watch::Receiver<Status>>;
}

/// Makes the service that a configuration asks for; one of the agent's own begins to be supervised.
pub fn configured(config: &ServiceConfig, files: ServiceFiles) -> io::Result<Box<dyn Service>> {
    Ok(match config.kind.clone() {
        ServiceKind::Command(command) => {
            let service = supervised::Supervised::begin(command, config.clone(), files)?;
            Box::new(service)
        }
        ServiceKind::Unit { name, timeout } => {
            Box::new(unit::Unit::new(name, timeout, Systemctl::default()))
        }
        ServiceKind::Commands {
            start,
            stop,
            timeout,
        } => Box::new(commands::Commands {
            start,
            stop,
            timeout,
        }),
    })
}

/// How a service is started, whichever version it is.
#[derive(Debug, Clone)]
pub struct ServiceFiles {
    /// Held by the running service.
    pub lock: PathBuf,
    /// What the service prints.
    pub log: PathBuf,
}

impl ServiceFiles {
    /// Names the files in a state folder.
    pub fn new(state: &Path) -> Self {
        Self {
            lock: state.join("service.lock"),
            log: state.join("service.log"),
        }
    }
}

/// One version of the service, ready to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where it is run.
    pub folder: PathBuf,
    /// Beside the agent's own environment.
    pub env: BTreeMap<String, String>,
}

impl Launch {
    /// Takes a command to run in a version's folder.
    pub fn new(
        argv: &[String],
        folder: &Path,
        version: &Version,
        env: &BTreeMap<String, String>,
    ) -> Self {
        let mut argv = argv.to_vec();
        if let Some(program) = argv.first_mut()
            && program.contains('/')
        {
            let inside = program.strip_prefix("./").unwrap_or(program);
            *program = folder.join(inside).to_string_lossy().into_owned();
        }
        let mut env = env.clone();
        env.insert("OTTER_VERSION".to_owned(), version.to_string());
        Self {
            argv,
            folder: folder.to_owned(),
            env,
        }
    }

    /// Returns what tells one launch from another, to know it again in a running process.
    pub fn fingerprint(&self) -> String {
        Sha256Digest::of(format!("{self:?}").as_bytes()).to_string()
    }
}

/// The environment variable by which a running service is known again.
const FINGERPRINT: &str = "OTTER_LAUNCH";
