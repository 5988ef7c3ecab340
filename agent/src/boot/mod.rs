//! The boot loader, which is told what to start: a slot for one try, or for good.
//!
//! What all flows have in common: a try is good for one boot. If nobody commits the slot that is being tried, the next boot
//! is into the committed one, whatever happened: a panic, a watchdog, a power cut.

mod command;
mod grub;
mod tryboot;
mod uboot;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::config::{BootConfig, ImageConfig};
use crate::disk::Disk;

/// A boot loader can't be told, or says what makes no sense; the text says what to look at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BootError(pub(crate) String);

/// A boot loader that starts one of several slots.
#[async_trait]
pub(crate) trait BootFlow: Send + Sync + fmt::Debug {
    /// Returns the slot that runs.
    async fn current(&self) -> Result<String, BootError>;

    /// Has a slot started at the next boot, once. Asked again it changes nothing that is so already.
    async fn try_once(&self, slot: &str) -> Result<(), BootError>;

    /// Has a slot started from now on, and forgets a try. Asked again it changes nothing that is so already.
    async fn commit(&self, slot: &str) -> Result<(), BootError>;

    /// Returns what a restart must tell the boot loader for the try to happen.
    fn restart_argument(&self) -> Option<&'static str> {
        None
    }
}

/// Makes the flow that a configuration asks for.
pub(crate) fn configured(disk: Arc<dyn Disk>, config: &ImageConfig) -> Arc<dyn BootFlow> {
    let names: Vec<String> = config.slots.iter().map(|slot| slot.name.clone()).collect();
    match &config.boot {
        BootConfig::Grub { env } => Arc::new(grub::Grub::new(disk, env)),
        BootConfig::Uboot { config } => Arc::new(uboot::Uboot::new(config)),
        BootConfig::Tryboot {
            autoboot,
            partitions,
        } => {
            let slots = names.into_iter().zip(*partitions).collect();
            Arc::new(tryboot::Tryboot::new(disk, autoboot, slots))
        }
        BootConfig::Command {
            command,
            timeout_sec,
        } => Arc::new(command::Command::new(command.clone(), timeout_sec.get())),
    }
}

/// Reads a value from the kernel's command line, such as `otter.slot=a`.
fn kernel_argument(disk: &dyn Disk, key: &str) -> Result<Option<String>, BootError> {
    const COMMAND_LINE: &str = "/proc/cmdline";
    let bytes = crate::disk::read(disk, std::path::Path::new(COMMAND_LINE), 64 << 10)
        .map_err(|error| BootError(format!("{COMMAND_LINE} can't be read: {error}")))?;
    let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    let mut values = text
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    Ok(values.next_back().map(str::to_owned))
}

/// Reads which slot runs from the kernel's command line, where the boot loader's script put it.
fn slot_of_kernel(disk: &dyn Disk) -> Result<String, BootError> {
    const KEY: &str = "otter.slot";
    kernel_argument(disk, KEY)?.ok_or_else(|| {
        BootError(format!(
            "the kernel was started without `{KEY}=`, so that nobody knows which slot runs. Have the boot loader's script \
             add it, as docs/DEVICES.md shows"
        ))
    })
}
