//! How the boot loader's version is known.

use std::path::PathBuf;

use serde::Deserialize;

/// What tells the boot loader's version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "`bootloader_version` must be a text, `{ file = … }` or `{ command = […] }`"
)]
pub enum BootloaderVersion {
    /// It is this, and changes with this file.
    Is(String),
    /// It is the first line of a file, such as `/proc/device-tree/chosen/u-boot,version`.
    #[serde(rename_all = "snake_case")]
    File {
        /// That file.
        file: PathBuf,
    },
    /// It is the first line that a program prints.
    #[serde(rename_all = "snake_case")]
    Command {
        /// The program and its arguments.
        command: Vec<String>,
    },
}

impl BootloaderVersion {
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        match self {
            Self::File { file } => Some(file),
            Self::Is(_) | Self::Command { .. } => None,
        }
        .into_iter()
    }
}
