//! Counts what is written: flash wears with every byte.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Caller, Disk, DiskFile, Kind, Owner, Slot};

/// Bytes that were written; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Written(Arc<AtomicU64>);

impl Written {
    /// Returns how many bytes were written so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Another disk, with a count of the bytes that are written to its files and slots.
#[derive(Debug)]
pub struct CountingDisk {
    disk: Arc<dyn Disk>,
    written: Written,
}

impl CountingDisk {
    /// Counts what goes to a disk.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            written: Written::default(),
        }
    }

    /// Returns the count.
    pub fn written(&self) -> Written {
        self.written.clone()
    }

    fn file(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(Counted(file, self.written.clone()))
    }
}

struct Counted<T: ?Sized>(Box<T>, Written);

impl Write for Counted<dyn DiskFile> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1.add(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for Counted<dyn DiskFile> {
    fn sync_for(&mut self, caller: Caller) -> io::Result<()> {
        self.0.sync_for(caller)
    }
}

impl Slot for Counted<dyn Slot> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)?;
        self.1.add(bytes.len());
        Ok(())
    }

    fn forget_cache(&mut self) -> io::Result<()> {
        self.0.forget_cache()
    }

    fn sync_for(&mut self, caller: Caller) -> io::Result<()> {
        self.0.sync_for(caller)
    }
}

impl Disk for CountingDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.disk.open(path)
    }

    fn write_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.disk.write_new(path, mode)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.disk.append(path)?))
    }

    fn open_slot(&self, path: &Path) -> io::Result<Box<dyn Slot>> {
        let slot = self.disk.open_slot(path)?;
        Ok(Box::new(Counted(slot, self.written.clone())))
    }

    fn sync_file_for(&self, path: &Path, caller: Caller) -> io::Result<()> {
        self.disk.sync_file_for(path, caller)
    }

    fn sync_dir_for(&self, path: &Path, caller: Caller) -> io::Result<()> {
        self.disk.sync_dir_for(path, caller)
    }

    fn rename_for(&self, from: &Path, to: &Path, caller: Caller) -> io::Result<()> {
        self.disk.rename_for(from, to, caller)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.make_dir(path)
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.disk.symlink(target, link)
    }

    fn read_link(&self, link: &Path) -> io::Result<PathBuf> {
        self.disk.read_link(link)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.disk.list(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.disk.kind(path)
    }

    fn owner(&self, path: &Path) -> io::Result<Owner> {
        self.disk.owner(path)
    }

    fn set_owner(&self, path: &Path, owner: Owner) -> io::Result<()> {
        self.disk.set_owner(path, owner)
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        self.disk.mode(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.disk.set_mode(path, mode)
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_all(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{PUBLIC, SimulatedDisk, write_whole};

    #[test]
    fn every_byte_counts_once() {
        let simulated = SimulatedDisk::default();
        simulated.make_slot(Path::new("/slot"), 4096);
        let disk = CountingDisk::new(Arc::new(simulated));
        write_whole(&disk, Path::new("/x"), b"12345", PUBLIC).unwrap();
        let mut file = disk.append(Path::new("/x")).unwrap();
        file.write_all(b"678").unwrap();
        let mut slot = disk.open_slot(Path::new("/slot")).unwrap();
        slot.write_at(512, &[1; 100]).unwrap();
        assert!(slot.write_at(4095, &[1; 2]).is_err());
        assert_eq!(disk.written().bytes(), 108);
    }
}
