//! Everything that the agent does to disk, behind one small trait.
//!
//! Two promises are all that the rest relies on: what was synced is there after a power cut, and a rename is whole or
//! not at all. So the trait has no call that hides a sync, and [`SimulatedDisk`] loses whatever was not synced.

mod counting;
mod real;
pub mod simulated;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::panic::Location;
use std::path::{Path, PathBuf};

pub use counting::{CountingDisk, Written};
pub use real::RealDisk;
pub use simulated::SimulatedDisk;

/// Where in the source a promise was asked for: a simulation takes one place's promises away and sees whether that matters.
pub type Caller = &'static Location<'static>;

/// Permission bits of files that others may read.
pub const PUBLIC: u32 = 0o644;
/// Permission bits of files that hold a secret.
pub const SECRET: u32 = 0o600;

/// What a path names; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file of this many bytes.
    File {
        /// Length in bytes.
        len: u64,
        /// Permission bits.
        mode: u32,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a pipe or a socket.
    Other,
}

/// Who a file or folder belongs to: numbers of user and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

/// A file that is being written.
pub trait DiskFile: Write + Send {
    /// Brings everything written so far to the disk; [`sync`](trait.DiskFile.html#method.sync) says for whom.
    fn sync_for(&mut self, caller: Caller) -> io::Result<()>;
}

impl dyn DiskFile + '_ {
    /// Brings everything written so far to the disk.
    #[track_caller]
    pub fn sync(&mut self) -> io::Result<()> {
        self.sync_for(Location::caller())
    }
}

/// A block device, or a file in place of one: of fixed length, read and written anywhere.
pub trait Slot: Send {
    /// Returns its length in bytes.
    fn len(&self) -> u64;
    /// Tells whether it has no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Fills a buffer from a place on; fails where the slot ends before.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes at a place; fails where the slot ends before.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Lets what is read from now on come from the medium itself, as far as the system can do that.
    fn forget_cache(&mut self) -> io::Result<()>;
    /// Brings everything written so far to the disk; [`sync`](trait.Slot.html#method.sync) says for whom.
    fn sync_for(&mut self, caller: Caller) -> io::Result<()>;
}

impl dyn Slot + '_ {
    /// Brings everything written so far to the disk.
    #[track_caller]
    pub fn sync(&mut self) -> io::Result<()> {
        self.sync_for(Location::caller())
    }
}

/// A disk, as far as the agent needs one. Paths are absolute; nothing but [`Disk::open`] and [`Disk::append`] follows a link
/// in a path's last part.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens a file to read it from its beginning.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;
    /// Makes a file with these permission bits; fails where something has the name.
    fn write_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to write at its end; fails where there is none.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a block device, or a file in place of one, to read and write it.
    fn open_slot(&self, path: &Path) -> io::Result<Box<dyn Slot>>;
    /// See `sync_file`.
    fn sync_file_for(&self, path: &Path, caller: Caller) -> io::Result<()>;
    /// See `sync_dir`.
    fn sync_dir_for(&self, path: &Path, caller: Caller) -> io::Result<()>;
    /// See `rename`.
    fn rename_for(&self, from: &Path, to: &Path, caller: Caller) -> io::Result<()>;
    /// Gives a file a second name; fails where something has it.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file or a link.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder; fails where something has the name.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a symbolic link that says `target`.
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()>;
    /// Returns what a symbolic link says.
    fn read_link(&self, link: &Path) -> io::Result<PathBuf>;
    /// Returns the names in a folder, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Returns what a path names; fails where there is nothing.
    fn kind(&self, path: &Path) -> io::Result<Kind>;
    /// Returns who a file, folder or link belongs to.
    fn owner(&self, path: &Path) -> io::Result<Owner>;
    /// Gives a file, folder or link to somebody.
    fn set_owner(&self, path: &Path, owner: Owner) -> io::Result<()>;
    /// Returns the permission bits of a folder or file.
    fn mode(&self, path: &Path) -> io::Result<u32>;
    /// Sets the permission bits of a folder or file.
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Brings everything to the disk that was done to the file system that holds a path, by whomever.
    fn sync_all(&self, path: &Path) -> io::Result<()>;
    /// Returns how many bytes are free for the agent on the disk that holds a path.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

impl dyn Disk + '_ {
    /// Brings a file's bytes to the disk, whoever wrote them.
    #[track_caller]
    pub fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.sync_file_for(path, Location::caller())
    }

    /// Brings a folder's names to the disk.
    #[track_caller]
    pub fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.sync_dir_for(path, Location::caller())
    }

    /// Gives something another name, in place of what had it.
    #[track_caller]
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename_for(from, to, Location::caller())
    }
}

/// Returns what a path names, `None` where there is nothing, not even a folder that could hold it.
pub fn find(disk: &dyn Disk, path: &Path) -> io::Result<Option<Kind>> {
    match disk.kind(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        kind => optional(kind),
    }
}

/// Reads a file of at most `max` bytes; `None` where there is none.
pub fn read(disk: &dyn Disk, path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = optional(disk.open(path))? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} has more than {max} bytes", path.display()),
        ));
    }
    Ok(Some(bytes))
}

/// Replaces a file, whole or not at all; it is on the disk when this returns.
pub fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = beside(path, ".new");
    remove_if_there(disk, &temporary)?;
    let mut file = disk.write_new(&temporary, mode)?;
    file.write_all(bytes)?;
    file.sync()?;
    drop(file);
    disk.rename(&temporary, path)?;
    sync_parent(disk, path)
}

/// Points a symbolic link elsewhere, at one instant; it is on the disk when this returns.
pub fn switch_link(disk: &dyn Disk, target: &Path, link: &Path) -> io::Result<()> {
    if optional(disk.read_link(link))?.as_deref() == Some(target) {
        return Ok(());
    }
    let temporary = beside(link, ".new");
    remove_if_there(disk, &temporary)?;
    disk.symlink(target, &temporary)?;
    disk.rename(&temporary, link)?;
    sync_parent(disk, link)
}

/// Makes a folder and those above it, each on the disk when this returns.
pub fn make_dirs(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    // Who wants a folder may have put a link to one there.
    if find(disk, path)?.is_some() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_dirs(disk, parent)?;
    }
    disk.make_dir(path)?;
    sync_parent(disk, path)
}

/// Removes a file or link, where there is one.
pub fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    optional(disk.remove(path)).map(|_| ())
}

/// Removes a folder and everything in it, following no link; nothing to do where there is nothing.
pub fn remove_tree(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match find(disk, path)? {
        None => Ok(()),
        Some(Kind::Folder) => {
            for name in disk.list(path)? {
                remove_tree(disk, &path.join(name))?;
            }
            disk.remove_dir(path)
        }
        Some(_) => disk.remove(path),
    }
}

/// Brings the name of a file or folder to the disk.
#[track_caller]
pub fn sync_parent(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let caller = Location::caller();
    let parent = path.parent();
    parent.map_or(Ok(()), |parent| disk.sync_dir_for(parent, caller))
}

/// Turns "there is none" into `None`.
pub fn optional<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
