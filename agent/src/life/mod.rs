//! Signs of life: what shows people and watchdogs that the agent gets on.
//!
//! A watchdog that is fed by a timer proves that timers work. Here the state machine itself promises, wherever it goes, when
//! its next sign comes at the latest ([`Heart`]), and watchdogs are fed for as long as the last promise holds. A promise is
//! made for work, by how long that may take; waits that are meant, such as the one for the next check-in, promise piece by
//! piece while they last.

mod device;
mod feeder;
mod heart;
mod led;
mod notify;

use std::path::Path;
use std::sync::Arc;

use tokio::process::Command;

use crate::config::Config;
use crate::disk::Disk;
use crate::history::History;
use crate::observer::Observer;

pub use device::DeviceWatchdog;
pub(crate) use feeder::Feeder;
pub use feeder::Watchdog;
pub use heart::{BeatingDisk, Heart};
pub use led::Led;
pub use notify::{Notifier, SystemdWatchdog};

/// What systemd puts into the agent's environment for the agent alone.
const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

const LEDS: &str = "/sys/class/leds";

/// The signs that an agent gives beside its reports; none by default.
#[derive(Debug, Default)]
pub struct Signs {
    /// Who is told how it gets on.
    pub observers: Vec<Arc<dyn Observer>>,
    /// What is fed while `run` works. Nothing is armed before it is fed for the first time.
    pub watchdogs: Vec<Box<dyn Watchdog>>,
}

impl Signs {
    /// Takes those that this machine and its configuration have: systemd's, the machine's watchdog, the lamp.
    pub fn of_this_machine(config: &Config, disk: &Arc<dyn Disk>) -> Self {
        let mut signs = Self::default();
        if let Some(notifier) = Notifier::of_environment() {
            let notifier = Arc::new(notifier);
            let watchdog = SystemdWatchdog::of_environment(notifier.clone());
            signs
                .watchdogs
                .extend(watchdog.map(|watchdog| -> Box<dyn Watchdog> { Box::new(watchdog) }));
            signs.observers.push(notifier);
        }
        if let Some(watchdog) = &config.watchdog {
            let watchdog = DeviceWatchdog::new(&watchdog.device, watchdog.interval());
            signs.watchdogs.push(Box::new(watchdog));
        }
        if let Some(led) = &config.led {
            let has_failed = has_failed(disk, &config.state_dir);
            let led = Led::new(disk.clone(), Path::new(LEDS), led, has_failed);
            signs.observers.push(Arc::new(led));
        }
        signs
    }
}

/// Returns a command for a program that must not speak to systemd in the agent's name.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in VARIABLES {
        command.env_remove(name);
    }
    command
}

/// Tells whether the last attempt that came to a result, good or bad, came to a bad one.
fn has_failed(disk: &Arc<dyn Disk>, state: &Path) -> bool {
    // A history that can't be read is told elsewhere; a lamp has no words for it.
    let history = History::new(disk.clone(), state, 1);
    let attempts = history.load().unwrap_or_default();
    let outcomes = attempts.iter().rev().map(|ended| ended.outcome);
    outcomes
        .filter_map(led::is_failure)
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
