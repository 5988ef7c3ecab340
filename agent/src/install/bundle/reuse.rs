//! What the old version has already is not written again.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::unpack::copy;
use crate::disk::{Disk, DiskFile, Kind, PUBLIC};

/// A file of the old version that could be the new one's, too.
pub(super) struct Reuse {
    old: Box<dyn Read + Send>,
    path: PathBuf,
    mode: u32,
}

impl Reuse {
    /// Takes the old version's file where length and permissions are the same.
    pub(super) fn begin(disk: &dyn Disk, old: &Path, len: u64, mode: u32) -> Option<Self> {
        (disk.kind(old).ok()? == Kind::File { len, mode }).then_some(())?;
        Some(Self {
            old: disk.open(old).ok()?,
            path: old.to_owned(),
            mode,
        })
    }

    /// Compares while it reads: a file that is the same gets a second name, one that differs is written after all.
    pub(super) fn finish(
        mut self,
        disk: &dyn Disk,
        new: &mut impl Read,
        target: &Path,
    ) -> io::Result<bool> {
        let (mut ours, mut theirs) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let mut same = 0;
        loop {
            let read = new.read(&mut theirs)?;
            let Some(piece) = theirs.get(..read).filter(|piece| !piece.is_empty()) else {
                break;
            };
            let Some(old) = ours.get_mut(..read) else {
                break;
            };
            if self.old.read_exact(old).is_err() || old != piece {
                self.write_after_all(disk, same, piece, new, target)?;
                return Ok(false);
            }
            same += read as u64;
        }
        if disk.hard_link(&self.path, target).is_err() {
            // Not every file system has them, and some bound their number.
            self.write_after_all(disk, same, &[], new, target)?;
            return Ok(false);
        }
        // Its bytes were synced with the old version; its new name is with the folder.
        Ok(true)
    }

    fn write_after_all(
        &self,
        disk: &dyn Disk,
        same: u64,
        piece: &[u8],
        rest: &mut impl Read,
        target: &Path,
    ) -> io::Result<()> {
        let mut file = disk.write_new(target, self.mode)?;
        copy(&mut disk.open(&self.path)?.take(same), file.as_mut())?;
        file.write_all(piece)?;
        copy(rest, file.as_mut())?;
        file.sync()
    }
}

/// Copies a folder into an empty one; all of it is on the disk when this returns. Links are not followed but refused.
pub(super) fn copy_tree(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    for name in disk.list(from)? {
        let (source, target) = (from.join(&name), to.join(&name));
        match disk.kind(&source)? {
            Kind::Folder => {
                disk.make_dir(&target)?;
                copy_tree(disk, &source, &target)?;
            }
            Kind::File { mode, .. } => {
                let mode = if mode & 0o111 == 0 { PUBLIC } else { 0o755 };
                let mut file: Box<dyn DiskFile> = disk.write_new(&target, mode)?;
                copy(disk.open(&source)?.as_mut(), file.as_mut())?;
                file.sync()?;
            }
            Kind::Link | Kind::Other => {
                return Err(io::Error::other(format!(
                    "{} is neither file nor folder",
                    source.display()
                )));
            }
        }
    }
    disk.sync_dir(to)
}
