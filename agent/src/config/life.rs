//! How the agent shows that it lives: the machine's watchdog, and a lamp.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::seconds::Seconds;

/// The machine's own watchdog, which restarts it where the agent hangs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchdogConfig {
    /// Its device.
    pub device: PathBuf,
    #[serde(default = "interval")]
    interval_sec: Seconds,
}

fn interval() -> Seconds {
    Seconds::of(5)
}

impl WatchdogConfig {
    /// Returns how often it is fed.
    pub fn interval(&self) -> Duration {
        self.interval_sec.get()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.interval().is_zero() {
            return Err("`watchdog.interval_sec` must be more than 0".to_owned());
        }
        Ok(())
    }
}

/// The lamp that shows what the agent does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedConfig {
    /// Its name under `/sys/class/leds`.
    pub name: String,
    /// How it is while nothing is under way.
    #[serde(default)]
    pub idle: IdleLed,
}

/// How the lamp is while nothing is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleLed {
    /// On.
    #[default]
    Steady,
    /// Off.
    Off,
}

impl LedConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        let name = self.name.as_str();
        if name.is_empty() || name.contains('/') || matches!(name, "." | "..") {
            return Err(format!(
                "`led.name` must be a name that stands in /sys/class/leds, not `{name}`"
            ));
        }
        Ok(())
    }
}
