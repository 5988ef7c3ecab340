//! A disk in memory that can lose its power: whatever wasn't synced may be lost, kept, reordered or torn.
//!
//! It knows what programs see and what is on the medium, and keeps account of everything between. Two kinds of file system
//! are simulated; a third of them is no worse than one of these. Permissions and owners are on the medium at once.

mod cut;
mod tree;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Caller, Disk, DiskFile, Kind, Owner, Slot};
use tree::{Body, Bytes, folder};

pub use cut::{Dice, Loss};
pub use tree::Tree;

/// In which order a file system brings things to the medium by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileSystem {
    /// Names in the order of their changes, and all of them with any sync, as ext4's journal does it.
    #[default]
    Ordered,
    /// Each name and each byte whenever it likes, unless its own file or folder is synced, as POSIX allows it.
    Unordered,
}

/// A place in the source that asks for a sync or a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The source file.
    pub file: &'static str,
    /// The line in it.
    pub line: u32,
    /// What is asked for.
    pub what: &'static str,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{}", self.what, self.file, self.line)
    }
}

/// What hears of every operation, just before it is done.
type Observer = Arc<dyn Fn(&Tree) + Send + Sync>;

/// A disk in memory; clones share it.
#[derive(Clone)]
pub struct SimulatedDisk(Arc<Mutex<Shared>>);

struct Shared {
    tree: Tree,
    is_full: bool,
    observer: Option<Observer>,
    sites: BTreeSet<Site>,
    removed: Option<Site>,
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimulatedDisk")
    }
}

impl Default for SimulatedDisk {
    fn default() -> Self {
        Self::new(FileSystem::default())
    }
}

impl From<Tree> for SimulatedDisk {
    fn from(tree: Tree) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            tree,
            is_full: false,
            observer: None,
            sites: BTreeSet::new(),
            removed: None,
        })))
    }
}

impl SimulatedDisk {
    /// Makes an empty disk.
    pub fn new(file_system: FileSystem) -> Self {
        Tree::new(file_system).into()
    }

    /// Makes every write fail from now on, or no longer.
    pub fn set_full(&self, full: bool) {
        self.lock().is_full = full;
    }

    /// Lets `observer` hear of every operation from now on, just before it is done.
    pub fn observe(&self, observer: impl Fn(&Tree) + Send + Sync + 'static) {
        self.lock().observer = Some(Arc::new(observer));
    }

    /// Does nothing for this place any more, but says that it was done.
    pub fn take_away(&self, site: Site) {
        self.lock().removed = Some(site);
    }

    /// Returns every place that asked for a sync or a rename.
    pub fn sites(&self) -> BTreeSet<Site> {
        self.lock().sites.clone()
    }

    /// Returns a picture of what is there.
    pub fn tree(&self) -> Tree {
        self.lock().tree.clone()
    }

    /// Makes all of it as if it had been synced: a disk as a device comes with it.
    pub fn settle(&self) {
        self.lock().tree.settle();
    }

    /// Makes a block device of this many bytes, all of them zero.
    pub fn make_slot(&self, path: &Path, len: usize) {
        let zeroes = Arc::new(vec![0; len]);
        let bytes = Bytes {
            now: zeroes.clone(),
            synced: zeroes,
            waiting: Vec::new(),
        };
        let mut shared = self.lock();
        // Something has the name already: then that is what is tested.
        shared.tree.add(path, 0o600, Body::Slot(bytes)).ok();
        shared.tree.settle();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Tree) -> io::Result<T>) -> io::Result<T> {
        let mut shared = self.lock();
        if let Some(observer) = shared.observer.clone() {
            observer(&shared.tree);
        }
        change(&mut shared.tree)
    }

    /// Changes what a place of the source asks for, unless that place is taken away.
    fn promise(
        &self,
        what: &'static str,
        caller: Caller,
        keep: impl FnOnce(&mut Tree) -> io::Result<()>,
    ) -> io::Result<()> {
        let site = Site {
            file: caller.file(),
            line: caller.line(),
            what,
        };
        let is_removed = {
            let mut shared = self.lock();
            shared.sites.insert(site);
            shared.removed == Some(site)
        };
        self.change(|tree| if is_removed { Ok(()) } else { keep(tree) })
    }

    fn write(&self, number: usize, offset: Option<u64>, bytes: &[u8]) -> io::Result<()> {
        if self.lock().is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.change(|tree| tree.write(number, offset, bytes))
    }

    fn handle(&self, number: usize) -> Handle {
        Handle {
            disk: self.clone(),
            number,
        }
    }
}

struct Handle {
    disk: SimulatedDisk,
    number: usize,
}

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.write(self.number, None, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for Handle {
    fn sync_for(&mut self, caller: Caller) -> io::Result<()> {
        self.disk
            .promise("sync", caller, |tree| tree.sync_bytes(self.number))
    }
}

impl Slot for Handle {
    fn len(&self) -> u64 {
        let shared = self.disk.lock();
        shared
            .tree
            .bytes(self.number)
            .map_or(0, |bytes| bytes.now.len() as u64)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let shared = self.disk.lock();
        let begin = offset as usize;
        let bytes = shared.tree.bytes(self.number)?;
        let bytes = bytes.now.get(begin..begin.saturating_add(buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset.saturating_add(bytes.len() as u64) > Slot::len(self) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.disk.write(self.number, Some(offset), bytes)
    }

    fn forget_cache(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn sync_for(&mut self, caller: Caller) -> io::Result<()> {
        DiskFile::sync_for(self, caller)
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let shared = self.lock();
        let number = shared.tree.find(path, true)?;
        let bytes = shared.tree.bytes(number)?.now.to_vec();
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn write_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        let body = Body::File(Bytes::default());
        let number = self.change(|tree| tree.add(path, mode, body))?;
        Ok(Box::new(self.handle(number)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let shared = self.lock();
        let number = shared.tree.find(path, true)?;
        shared.tree.bytes(number)?;
        Ok(Box::new(self.handle(number)))
    }

    fn open_slot(&self, path: &Path) -> io::Result<Box<dyn Slot>> {
        let shared = self.lock();
        let number = shared.tree.find(path, true)?;
        match shared.tree.node(number)?.body {
            Body::Slot(_) => Ok(Box::new(self.handle(number))),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn sync_file_for(&self, path: &Path, caller: Caller) -> io::Result<()> {
        let number = self.lock().tree.find(path, true)?;
        self.promise("sync", caller, |tree| tree.sync_bytes(number))
    }

    fn sync_dir_for(&self, path: &Path, caller: Caller) -> io::Result<()> {
        let number = self.lock().tree.find(path, true)?;
        self.promise("sync of names", caller, |tree| {
            tree.sync_names(Some(number));
            Ok(())
        })
    }

    fn rename_for(&self, from: &Path, to: &Path, caller: Caller) -> io::Result<()> {
        self.promise("rename", caller, |tree| tree.rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|tree| tree.link(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(|tree| tree.remove(path, false))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.change(|tree| tree.remove(path, true))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.change(|tree| tree.add(path, 0o755, folder()).map(|_| ()))
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        let body = Body::Link(target.to_owned());
        self.change(|tree| tree.add(link, 0o777, body).map(|_| ()))
    }

    fn read_link(&self, link: &Path) -> io::Result<PathBuf> {
        let shared = self.lock();
        match &shared.tree.node(shared.tree.find(link, false)?)?.body {
            Body::Link(target) => Ok(target.clone()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.lock().tree.list(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.lock().tree.kind(path)
    }

    fn owner(&self, path: &Path) -> io::Result<Owner> {
        let shared = self.lock();
        Ok(shared.tree.node(shared.tree.find(path, false)?)?.owner)
    }

    fn set_owner(&self, path: &Path, owner: Owner) -> io::Result<()> {
        self.change(|tree| {
            let number = tree.find(path, false)?;
            tree.node_mut(number)?.owner = owner;
            Ok(())
        })
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        let shared = self.lock();
        Ok(shared.tree.node(shared.tree.find(path, false)?)?.mode)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.change(|tree| {
            let number = tree.find(path, true)?;
            tree.node_mut(number)?.mode = mode;
            Ok(())
        })
    }

    fn sync_all(&self, _: &Path) -> io::Result<()> {
        self.change(|tree| {
            tree.settle();
            Ok(())
        })
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(if self.lock().is_full { 0 } else { u64::MAX })
    }
}

#[cfg(test)]
mod tests;
