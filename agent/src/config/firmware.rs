//! How `firmware` artifacts are installed: flashed into a controller behind this device.

use std::time::Duration;

use serde::Deserialize;

use super::seconds::Seconds;

/// The `firmware` installer's section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirmwareConfig {
    /// Flashes `{artifact}`; it must exit with status 0.
    pub flash: Vec<String>,
    /// Prints the version that the controller runs.
    pub read_version: Vec<String>,
    /// Reads what the controller runs into `{file}`, where nothing was kept of it yet.
    #[serde(default)]
    pub read_out: Option<Vec<String>>,
    /// What names of firmware files end with: some flashers go by it.
    #[serde(default = "extension")]
    pub extension: String,
    #[serde(default = "flash_timeout")]
    flash_timeout_sec: Seconds,
    #[serde(default = "read_timeout")]
    read_timeout_sec: Seconds,
    #[serde(default = "read_back")]
    read_back_sec: Seconds,
    #[serde(default = "read_interval")]
    read_interval_sec: Seconds,
}

fn extension() -> String {
    "bin".to_owned()
}

fn flash_timeout() -> Seconds {
    Seconds::of(300)
}

fn read_timeout() -> Seconds {
    Seconds::of(10)
}

fn read_back() -> Seconds {
    Seconds::of(30)
}

fn read_interval() -> Seconds {
    Seconds::of(1)
}

impl FirmwareConfig {
    /// Returns how long the flasher may take, and reading out likewise.
    pub fn flash_timeout(&self) -> Duration {
        self.flash_timeout_sec.get()
    }

    /// Returns how long one try to read the version may take.
    pub fn read_timeout(&self) -> Duration {
        self.read_timeout_sec.get()
    }

    /// Returns how long a controller may take until it says its version.
    pub fn read_back(&self) -> Duration {
        self.read_back_sec.get()
    }

    /// Returns the time between tries to read the version.
    pub fn read_interval(&self) -> Duration {
        self.read_interval_sec.get()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let commands = [
            ("flash", Some(&self.flash), Some("{artifact}")),
            ("read_version", Some(&self.read_version), None),
            ("read_out", self.read_out.as_ref(), Some("{file}")),
        ];
        for (key, argv, needed) in commands {
            let Some(argv) = argv else { continue };
            if argv.first().is_none_or(String::is_empty) {
                return Err(format!("`firmware.{key}` needs a program to run"));
            }
            if let Some(needed) = needed
                && !argv.iter().any(|word| word.contains(needed))
            {
                return Err(format!(
                    "`firmware.{key}` needs `{needed}` among its arguments"
                ));
            }
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric();
        if self.extension.is_empty() || !self.extension.chars().all(is_plain) {
            return Err("`firmware.extension` may have letters and digits only".to_owned());
        }
        Ok(())
    }
}
