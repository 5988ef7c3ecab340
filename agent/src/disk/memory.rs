//! A disk in memory, for tests: no folder to make, nothing to clean up, and it can be full.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, Kind};

type Bytes = Arc<Mutex<Vec<u8>>>;

#[derive(Debug, Clone)]
enum Node {
    File(Bytes, u32),
    Folder,
    Link(PathBuf),
}

/// A disk in memory; clones share it. Follows no link in the middle of a path.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    nodes: Arc<Mutex<BTreeMap<PathBuf, Node>>>,
    full: Arc<AtomicBool>,
}

struct MemoryFile {
    bytes: Bytes,
    full: Arc<AtomicBool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn none() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn taken() -> io::Error {
    io::ErrorKind::AlreadyExists.into()
}

impl MemoryDisk {
    /// Makes every write fail from now on, or no longer.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    fn add(&self, path: &Path, node: Node) -> io::Result<()> {
        let mut nodes = lock(&self.nodes);
        let parent = path.parent().unwrap_or(Path::new("/"));
        if parent != Path::new("/") && !matches!(nodes.get(parent), Some(Node::Folder)) {
            return Err(none());
        }
        if nodes.contains_key(path) {
            return Err(taken());
        }
        nodes.insert(path.to_owned(), node);
        Ok(())
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        if path == Path::new("/") {
            return Ok(Node::Folder);
        }
        lock(&self.nodes).get(path).cloned().ok_or_else(none)
    }

    fn file(&self, path: &Path) -> io::Result<(Bytes, u32)> {
        match self.node(path)? {
            Node::File(bytes, mode) => Ok((bytes, mode)),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Write for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        lock(&self.bytes).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let (bytes, _) = self.file(path)?;
        let bytes = lock(&bytes).clone();
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn write_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        let bytes = Bytes::default();
        self.add(path, Node::File(bytes.clone(), mode))?;
        Ok(Box::new(MemoryFile {
            bytes,
            full: self.full.clone(),
        }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (bytes, _) = self.file(path)?;
        Ok(Box::new(MemoryFile {
            bytes,
            full: self.full.clone(),
        }))
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.file(path).map(|_| ())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.node(path).map(|_| ())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut nodes = lock(&self.nodes);
        if !nodes.contains_key(from) {
            return Err(none());
        }
        let moved: Vec<PathBuf> = nodes
            .keys()
            .filter(|path| path.starts_with(from))
            .cloned()
            .collect();
        for path in moved {
            let (Some(node), Ok(rest)) = (nodes.remove(&path), path.strip_prefix(from)) else {
                continue;
            };
            let path = if rest.as_os_str().is_empty() {
                to.to_owned()
            } else {
                to.join(rest)
            };
            nodes.insert(path, node);
        }
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (bytes, mode) = self.file(from)?;
        self.add(to, Node::File(bytes, mode))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if matches!(self.node(path)?, Node::Folder) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        lock(&self.nodes).remove(path);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        lock(&self.nodes).remove(path);
        Ok(())
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.add(path, Node::Folder)
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.add(link, Node::Link(target.to_owned()))
    }

    fn read_link(&self, link: &Path) -> io::Result<PathBuf> {
        match self.node(link)? {
            Node::Link(target) => Ok(target),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        if !matches!(self.node(path)?, Node::Folder) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(lock(&self.nodes)
            .keys()
            .filter(|name| name.parent() == Some(path))
            .filter_map(|name| Some(name.file_name()?.to_owned()))
            .collect())
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        Ok(match self.node(path)? {
            Node::File(bytes, mode) => Kind::File {
                len: lock(&bytes).len() as u64,
                mode,
            },
            Node::Folder => Kind::Folder,
            Node::Link(_) => Kind::Link,
        })
    }
}
