//! The state machine's promises, and what keeps them.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::disk::{Caller, Disk, DiskFile, Kind, Owner, Slot};

/// How long one operation may take on a disk that is slow and full of what others wrote.
const DISK: Duration = Duration::from_secs(5 * 60);
/// How often a wait that is meant gives a sign.
const PIECE: Duration = Duration::from_secs(10);
/// How late such a sign may be on a busy machine.
const LATENESS: Duration = Duration::from_secs(60);

/// Says when the state machine gives its next sign of life at the latest. Clones are the same heart.
///
/// A promise stands until it is over: a shorter one doesn't take it back. So what is done in a step needs no promise of its
/// own, as long as it fits into the step's.
#[derive(Debug, Clone)]
pub struct Heart(Arc<Mutex<Instant>>);

impl Default for Heart {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Heart {
    /// Promises the next sign within this time.
    pub fn promise(&self, within: Duration) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Instant::now() + within);
    }

    /// Tells whether the last promise still holds.
    pub fn is_alive(&self) -> bool {
        Instant::now() <= *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something that may take as long as it likes, and gives signs meanwhile. Only for waits that are meant and that
    /// end by themselves: work that hangs would seem alive in here.
    pub async fn rest<T>(&self, wait: impl Future<Output = T>) -> T {
        tokio::pin!(wait);
        loop {
            self.promise(PIECE + LATENESS);
            if let Ok(value) = tokio::time::timeout(PIECE, &mut wait).await {
                self.promise(LATENESS);
                return value;
            }
        }
    }

    /// Sleeps, and gives signs meanwhile.
    pub async fn sleep(&self, time: Duration) {
        self.rest(tokio::time::sleep(time)).await;
    }
}

/// Another disk, whose every operation is a sign of life: for work that takes long and shows by its disk that it gets on.
#[derive(Debug)]
pub struct BeatingDisk {
    disk: Arc<dyn Disk>,
    heart: Heart,
}

impl BeatingDisk {
    /// Lets what is done to a disk beat a heart.
    pub fn new(disk: Arc<dyn Disk>, heart: Heart) -> Self {
        Self { disk, heart }
    }

    fn beating(&self) -> &dyn Disk {
        self.heart.promise(DISK);
        self.disk.as_ref()
    }

    fn wrap<T: ?Sized>(&self, inner: Box<T>) -> Box<Beating<T>> {
        Box::new(Beating(inner, self.heart.clone()))
    }
}

struct Beating<T: ?Sized>(Box<T>, Heart);

impl<T: ?Sized> Beating<T> {
    fn beating(&mut self) -> &mut T {
        self.1.promise(DISK);
        self.0.as_mut()
    }
}

impl Read for Beating<dyn Read + Send> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.beating().read(buffer)
    }
}

impl Write for Beating<dyn DiskFile> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.beating().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.beating().flush()
    }
}

impl DiskFile for Beating<dyn DiskFile> {
    fn sync_for(&mut self, caller: Caller) -> io::Result<()> {
        self.beating().sync_for(caller)
    }
}

impl Slot for Beating<dyn Slot> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.beating().read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.beating().write_at(offset, bytes)
    }

    fn forget_cache(&mut self) -> io::Result<()> {
        self.beating().forget_cache()
    }

    fn sync_for(&mut self, caller: Caller) -> io::Result<()> {
        self.beating().sync_for(caller)
    }
}

impl Disk for BeatingDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(self.wrap(self.beating().open(path)?))
    }

    fn write_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.wrap(self.beating().write_new(path, mode)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.wrap(self.beating().append(path)?))
    }

    fn open_slot(&self, path: &Path) -> io::Result<Box<dyn Slot>> {
        Ok(self.wrap(self.beating().open_slot(path)?))
    }

    fn sync_file_for(&self, path: &Path, caller: Caller) -> io::Result<()> {
        self.beating().sync_file_for(path, caller)
    }

    fn sync_dir_for(&self, path: &Path, caller: Caller) -> io::Result<()> {
        self.beating().sync_dir_for(path, caller)
    }

    fn rename_for(&self, from: &Path, to: &Path, caller: Caller) -> io::Result<()> {
        self.beating().rename_for(from, to, caller)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.beating().hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.beating().remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.beating().remove_dir(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.beating().make_dir(path)
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.beating().symlink(target, link)
    }

    fn read_link(&self, link: &Path) -> io::Result<PathBuf> {
        self.beating().read_link(link)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.beating().list(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.beating().kind(path)
    }

    fn owner(&self, path: &Path) -> io::Result<Owner> {
        self.beating().owner(path)
    }

    fn set_owner(&self, path: &Path, owner: Owner) -> io::Result<()> {
        self.beating().set_owner(path, owner)
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        self.beating().mode(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.beating().set_mode(path, mode)
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.beating().sync_all(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.beating().free_bytes(path)
    }
}
