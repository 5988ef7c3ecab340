//! The machine around the agent: restarted, known again after a restart, and shared by no second agent.

use std::any::Any;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::RestartConfig;
use crate::life;
use crate::lock::StateLock;

/// What the kernel calls this run of itself: random(4).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Keeps what was taken for as long as it lives.
pub type Held = Box<dyn Any + Send + Sync>;

/// A machine, as far as the agent needs one.
#[async_trait]
pub trait Machine: Send + Sync + fmt::Debug {
    /// Takes a state folder for one agent; fails where another has it.
    fn take(&self, state: &Path) -> anyhow::Result<Held>;

    /// Returns what tells this run of the system from the one before.
    fn boot_id(&self) -> io::Result<String>;

    /// Restarts the system; returns when that is under way, which it may never do. `argument` is for the boot loader.
    async fn restart(&self, argument: Option<&str>) -> io::Result<()>;
}

/// The machine that this program runs on.
#[derive(Debug)]
pub struct ThisMachine {
    restart: RestartConfig,
}

impl ThisMachine {
    /// Takes the machine, and how it is restarted.
    pub fn new(restart: RestartConfig) -> Self {
        Self { restart }
    }
}

#[async_trait]
impl Machine for ThisMachine {
    fn take(&self, state: &Path) -> anyhow::Result<Held> {
        Ok(Box::new(StateLock::take(state)?))
    }

    fn boot_id(&self) -> io::Result<String> {
        Ok(std::fs::read_to_string(BOOT_ID)?.trim().to_owned())
    }

    async fn restart(&self, argument: Option<&str>) -> io::Result<()> {
        let Some((program, arguments)) = self.restart.command.split_first() else {
            return Err(io::Error::other("`restart.command` names no program"));
        };
        let mut child = life::command(program)
            .args(arguments)
            .args(argument)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        // One that waits for the machine to go down is as good as one that returns.
        match tokio::time::timeout(PATIENCE, child.wait()).await {
            Ok(Ok(status)) if !status.success() => {
                Err(io::Error::other(format!("{program}: {status}")))
            }
            Ok(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

/// How long the restart's program is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
