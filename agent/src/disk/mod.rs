//! Everything that the agent does to disk, behind one small trait.
//!
//! Two promises are all that the rest relies on: what was synced is there after a power cut, and a rename is whole or
//! not at all. So the trait has no call that hides a sync, and another implementation can lose whatever was not synced.

mod memory;
mod real;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

pub use memory::MemoryDisk;
pub use real::RealDisk;

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

/// A file that is being written.
pub trait DiskFile: Write + Send {
    /// Brings everything written so far to the disk.
    fn sync(&mut self) -> io::Result<()>;
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
    /// Brings a file's bytes to the disk, whoever wrote them.
    fn sync_file(&self, path: &Path) -> io::Result<()>;
    /// Brings a folder's names to the disk.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives something another name, in place of what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
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
}

/// Returns what a path names, `None` where there is nothing.
pub fn find(disk: &dyn Disk, path: &Path) -> io::Result<Option<Kind>> {
    optional(disk.kind(path))
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
        return sync_parent(disk, link);
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
pub fn sync_parent(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| disk.sync_dir(parent))
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
mod tests {
    use super::*;

    type Disks = Vec<(Box<dyn Disk>, PathBuf)>;

    fn both() -> (tempfile::TempDir, Disks) {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("a");
        std::fs::create_dir(&real).unwrap();
        let memory = PathBuf::from("/a");
        let memory_disk = MemoryDisk::default();
        memory_disk.make_dir(&memory).unwrap();
        (
            folder,
            vec![(Box::new(RealDisk), real), (Box::new(memory_disk), memory)],
        )
    }

    #[test]
    fn files_are_replaced_whole() {
        let (_folder, disks) = both();
        for (disk, root) in disks {
            let disk = disk.as_ref();
            let path = root.join("x");
            assert_eq!(read(disk, &path, 10).unwrap(), None);
            write_whole(disk, &path, b"one", SECRET).unwrap();
            write_whole(disk, &path, b"two!", PUBLIC).unwrap();
            assert_eq!(read(disk, &path, 4).unwrap().unwrap(), b"two!");
            assert!(read(disk, &path, 3).is_err());
            assert_eq!(disk.list(&root).unwrap(), ["x"]);
            let kind = Kind::File {
                len: 4,
                mode: PUBLIC,
            };
            assert_eq!(disk.kind(&path).unwrap(), kind);
        }
    }

    #[test]
    fn names_are_not_taken_twice() {
        let (_folder, disks) = both();
        for (disk, root) in disks {
            let disk = disk.as_ref();
            let (x, y) = (root.join("x"), root.join("y"));
            disk.write_new(&x, PUBLIC).unwrap().write_all(b"1").unwrap();
            assert!(disk.write_new(&x, PUBLIC).is_err());
            assert!(disk.make_dir(&x).is_err());
            assert!(disk.append(&y).is_err());
            disk.append(&x).unwrap().write_all(b"2").unwrap();
            disk.hard_link(&x, &y).unwrap();
            assert!(disk.hard_link(&x, &y).is_err());
            assert_eq!(read(disk, &y, 9).unwrap().unwrap(), b"12");
            assert!(disk.write_new(&root.join("no/z"), PUBLIC).is_err());
            assert!(disk.remove_dir(&root).is_err());
        }
    }

    #[test]
    fn links_switch_and_trees_go_without_following_them() {
        let (_folder, disks) = both();
        for (disk, root) in disks {
            let disk = disk.as_ref();
            make_dirs(disk, &root.join("v/1/deep")).unwrap();
            write_whole(disk, &root.join("v/1/deep/f"), b"", PUBLIC).unwrap();
            make_dirs(disk, &root.join("v/2")).unwrap();
            let current = root.join("current");
            for target in ["v/1", "v/2", "v/2"] {
                switch_link(disk, Path::new(target), &current).unwrap();
                assert_eq!(disk.read_link(&current).unwrap(), Path::new(target));
            }
            disk.symlink(&root.join("v/2"), &root.join("v/1/out"))
                .unwrap();
            remove_tree(disk, &root.join("v/1")).unwrap();
            assert_eq!(disk.list(&root.join("v")).unwrap(), ["2"]);
            remove_tree(disk, &current).unwrap();
            assert_eq!(disk.list(&root).unwrap(), ["v"]);
        }
    }
}
