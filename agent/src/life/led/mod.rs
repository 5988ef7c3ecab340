//! A lamp that shows what the agent does, by the kernel's LED class: its `timer` trigger blinks without the agent.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use otter_protocol::AttemptState;

use crate::config::{IdleLed, LedConfig};
use crate::disk::{self, Disk};
use crate::history::Ended;
use crate::journal::{Attempt, Step};
use crate::observer::Observer;

/// How a lamp shines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Off,
    Steady,
    Blink { on: Duration, off: Duration },
}

/// Something is looked at, or fetched beside what runs.
const SLOW: Pattern = blink(1000, 1000);
/// What runs is being exchanged: don't pull the plug.
const FAST: Pattern = blink(100, 100);
/// The last update didn't stay.
const FLASH: Pattern = blink(100, 1900);

const fn blink(on_ms: u64, off_ms: u64) -> Pattern {
    Pattern::Blink {
        on: Duration::from_millis(on_ms),
        off: Duration::from_millis(off_ms),
    }
}

/// Returns how the lamp shines at a step, `None` for idle.
fn pattern(step: Option<Step>, has_failed: bool, idle: IdleLed) -> Pattern {
    match step {
        Some(step) if step.is_before_change() => SLOW,
        Some(_) => FAST,
        None if has_failed => FLASH,
        None => match idle {
            IdleLed::Steady => Pattern::Steady,
            IdleLed::Off => Pattern::Off,
        },
    }
}

/// Tells whether an attempt's end is a bad one; `None` where it says nothing about the device.
pub(super) fn is_failure(outcome: AttemptState) -> Option<bool> {
    match outcome {
        AttemptState::Succeeded => Some(false),
        AttemptState::Failed | AttemptState::RolledBack => Some(true),
        _ => None,
    }
}

/// A lamp.
#[derive(Debug)]
pub struct Led {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    idle: IdleLed,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    has_failed: bool,
    shown: Option<Pattern>,
    /// Trouble with the lamp is told once.
    has_complained: bool,
}

impl Led {
    /// Takes a lamp in the folder of all lamps; `has_failed` says how the last attempt ended.
    pub fn new(disk: Arc<dyn Disk>, leds: &Path, config: &LedConfig, has_failed: bool) -> Self {
        Self {
            disk,
            folder: leds.join(&config.name),
            idle: config.idle,
            state: Mutex::new(State {
                has_failed,
                shown: None,
                has_complained: false,
            }),
        }
    }

    fn show(&self, step: Option<Step>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pattern = pattern(step, state.has_failed, self.idle);
        if state.shown == Some(pattern) {
            return;
        }
        match self.write(pattern) {
            Ok(()) => state.shown = Some(pattern),
            Err(error) if !state.has_complained => {
                state.has_complained = true;
                tracing::warn!(
                    "the lamp {} shows nothing: {error}. Check `led.name`",
                    self.folder.display()
                );
            }
            Err(_) => {}
        }
    }

    fn write(&self, pattern: Pattern) -> io::Result<()> {
        match pattern {
            Pattern::Off => {
                self.set("trigger", "none")?;
                self.set("brightness", "0")
            }
            Pattern::Steady => {
                let brightest =
                    disk::read(self.disk.as_ref(), &self.folder.join("max_brightness"), 64)?;
                let brightest = brightest.unwrap_or_else(|| b"1".to_vec());
                self.set("trigger", "none")?;
                self.set("brightness", String::from_utf8_lossy(&brightest).trim())
            }
            Pattern::Blink { on, off } => {
                // The trigger brings the files of its times with it.
                self.set("trigger", "timer")?;
                self.set("delay_on", &on.as_millis().to_string())?;
                self.set("delay_off", &off.as_millis().to_string())
            }
        }
    }

    /// Sets one of the lamp's files; the kernel takes each write as a whole.
    fn set(&self, name: &str, value: &str) -> io::Result<()> {
        let mut file = self.disk.append(&self.folder.join(name))?;
        file.write_all(format!("{value}\n").as_bytes())
    }
}

impl Observer for Led {
    fn idle(&self) {
        self.show(None);
    }

    fn step_begun(&self, attempt: &Attempt) {
        self.show(Some(attempt.step));
    }

    fn attempt_ended(&self, ended: &Ended) {
        if let Some(failure) = is_failure(ended.outcome) {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.has_failed = failure;
        }
    }
}

#[cfg(test)]
mod tests;
