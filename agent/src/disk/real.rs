//! The disk that the device has.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise, statvfs, syncfs};

use super::{Caller, Disk, DiskFile, Kind, Owner, Slot};

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

struct RealFile(File);

impl Write for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for RealFile {
    fn sync_for(&mut self, _: Caller) -> io::Result<()> {
        self.0.sync_all()
    }
}

struct RealSlot {
    file: File,
    len: u64,
}

impl Slot for RealSlot {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // A file would grow where a device ends.
        if offset.saturating_add(bytes.len() as u64) > self.len {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(bytes, offset)
    }

    fn forget_cache(&mut self) -> io::Result<()> {
        Ok(fadvise(&self.file, 0, None, Advice::DontNeed)?)
    }

    fn sync_for(&mut self, _: Caller) -> io::Result<()> {
        self.file.sync_all()
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn write_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        // The process's umask must not decide whether a program may be executed.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(Box::new(RealFile(file)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open_slot(&self, path: &Path) -> io::Result<Box<dyn Slot>> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        // Facts about a block device say that it has no bytes; its end is where one can seek to.
        let len = file.seek(SeekFrom::End(0))?;
        Ok(Box::new(RealSlot { file, len }))
    }

    fn sync_file_for(&self, path: &Path, _: Caller) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_dir_for(&self, path: &Path, _: Caller) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename_for(&self, from: &Path, to: &Path, _: Caller) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, link)
    }

    fn read_link(&self, link: &Path) -> io::Result<PathBuf> {
        fs::read_link(link)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut names = fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let facts = fs::symlink_metadata(path)?;
        let kind = facts.file_type();
        Ok(if kind.is_file() {
            Kind::File {
                len: facts.len(),
                mode: facts.permissions().mode() & 0o7777,
            }
        } else if kind.is_dir() {
            Kind::Folder
        } else if kind.is_symlink() {
            Kind::Link
        } else {
            Kind::Other
        })
    }

    fn owner(&self, path: &Path) -> io::Result<Owner> {
        let facts = fs::symlink_metadata(path)?;
        Ok(Owner {
            user: facts.uid(),
            group: facts.gid(),
        })
    }

    fn set_owner(&self, path: &Path, owner: Owner) -> io::Result<()> {
        std::os::unix::fs::lchown(path, Some(owner.user), Some(owner.group))
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        Ok(fs::symlink_metadata(path)?.permissions().mode() & 0o7777)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        Ok(syncfs(File::open(path)?)?)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let facts = statvfs(path)?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }
}
