//! Firmware that is kept on this device's disk: what is to be flashed, and what to go back to.
//!
//! Each has a folder of its own with the file and a record of what it is; the folder gets its name when all of it is synced.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use otter_protocol::{Sha256Digest, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::InstallError;
use super::super::intake::hash;
use crate::disk::{self, Disk, Kind, PUBLIC};
use crate::journal::{Installed, Signed};

const LARGEST_RECORD: u64 = 64 << 10;
const RECORD: &str = "record.json";
const STAGING: &str = ".staging-";

/// What a kept file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    installed: Installed,
    file: String,
    sha256: Sha256Digest,
}

/// The folder of kept firmware.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    file: String,
}

impl Shelf {
    /// Takes the folder; files in it end with this extension.
    pub(super) fn new(disk: Arc<dyn Disk>, state: &Path, extension: &str) -> Self {
        Self {
            disk,
            folder: state.join("firmware"),
            file: format!("firmware.{extension}"),
        }
    }

    /// Returns what a signed artifact is called here.
    pub(super) fn name(signed: &Signed) -> Installed {
        Installed {
            version: signed.version(),
            release_counter: signed.facts.release_counter,
            name: format!("{}-{}", signed.facts.release_counter, signed.sha256),
        }
    }

    /// Returns what firmware is called that was found on the controller and was never an artifact here.
    pub(super) fn found(version: Version, release_counter: u64) -> Installed {
        let digest = Sha256Digest::of(version.as_str().as_bytes()).to_string();
        let short: String = digest.chars().take(16).collect();
        Installed {
            version,
            release_counter,
            name: format!("found-{short}"),
        }
    }

    /// Keeps a verified download. It costs no space where the file system has hard links.
    pub(super) fn keep(&self, signed: &Signed, download: &Path) -> Result<Installed, InstallError> {
        let installed = Self::name(signed);
        let keep = || -> io::Result<()> {
            if self.record(&installed)?.is_some() {
                return Ok(());
            }
            let disk = self.disk.as_ref();
            let file = self.stage(&installed)?;
            if disk.hard_link(download, &file).is_err() {
                self.copy(download, &file)?;
            }
            self.settle(&installed, signed.sha256)
        };
        keep().map(|()| installed.clone()).map_err(unkept)
    }

    /// Makes room for firmware that a program will write, and returns the file that it is to write.
    pub(super) fn stage(&self, installed: &Installed) -> io::Result<PathBuf> {
        let disk = self.disk.as_ref();
        let staging = self.staging(installed);
        disk::make_dirs(disk, &self.folder)?;
        disk::remove_tree(disk, &staging)?;
        disk.make_dir(&staging)?;
        Ok(staging.join(&self.file))
    }

    /// Keeps what a program wrote to the file that was made room for.
    pub(super) fn keep_staged(&self, installed: &Installed) -> Result<(), InstallError> {
        let file = self.staging(installed).join(&self.file);
        let disk = self.disk.as_ref();
        match disk::find(disk, &file).map_err(unkept)? {
            Some(Kind::File { len, .. }) if len > 0 => {}
            _ => {
                return Err(InstallError::Unfit(
                    "`firmware.read_out` ended well, but wrote nothing to `{file}`".to_owned(),
                ));
            }
        }
        let mut hasher = Sha256::new();
        hash(disk, &file, &mut hasher).map_err(unkept)?;
        let digest = Sha256Digest(hasher.finalize().into());
        self.settle(installed, digest).map_err(unkept)
    }

    fn settle(&self, installed: &Installed, sha256: Sha256Digest) -> io::Result<()> {
        let disk = self.disk.as_ref();
        let (staging, place) = (self.staging(installed), self.place(&installed.name));
        let record = Record {
            installed: installed.clone(),
            file: self.file.clone(),
            sha256,
        };
        disk.sync_file(&staging.join(&self.file))?;
        let bytes = serde_json::to_vec(&record)?;
        disk::write_whole(disk, &staging.join(RECORD), &bytes, PUBLIC)?;
        disk::remove_tree(disk, &place)?;
        disk.rename(&staging, &place)?;
        disk.sync_dir(&self.folder)
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let disk = self.disk.as_ref();
        let mut from = disk.open(from)?;
        let mut to = disk.write_new(to, PUBLIC)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = from.read(&mut buffer)?;
            match buffer.get(..read).filter(|piece| !piece.is_empty()) {
                Some(piece) => to.write_all(piece)?,
                None => return Ok(()),
            }
        }
    }

    /// Tells whether there is something to flash for a version.
    pub(super) fn has(&self, installed: &Installed) -> Result<bool, InstallError> {
        Ok(self.record(installed).map_err(unkept)?.is_some())
    }

    /// Returns the file to flash, read once more and found to be what it was.
    pub(super) fn verified(&self, installed: &Installed) -> Result<PathBuf, InstallError> {
        let nothing = || {
            InstallError::Unfit(format!(
                "nothing is kept of version {}, so that it can't be flashed. With `firmware.read_out` it is read from \
                 the controller before it is replaced",
                installed.version
            ))
        };
        let record = self.record(installed).map_err(unkept)?;
        let record = record.ok_or_else(nothing)?;
        let file = self.place(&installed.name).join(&record.file);
        let mut hasher = Sha256::new();
        hash(self.disk.as_ref(), &file, &mut hasher).map_err(unkept)?;
        if Sha256Digest(hasher.finalize().into()) != record.sha256 {
            return Err(InstallError::Unfit(format!(
                "{} rotted on the disk: it is not what was kept, and is not flashed",
                file.display()
            )));
        }
        Ok(file)
    }

    /// Returns what is kept of a version, by what the controller says.
    pub(super) fn of_version(&self, version: &Version) -> Result<Option<Installed>, InstallError> {
        let disk = self.disk.as_ref();
        let names = disk::optional(disk.list(&self.folder)).map_err(unkept)?;
        let kept = names.unwrap_or_default().into_iter().filter_map(|name| {
            let record = self.read(&self.folder.join(name)).ok()??;
            Some(record.installed)
        });
        Ok(kept
            .filter(|installed| installed.version == *version)
            .max_by_key(|installed| installed.release_counter))
    }

    /// Returns what was kept under a name.
    pub(super) fn named(&self, name: &str) -> Result<Option<Installed>, InstallError> {
        let record = self.read(&self.place(name)).map_err(unkept)?;
        Ok(record.map(|record| record.installed))
    }

    fn record(&self, installed: &Installed) -> io::Result<Option<Record>> {
        self.read(&self.place(&installed.name))
    }

    fn read(&self, place: &Path) -> io::Result<Option<Record>> {
        let bytes = disk::read(self.disk.as_ref(), &place.join(RECORD), LARGEST_RECORD)?;
        // A record that rotted tells nothing of its file.
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Removes everything but these, and whatever was left half done.
    pub(super) fn clean(&self, keep: &[Installed]) -> Result<(), InstallError> {
        let disk = self.disk.as_ref();
        let clean = || -> io::Result<()> {
            for name in disk::optional(disk.list(&self.folder))?.unwrap_or_default() {
                if keep.iter().all(|installed| name != *installed.name) {
                    disk::remove_tree(disk, &self.folder.join(name))?;
                }
            }
            Ok(())
        };
        clean().map_err(unkept)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn staging(&self, installed: &Installed) -> PathBuf {
        self.folder.join(format!("{STAGING}{}", installed.name))
    }
}

fn unkept(cause: io::Error) -> InstallError {
    InstallError::Disk {
        what: "firmware can't be kept, or not read again".to_owned(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;
    use crate::disk::simulated::Loss;

    fn shelf() -> (Arc<SimulatedDisk>, Shelf) {
        let disk = Arc::new(SimulatedDisk::default());
        (disk.clone(), Shelf::new(disk, Path::new("/s"), "hex"))
    }

    fn download(disk: &SimulatedDisk, bytes: &[u8]) {
        let mut file = disk.write_new(Path::new("/download"), PUBLIC).unwrap();
        file.write_all(bytes).unwrap();
        file.sync().unwrap();
    }

    #[test]
    fn what_is_kept_is_found_again_until_it_rots() {
        let (disk, shelf) = shelf();
        let signed = crate::testing::signed(b"otters");
        download(&disk, b"otters");
        let kept = shelf.keep(&signed, Path::new("/download")).unwrap();
        assert_eq!(shelf.keep(&signed, Path::new("/download")).unwrap(), kept);
        assert_eq!(
            shelf.of_version(&"2.0.0".into()).unwrap().as_ref(),
            Some(&kept)
        );
        assert_eq!(shelf.named(&kept.name).unwrap().as_ref(), Some(&kept));
        let file = shelf.verified(&kept).unwrap();
        assert!(file.ends_with("firmware.hex"), "{file:?}");
        disk.append(&file).unwrap().write_all(b"!").unwrap();
        let error = shelf.verified(&kept).unwrap_err().to_string();
        assert!(error.contains("rotted"), "{error}");
        shelf.clean(&[]).unwrap();
        assert!(!shelf.has(&kept).unwrap());
    }

    #[test]
    fn what_a_program_wrote_is_kept_and_nothing_is_not() {
        let (disk, shelf) = shelf();
        let found = Shelf::found("1.0.0".into(), 0);
        shelf.stage(&found).unwrap();
        let error = shelf.keep_staged(&found).unwrap_err().to_string();
        assert!(error.contains("wrote nothing"), "{error}");
        let file = shelf.stage(&found).unwrap();
        disk.write_new(&file, PUBLIC)
            .unwrap()
            .write_all(b"read out")
            .unwrap();
        shelf.keep_staged(&found).unwrap();
        shelf.verified(&found).unwrap();
        let error = shelf.verified(&Shelf::found("9".into(), 0)).unwrap_err();
        assert!(error.to_string().contains("read_out"), "{error}");
    }

    #[test]
    fn nothing_is_half_kept_when_the_power_goes() {
        let (disk, shelf) = shelf();
        let signed = crate::testing::signed(b"otters");
        download(&disk, b"otters");
        disk.settle();
        let trees = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = trees.clone();
        disk.observe(move |tree| seen.lock().unwrap().push(tree.clone()));
        let kept = shelf.keep(&signed, Path::new("/download")).unwrap();
        let mut trees = std::mem::take(&mut *trees.lock().unwrap());
        trees.push(disk.tree());
        let (count, mut there) = (trees.len(), 0);
        for (at, tree) in trees.into_iter().enumerate() {
            let losses = [Loss::All, Loss::Nothing, Loss::Bytes];
            for loss in losses.into_iter().chain((0..20).map(Loss::Torn)) {
                let after = SimulatedDisk::from(tree.after_cut(loss));
                let shelf = Shelf::new(Arc::new(after), Path::new("/s"), "hex");
                if shelf.has(&kept).unwrap() {
                    shelf.verified(&kept).unwrap();
                    there += 1;
                } else {
                    assert!(at + 1 < count, "it was kept, and is lost");
                }
            }
        }
        assert!(there > 0);
    }
}
