//! How `image` artifacts are installed: whole systems in two slots.

use std::path::PathBuf;
use std::time::Duration;

use otter_protocol::Version;
use serde::Deserialize;

use super::seconds::Seconds;

/// The `image` installer's section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// The two slots.
    pub slots: Vec<SlotConfig>,
    /// How the boot loader is told which of them to start.
    pub boot: BootConfig,
    /// The version that came with the device, in the slot that it runs from; without it that is unknown.
    #[serde(default)]
    pub initial_version: Option<Version>,
    /// After so many bytes what was written to a slot is synced, so that a restart goes on from there.
    #[serde(default = "sync_every_bytes")]
    pub sync_every_bytes: u64,
}

fn sync_every_bytes() -> u64 {
    8 << 20
}

/// A slot: a place for a whole system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotConfig {
    /// Its name, as the boot loader knows it.
    pub name: String,
    /// Its block device.
    pub device: PathBuf,
}

/// How the boot loader is told which slot to start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "flow", rename_all = "snake_case", deny_unknown_fields)]
pub enum BootConfig {
    /// GRUB's environment block.
    Grub {
        /// The block's file.
        #[serde(default = "grub_env")]
        env: PathBuf,
    },
    /// U-Boot's environment, by `fw_printenv` and `fw_setenv`.
    Uboot {
        /// What says where the environment is.
        #[serde(default = "fw_env_config")]
        config: PathBuf,
    },
    /// Raspberry Pi's `tryboot`, with `autoboot.txt`.
    Tryboot {
        /// The file that names the partition to boot.
        #[serde(default = "autoboot")]
        autoboot: PathBuf,
        /// Which boot partition goes with which slot, by the slots' order.
        partitions: [u32; 2],
    },
    /// A program of the user's.
    Command {
        /// Called with `current`, `try SLOT`, `commit SLOT`.
        command: Vec<String>,
        /// How long a call may take, in seconds.
        #[serde(default = "command_timeout")]
        timeout_sec: BootTimeout,
    },
}

impl BootConfig {
    /// Returns the file that the agent itself writes, where it does.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Grub { env: file } | Self::Tryboot { autoboot: file, .. } => Some(file),
            Self::Uboot { .. } | Self::Command { .. } => None,
        }
    }
}

/// How long a call of the user's program may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct BootTimeout(Seconds);

impl BootTimeout {
    /// Returns the time.
    pub fn get(self) -> Duration {
        self.0.get()
    }
}

fn grub_env() -> PathBuf {
    PathBuf::from("/boot/grub/grubenv")
}

fn fw_env_config() -> PathBuf {
    PathBuf::from("/etc/fw_env.config")
}

fn autoboot() -> PathBuf {
    PathBuf::from("/boot/firmware/autoboot.txt")
}

fn command_timeout() -> BootTimeout {
    BootTimeout(Seconds::of(30))
}

impl ImageConfig {
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let boot = match &mut self.boot {
            BootConfig::Grub { env: path }
            | BootConfig::Uboot { config: path }
            | BootConfig::Tryboot { autoboot: path, .. } => Some(path),
            BootConfig::Command { .. } => None,
        };
        let devices = self.slots.iter_mut().map(|slot| &mut slot.device);
        devices.chain(boot)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let [first, second] = self.slots.as_slice() else {
            return Err(format!(
                "`image.slots` needs two slots, not {}",
                self.slots.len()
            ));
        };
        if first.name == second.name || first.device == second.device {
            return Err("the two `image.slots` must differ in name and device".to_owned());
        }
        let is_plain = |name: &str| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if let Some(slot) = self.slots.iter().find(|slot| !is_plain(&slot.name)) {
            return Err(format!(
                "the slot's name `{}` may have letters, digits, `-`, `_` and `.` only",
                slot.name
            ));
        }
        match &self.boot {
            BootConfig::Command { command, .. } if command.first().is_none_or(String::is_empty) => {
                Err("`image.boot.command` needs a program to run".to_owned())
            }
            _ => Ok(()),
        }
    }
}
