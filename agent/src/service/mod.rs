//! The program that the agent keeps running: one at a time, in a process group of its own.
//!
//! The service outlives an agent that is killed, so that an agent's end is no outage. What keeps it single is a lock
//! that the service itself holds: its standard input is the locked file `service.lock`, which the system unlocks when
//! the last process of the service is gone. The next agent finds it by that file, and takes it over where it is just
//! what should be running.

mod log;
mod process;
pub(crate) mod slot;
mod supervisor;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use otter_protocol::{Sha256Digest, Version};

pub(crate) use log::last_line;
pub use supervisor::{Status, Supervisor, Trial};

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
