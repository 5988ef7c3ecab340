//! Takes an artifact's bytes as they come: into a file, unless an installer has a better place for them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use otter_protocol::Sha256Digest;
use sha2::{Digest, Sha256};

use super::{InstallError, on_disk};
use crate::disk::{self, Disk, DiskFile, Kind, PUBLIC};
use crate::journal::Signed;

/// Takes an artifact's bytes, in their order. What was taken outlives a restart of the agent, as far as it was synced.
pub trait Intake: Send {
    /// Returns how many bytes are there.
    fn taken(&self) -> u64;
    /// Tells whether the first of them were taken by another run of the agent, so that a power cut may have torn them.
    fn was_resumed(&self) -> bool;
    /// Takes more.
    fn take(&mut self, piece: &[u8]) -> Result<(), InstallError>;
    /// Forgets everything, to begin again.
    fn restart(&mut self) -> Result<(), InstallError>;
    /// Returns the digest of what is there.
    fn digest(&self) -> Sha256Digest;
    /// Brings everything to the disk, as what was signed.
    fn finish(&mut self) -> Result<(), InstallError>;
    /// Removes everything: it is of no use.
    fn discard(&mut self) -> Result<(), InstallError>;
}

/// The folder where artifacts are kept until they are installed.
#[derive(Debug, Clone)]
pub struct Downloads {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

impl Downloads {
    /// Takes the folder in a state folder.
    pub fn new(disk: Arc<dyn Disk>, state: &Path) -> Self {
        Self {
            disk,
            folder: state.join("downloads"),
        }
    }

    /// Returns where the whole artifact is, or will be.
    pub fn path(&self, signed: &Signed) -> PathBuf {
        self.folder.join(signed.sha256.to_string())
    }

    /// Tells whether anything of an artifact is there.
    pub fn has_any(&self, signed: &Signed) -> Result<bool, InstallError> {
        let disk = self.disk.as_ref();
        let is_there = |path: &Path| disk::find(disk, path).map(|kind| kind.is_some());
        let whole = self.path(signed);
        let any = is_there(&whole).and_then(|is| Ok(is || is_there(&self.part(signed))?));
        any.map_err(unwritable)
    }

    fn part(&self, signed: &Signed) -> PathBuf {
        self.folder.join(format!("{}.part", signed.sha256))
    }

    /// Opens what is there of an artifact.
    pub fn open(&self, signed: &Signed) -> Result<FileIntake, InstallError> {
        FileIntake::open(self, signed).map_err(unwritable)
    }

    /// Reads an artifact once more and returns where it is: between its last byte and now lie a rename, and perhaps a
    /// power cut. What isn't what was signed is removed.
    pub async fn verified(&self, signed: &Signed) -> Result<PathBuf, InstallError> {
        let (downloads, signed) = (self.clone(), signed.clone());
        on_disk(move || downloads.verify(&signed)).await
    }

    fn verify(&self, signed: &Signed) -> Result<PathBuf, InstallError> {
        let path = self.path(signed);
        let mut hasher = Sha256::new();
        let disk = self.disk.as_ref();
        let len = hash(disk, &path, &mut hasher).map_err(|error| {
            InstallError::Unfit(format!("the download can't be read again: {error}"))
        })?;
        let digest = Sha256Digest(hasher.finalize().into());
        signed.matches(len, &digest).map_err(|error| {
            // It is fetched anew the next time, wherever that fails.
            self.tidy(None).ok();
            InstallError::Unfit(error.to_string())
        })?;
        Ok(path)
    }

    /// Removes everything but what is there of this artifact.
    pub fn tidy(&self, keep: Option<&Signed>) -> io::Result<()> {
        let disk = self.disk.as_ref();
        let keep = keep.map(|signed| signed.sha256.to_string());
        for name in disk::optional(disk.list(&self.folder))?.unwrap_or_default() {
            let is_kept = keep
                .as_ref()
                .is_some_and(|keep| name.to_string_lossy().starts_with(keep.as_str()));
            if !is_kept {
                disk::remove_tree(disk, &self.folder.join(name))?;
            }
        }
        Ok(())
    }
}

fn unwritable(cause: io::Error) -> InstallError {
    InstallError::Disk {
        what: "the download can't be written".to_owned(),
        cause,
    }
}

/// An artifact that is taken into a file.
pub struct FileIntake {
    disk: Arc<dyn Disk>,
    whole: PathBuf,
    part: PathBuf,
    /// `None` where all of it was there.
    file: Option<Box<dyn DiskFile>>,
    hasher: Sha256,
    taken: u64,
    was_resumed: bool,
}

impl FileIntake {
    fn open(downloads: &Downloads, signed: &Signed) -> io::Result<Self> {
        let disk = downloads.disk.clone();
        disk::make_dirs(disk.as_ref(), &downloads.folder)?;
        let mut intake = Self {
            whole: downloads.path(signed),
            part: downloads.part(signed),
            disk: disk.clone(),
            file: None,
            hasher: Sha256::new(),
            taken: 0,
            was_resumed: true,
        };
        let disk = disk.as_ref();
        if disk::find(disk, &intake.whole)?.is_some() {
            intake.taken = hash(disk, &intake.whole, &mut intake.hasher)?;
            return Ok(intake);
        }
        match disk::find(disk, &intake.part)? {
            Some(Kind::File { len, .. }) if len > 0 && len <= signed.length => {
                intake.file = Some(disk.append(&intake.part)?);
                intake.taken = hash(disk, &intake.part, &mut intake.hasher)?;
            }
            _ => intake.begin()?,
        }
        Ok(intake)
    }

    fn begin(&mut self) -> io::Result<()> {
        self.remove()?;
        self.file = Some(self.disk.write_new(&self.part, PUBLIC)?);
        self.hasher = Sha256::new();
        self.taken = 0;
        self.was_resumed = false;
        Ok(())
    }

    fn remove(&mut self) -> io::Result<()> {
        self.file = None;
        disk::remove_tree(self.disk.as_ref(), &self.part)?;
        disk::remove_tree(self.disk.as_ref(), &self.whole)
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::InvalidInput)?;
        file.write_all(piece)?;
        self.hasher.update(piece);
        self.taken += piece.len() as u64;
        Ok(())
    }

    fn keep(&mut self) -> io::Result<()> {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        file.sync()?;
        drop(file);
        let disk = self.disk.as_ref();
        disk.rename(&self.part, &self.whole)?;
        disk::sync_parent(disk, &self.whole)
    }
}

impl Intake for FileIntake {
    fn taken(&self) -> u64 {
        self.taken
    }

    fn was_resumed(&self) -> bool {
        self.was_resumed
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), InstallError> {
        self.write(piece).map_err(unwritable)
    }

    fn restart(&mut self) -> Result<(), InstallError> {
        self.begin().map_err(unwritable)
    }

    fn digest(&self) -> Sha256Digest {
        Sha256Digest(self.hasher.clone().finalize().into())
    }

    fn finish(&mut self) -> Result<(), InstallError> {
        self.keep().map_err(unwritable)
    }

    fn discard(&mut self) -> Result<(), InstallError> {
        self.remove().map_err(unwritable)
    }
}

/// Feeds a file to a hasher and returns its length.
pub fn hash(disk: &dyn Disk, path: &Path, hasher: &mut Sha256) -> io::Result<u64> {
    let mut file = disk.open(path)?;
    let mut buffer = vec![0; 256 << 10];
    let mut len = 0;
    loop {
        let read = file.read(&mut buffer)?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            return Ok(len);
        };
        hasher.update(piece);
        len += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    #[test]
    fn a_part_goes_on_with_the_hash_of_what_is_there() {
        let disk = Arc::new(SimulatedDisk::default());
        let signed = crate::testing::signed(b"otters swim");
        let downloads = Downloads::new(disk, Path::new("/"));
        let open = || downloads.open(&signed).unwrap();
        open().take(b"otters").unwrap();
        let mut part = open();
        assert_eq!((part.taken(), part.was_resumed()), (6, true));
        part.take(b" swim").unwrap();
        signed.matches(part.taken(), &part.digest()).unwrap();
        part.take(b"!").unwrap();
        assert_eq!(open().taken(), 0, "a part that is too long is of no use");
    }

    #[test]
    fn what_is_whole_is_not_taken_again_and_what_rotted_is_removed() {
        let disk = Arc::new(SimulatedDisk::default());
        let signed = crate::testing::signed(b"otters swim");
        let downloads = Downloads::new(disk.clone(), Path::new("/"));
        let mut part = downloads.open(&signed).unwrap();
        part.take(b"otters swim").unwrap();
        part.finish().unwrap();
        assert_eq!(downloads.open(&signed).unwrap().taken(), 11);
        assert_eq!(downloads.verify(&signed).unwrap(), downloads.path(&signed));
        disk.append(&downloads.path(&signed))
            .unwrap()
            .write_all(b"!")
            .unwrap();
        let error = downloads.verify(&signed).unwrap_err().to_string();
        assert!(error.contains("wrong software"), "{error}");
        assert_eq!(downloads.open(&signed).unwrap().taken(), 0);
    }
}
