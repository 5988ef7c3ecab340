//! Raspberry Pi's `tryboot`: `autoboot.txt` names the boot partition, and in its section `[tryboot]` the one that is started
//! where the restart asks for it with `0 tryboot`. Any other restart goes to the first.
//!
//! Format: <https://www.raspberrypi.com/documentation/computers/config_txt.html#autoboot-txt>.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::{BootError, BootFlow};
use crate::disk::{self, Disk, PUBLIC};

/// The partition that the firmware started from, as a big-endian number.
const STARTED_FROM: &str = "/proc/device-tree/chosen/bootloader/partition";
const LARGEST: u64 = 64 << 10;

/// A Raspberry Pi with two boot partitions.
#[derive(Debug)]
pub(super) struct Tryboot {
    disk: Arc<dyn Disk>,
    autoboot: PathBuf,
    slots: Vec<(String, u32)>,
}

impl Tryboot {
    pub(super) fn new(disk: Arc<dyn Disk>, autoboot: &Path, slots: Vec<(String, u32)>) -> Self {
        Self {
            disk,
            autoboot: autoboot.to_owned(),
            slots,
        }
    }

    fn partition(&self, slot: &str) -> Result<u32, BootError> {
        let found = self.slots.iter().find(|(name, _)| name == slot);
        found
            .map(|(_, partition)| *partition)
            .ok_or_else(|| BootError(format!("no boot partition goes with slot `{slot}`")))
    }

    /// Writes which partition is started from now on, and which by a try.
    fn write(&self, committed: u32, tried: u32) -> Result<(), BootError> {
        let text = format!(
            "[all]\ntryboot_a_b=1\nboot_partition={committed}\n[tryboot]\nboot_partition={tried}\n"
        );
        let trouble = |error: std::io::Error| {
            BootError(format!(
                "{} can't be written: {error}. Is the partition that holds it mounted?",
                self.autoboot.display()
            ))
        };
        let now = disk::read(self.disk.as_ref(), &self.autoboot, LARGEST).map_err(trouble)?;
        if now.as_deref() == Some(text.as_bytes()) {
            return Ok(());
        }
        disk::write_whole(self.disk.as_ref(), &self.autoboot, text.as_bytes(), PUBLIC)
            .map_err(trouble)
    }

    fn other(&self, slot: &str) -> Result<u32, BootError> {
        let found = self.slots.iter().find(|(name, _)| name != slot);
        found
            .map(|(_, partition)| *partition)
            .ok_or_else(|| BootError("there is no other slot".to_owned()))
    }
}

#[async_trait]
impl BootFlow for Tryboot {
    async fn current(&self) -> Result<String, BootError> {
        let bytes = disk::read(self.disk.as_ref(), Path::new(STARTED_FROM), 4)
            .ok()
            .flatten()
            .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        let Some(bytes) = bytes else {
            return Err(BootError(format!(
                "{STARTED_FROM} does not say which partition was started: is this a Raspberry Pi with a current boot loader?"
            )));
        };
        let partition = u32::from_be_bytes(bytes);
        let found = self.slots.iter().find(|(_, other)| *other == partition);
        found.map(|(name, _)| name.clone()).ok_or_else(|| {
            BootError(format!(
                "the device was started from partition {partition}, which goes with no slot: check `image.boot.partitions`"
            ))
        })
    }

    async fn try_once(&self, slot: &str) -> Result<(), BootError> {
        self.write(self.other(slot)?, self.partition(slot)?)
    }

    async fn commit(&self, slot: &str) -> Result<(), BootError> {
        self.write(self.partition(slot)?, self.other(slot)?)
    }

    fn restart_argument(&self) -> Option<&'static str> {
        Some("0 tryboot")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    #[tokio::test]
    async fn the_first_partition_is_for_good_and_the_other_for_a_try() {
        let disk = SimulatedDisk::default();
        disk::make_dirs(&disk, Path::new("/proc/device-tree/chosen/bootloader")).unwrap();
        let started = 3u32.to_be_bytes();
        disk::write_whole(&disk, Path::new(STARTED_FROM), &started, PUBLIC).unwrap();
        let slots = vec![("a".to_owned(), 2), ("b".to_owned(), 3)];
        let path = Path::new("/autoboot.txt");
        let flow = Tryboot::new(Arc::new(disk.clone()), path, slots);
        assert_eq!(flow.current().await.unwrap(), "b");
        let text = |disk: &SimulatedDisk| {
            String::from_utf8(disk::read(disk, path, 1000).unwrap().unwrap()).unwrap()
        };
        flow.try_once("a").await.unwrap();
        let tried = "[all]\ntryboot_a_b=1\nboot_partition=3\n[tryboot]\nboot_partition=2\n";
        assert_eq!(text(&disk), tried);
        flow.commit("a").await.unwrap();
        let committed = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";
        assert_eq!(text(&disk), committed);
        assert!(flow.try_once("c").await.is_err());
        assert_eq!(flow.restart_argument(), Some("0 tryboot"));
    }
}
