//! The boot loader's version, for releases that ask for one: read once, as it changes only with a restart of the device.

use std::sync::Arc;
use std::time::Duration;

use otter_protocol::Version;
use tokio::sync::OnceCell;

use crate::config::BootloaderVersion;
use crate::disk::{self, Disk};
use crate::program;
use crate::service::Launch;

/// Largest file that names a version, in bytes.
const LARGEST: u64 = 64 << 10;
/// How long the program may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest version, in characters.
const LONGEST: usize = 128;

/// The boot loader of this device.
#[derive(Debug)]
pub(crate) struct Bootloader {
    disk: Arc<dyn Disk>,
    source: Option<BootloaderVersion>,
    version: OnceCell<Version>,
}

impl Bootloader {
    pub(crate) fn new(disk: Arc<dyn Disk>, source: Option<BootloaderVersion>) -> Self {
        Self {
            disk,
            source,
            version: OnceCell::new(),
        }
    }

    /// Returns its version, where the device has a way to tell; what can't be read is tried again the next time.
    pub(crate) async fn version(&self) -> Option<Version> {
        let source = self.source.as_ref()?;
        let read = self.version.get_or_try_init(|| self.read(source)).await;
        match read {
            Ok(version) => Some(version.clone()),
            Err(error) => {
                tracing::warn!("the boot loader's version can't be read: {error}");
                None
            }
        }
    }

    async fn read(&self, source: &BootloaderVersion) -> Result<Version, String> {
        let text = match source {
            BootloaderVersion::Is(version) => version.clone(),
            BootloaderVersion::File { file } => {
                let bytes = disk::read(self.disk.as_ref(), file, LARGEST);
                let bytes = bytes.map_err(|error| format!("{}: {error}", file.display()))?;
                let missing = || format!("there is no file {}", file.display());
                String::from_utf8_lossy(&bytes.ok_or_else(missing)?).into_owned()
            }
            BootloaderVersion::Command { command } => {
                let launch = Launch {
                    argv: command.clone(),
                    folder: "/".into(),
                    env: Default::default(),
                };
                program::succeed(&launch, PATIENCE).await?
            }
        };
        first_line(&text).ok_or_else(|| "it says nothing".to_owned())
    }
}

/// Returns what the first line that says something says; device trees end texts with a NUL.
fn first_line(text: &str) -> Option<Version> {
    let bare = |line: &str| -> String {
        let printable = line.chars().filter(|c| !c.is_control());
        printable
            .take(LONGEST)
            .collect::<String>()
            .trim()
            .to_owned()
    };
    let line = text.lines().map(bare).find(|line| !line.is_empty())?;
    Some(Version::from(line.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    async fn version(source: BootloaderVersion) -> Option<Version> {
        Bootloader::new(Arc::new(RealDisk), Some(source))
            .version()
            .await
    }

    fn shell(script: &str) -> BootloaderVersion {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        BootloaderVersion::Command { command }
    }

    #[tokio::test]
    async fn is_said_or_read_or_asked_for() {
        let said = BootloaderVersion::Is(" 2024.01 ".to_owned());
        assert_eq!(version(said).await, Some("2024.01".into()));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("version");
        let source = BootloaderVersion::File { file: file.clone() };
        assert_eq!(version(source.clone()).await, None);
        std::fs::write(&file, "\n2024.04\0\nmore").unwrap();
        assert_eq!(version(source).await, Some("2024.04".into()));
        assert_eq!(version(shell("echo 7; echo 8")).await, Some("7".into()));
        assert_eq!(version(shell("echo 7; exit 1")).await, None);
        assert_eq!(version(shell("true")).await, None);
    }

    #[tokio::test]
    async fn is_read_once_and_tried_again_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("version");
        let source = BootloaderVersion::File { file: file.clone() };
        let bootloader = Bootloader::new(Arc::new(RealDisk), Some(source));
        assert_eq!(bootloader.version().await, None);
        std::fs::write(&file, "1").unwrap();
        assert_eq!(bootloader.version().await, Some("1".into()));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(bootloader.version().await, Some("1".into()));
    }
}
