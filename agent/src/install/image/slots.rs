//! Two slots, and what is known of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use otter_protocol::{Sha256Digest, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::InstallError;
use crate::config::{ImageConfig, SlotConfig};
use crate::disk::{self, Disk, PUBLIC, Slot};
use crate::journal::Installed;

const LARGEST: u64 = 64 << 10;
const PIECE: usize = 128 << 10;

/// What a slot holds from its first byte on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    /// Its length in bytes.
    pub(super) length: u64,
    /// Its digest.
    pub(super) sha256: Sha256Digest,
}

/// Says that a slot holds a version, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SlotRecord {
    pub(super) version: Version,
    pub(super) release_counter: u64,
    pub(super) content: Content,
}

/// Says that a slot holds a version that ran from it, whoever wrote it: what came with the device has no record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ran {
    version: Version,
    release_counter: u64,
}

/// How far a slot is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Digest of the artifact that goes there.
    pub(super) artifact: Sha256Digest,
    /// How many of its bytes are there and synced.
    pub(super) taken: u64,
    /// What the slot holds, once all of it is there.
    pub(super) content: Option<Content>,
}

/// Two slots, and the folder where it is written down what they hold.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    slots: Vec<SlotConfig>,
    /// After so many bytes what was written is synced, and how far that is is written down.
    pub(super) sync_every: u64,
}

impl Slots {
    pub(super) fn new(disk: Arc<dyn Disk>, config: &ImageConfig, state: &Path) -> Self {
        Self {
            disk,
            folder: state.join("slots"),
            slots: config.slots.clone(),
            sync_every: config.sync_every_bytes,
        }
    }

    /// Returns the slot that isn't this one; `None` where this one is none of them.
    pub(super) fn other(&self, name: &str) -> Option<String> {
        self.slots.iter().find(|slot| slot.name == name)?;
        let other = self.slots.iter().find(|slot| slot.name != name)?;
        Some(other.name.clone())
    }

    /// Opens a slot's device.
    pub(super) fn open(&self, name: &str) -> Result<Box<dyn Slot>, InstallError> {
        let slot = self.slots.iter().find(|slot| slot.name == name);
        let Some(slot) = slot else {
            return Err(InstallError::Unfit(format!("there is no slot `{name}`")));
        };
        self.disk
            .open_slot(&slot.device)
            .map_err(|cause| InstallError::Disk {
                what: format!("slot `{name}` ({}) can't be opened", slot.device.display()),
                cause,
            })
    }

    fn note<T>(&self, name: &str, result: io::Result<T>) -> Result<T, InstallError> {
        result.map_err(|cause| InstallError::Disk {
            what: format!("what is known of slot `{name}` can't be kept"),
            cause,
        })
    }

    fn path(&self, name: &str, what: &str) -> PathBuf {
        self.folder.join(format!("{name}.{what}"))
    }

    fn load<T: serde::de::DeserializeOwned>(&self, path: &Path) -> io::Result<Option<T>> {
        let bytes = disk::read(self.disk.as_ref(), path, LARGEST)?;
        // What makes no sense says nothing: then the slot is written anew.
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn save(&self, path: &Path, what: &impl Serialize) -> io::Result<()> {
        disk::make_dirs(self.disk.as_ref(), &self.folder)?;
        let bytes = serde_json::to_vec(what)?;
        disk::write_whole(self.disk.as_ref(), path, &bytes, PUBLIC)
    }

    /// Returns which version a slot holds whole.
    pub(super) fn record(&self, name: &str) -> Result<Option<SlotRecord>, InstallError> {
        self.note(name, self.load(&self.path(name, "json")))
    }

    /// Writes down which version a slot holds whole.
    pub(super) fn keep_record(&self, name: &str, record: &SlotRecord) -> Result<(), InstallError> {
        self.note(name, self.save(&self.path(name, "json"), record))
    }

    /// Takes note that a slot holds nothing whole any more; on the disk when this returns.
    pub(super) fn forget(&self, name: &str) -> Result<(), InstallError> {
        let disk = self.disk.as_ref();
        let forgotten = || -> io::Result<()> {
            if disk::find(disk, &self.folder)?.is_none() {
                return Ok(());
            }
            disk::remove_if_there(disk, &self.path(name, "json"))?;
            disk::remove_if_there(disk, &self.path(name, "ran"))?;
            disk::remove_if_there(disk, &self.path(name, "part"))?;
            disk.sync_dir(&self.folder)
        };
        self.note(name, forgotten())
    }

    /// Tells whether a slot holds a version whole: it was written so, or ran.
    pub(super) fn holds(&self, version: &Installed) -> Result<bool, InstallError> {
        let name = &version.name;
        if let Some(record) = self.record(name)? {
            return Ok(record.release_counter == version.release_counter);
        }
        let ran: Option<Ran> = self.note(name, self.load(&self.path(name, "ran")))?;
        Ok(ran.is_some_and(|ran| {
            ran.release_counter == version.release_counter && ran.version == version.version
        }))
    }

    /// Writes down that a version runs, where nothing says yet that its slot holds it.
    pub(super) fn keep_ran(&self, version: &Installed) -> Result<(), InstallError> {
        if self.holds(version)? {
            return Ok(());
        }
        let ran = Ran {
            version: version.version.clone(),
            release_counter: version.release_counter,
        };
        let path = self.path(&version.name, "ran");
        self.note(&version.name, self.save(&path, &ran))
    }

    /// Returns how far a slot is written.
    pub(super) fn progress(&self, name: &str) -> Result<Option<Progress>, InstallError> {
        self.note(name, self.load(&self.path(name, "part")))
    }

    /// Writes down how far a slot is written.
    pub(super) fn keep_progress(
        &self,
        name: &str,
        progress: &Progress,
    ) -> Result<(), InstallError> {
        self.note(name, self.save(&self.path(name, "part"), progress))
    }

    /// Reads a slot back, and returns what it holds where that is all of an artifact.
    pub(super) fn verify(
        &self,
        name: &str,
        artifact: &Sha256Digest,
    ) -> Result<Content, InstallError> {
        let content = self
            .progress(name)?
            .filter(|progress| progress.artifact == *artifact)
            .and_then(|progress| progress.content);
        let Some(content) = content else {
            return Err(InstallError::Unfit(format!(
                "slot `{name}` does not hold all of the image"
            )));
        };
        let mut slot = self.open(name)?;
        let mut hasher = Sha256::new();
        let read = slot
            .forget_cache()
            .and_then(|()| read_into(slot.as_mut(), content.length, &mut hasher));
        read.map_err(|cause| InstallError::Disk {
            what: format!("slot `{name}` can't be read back"),
            cause,
        })?;
        if Sha256Digest(hasher.finalize().into()) == content.sha256 {
            return Ok(content);
        }
        self.forget(name)?;
        Err(InstallError::Unfit(format!(
            "slot `{name}` reads back otherwise than it was written: its flash may be worn out"
        )))
    }
}

/// Feeds the first bytes of a slot to a hasher.
pub(super) fn read_into(slot: &mut dyn Slot, length: u64, hasher: &mut Sha256) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut offset = 0;
    while offset < length {
        let wanted = usize::try_from(length - offset).unwrap_or(PIECE).min(PIECE);
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        slot.read_at(offset, piece)?;
        hasher.update(&*piece);
        offset += wanted as u64;
    }
    Ok(())
}
