//! What is on a simulated disk: as programs see it, and as it would be found after a power cut.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::FileSystem;
use crate::disk::{Kind, Owner};

const ROOT: usize = 0;
/// Links that may lead to links.
const MOST_LINKS: usize = 8;

/// A write that isn't synced yet.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) offset: u64,
    pub(super) bytes: Arc<[u8]>,
}

/// The bytes of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Bytes {
    /// As programs see them.
    pub(super) now: Arc<Vec<u8>>,
    /// As they are on the medium.
    pub(super) synced: Arc<Vec<u8>>,
    /// What lies between.
    pub(super) waiting: Vec<Write>,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    File(Bytes),
    /// A block device or a file of fixed length in its place.
    Slot(Bytes),
    Folder {
        now: BTreeMap<OsString, usize>,
        synced: BTreeMap<OsString, usize>,
    },
    Link(PathBuf),
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) mode: u32,
    pub(super) owner: Owner,
    pub(super) body: Body,
}

/// Names that change together: all of them, or none.
#[derive(Debug, Clone)]
pub(super) struct Change(pub(super) Vec<(usize, OsString, Option<usize>)>);

/// Everything on a disk. A clone is a picture of it.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(super) file_system: FileSystem,
    pub(super) nodes: Vec<Node>,
    /// Changes of names that aren't synced yet, in their order.
    pub(super) waiting: Vec<Change>,
}

fn none() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Tree {
    pub(super) fn new(file_system: FileSystem) -> Self {
        let mut tree = Self {
            file_system,
            nodes: Vec::new(),
            waiting: Vec::new(),
        };
        tree.add_node(0o755, folder());
        tree
    }

    fn add_node(&mut self, mode: u32, body: Body) -> usize {
        self.nodes.push(Node {
            mode,
            owner: Owner::default(),
            body,
        });
        self.nodes.len() - 1
    }

    pub(super) fn node(&self, number: usize) -> io::Result<&Node> {
        self.nodes.get(number).ok_or_else(none)
    }

    pub(super) fn node_mut(&mut self, number: usize) -> io::Result<&mut Node> {
        self.nodes.get_mut(number).ok_or_else(none)
    }

    fn names(&self, folder: usize) -> io::Result<&BTreeMap<OsString, usize>> {
        match &self.node(folder)?.body {
            Body::Folder { now, .. } => Ok(now),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Finds what a path names; follows a link in its last part only where `follow` says so.
    pub(super) fn find(&self, path: &Path, follow: bool) -> io::Result<usize> {
        self.walk(ROOT, path, follow, MOST_LINKS)
    }

    fn walk(&self, from: usize, path: &Path, follow: bool, links: usize) -> io::Result<usize> {
        let mut at = from;
        let mut above = vec![at];
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            match part {
                Component::RootDir => above = vec![ROOT],
                Component::ParentDir => {
                    above.pop();
                }
                Component::Normal(name) => {
                    let folder = above.last().copied().unwrap_or(ROOT);
                    let found = *self.names(folder)?.get(name).ok_or_else(none)?;
                    let is_last = parts.peek().is_none();
                    let found = match &self.node(found)?.body {
                        Body::Link(target) if follow || !is_last => {
                            let links = links.checked_sub(1).ok_or_else(none)?;
                            self.walk(folder, target, true, links)?
                        }
                        _ => found,
                    };
                    above.push(found);
                }
                Component::CurDir | Component::Prefix(_) => {}
            }
            at = above.last().copied().unwrap_or(ROOT);
        }
        Ok(at)
    }

    fn place<'p>(&self, path: &'p Path) -> io::Result<(usize, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        Ok((self.find(parent, true)?, name))
    }

    fn rename_all(&mut self, entries: Vec<(usize, OsString, Option<usize>)>) -> io::Result<()> {
        for (folder, name, target) in &entries {
            let Body::Folder { now, .. } = &mut self.node_mut(*folder)?.body else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            match target {
                Some(target) => now.insert(name.clone(), *target),
                None => now.remove(name),
            };
        }
        self.waiting.push(Change(entries));
        Ok(())
    }

    /// Puts something new at a path, and returns its number.
    pub(super) fn add(&mut self, path: &Path, mode: u32, body: Body) -> io::Result<usize> {
        let (folder, name) = self.place(path)?;
        if self.names(folder)?.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = self.add_node(mode, body);
        self.rename_all(vec![(folder, name.to_owned(), Some(number))])?;
        Ok(number)
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let number = self.find(from, false)?;
        let (folder, name) = self.place(to)?;
        if self.names(folder)?.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename_all(vec![(folder, name.to_owned(), Some(number))])
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let number = self.find(from, false)?;
        let (old, old_name) = self.place(from)?;
        let (new, new_name) = self.place(to)?;
        if let Some(taken) = self.names(new)?.get(new_name)
            && let Body::Folder { now, .. } = &self.node(*taken)?.body
            && !now.is_empty()
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.rename_all(vec![
            (old, old_name.to_owned(), None),
            (new, new_name.to_owned(), Some(number)),
        ])
    }

    pub(super) fn remove(&mut self, path: &Path, is_folder: bool) -> io::Result<()> {
        let number = self.find(path, false)?;
        match &self.node(number)?.body {
            Body::Folder { .. } if !is_folder => return Err(io::ErrorKind::IsADirectory.into()),
            Body::Folder { now, .. } if !now.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            Body::Folder { .. } => {}
            _ if is_folder => return Err(io::ErrorKind::NotADirectory.into()),
            _ => {}
        }
        let (folder, name) = self.place(path)?;
        self.rename_all(vec![(folder, name.to_owned(), None)])
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let folder = self.find(path, true)?;
        Ok(self.names(folder)?.keys().cloned().collect())
    }

    pub(super) fn kind(&self, path: &Path) -> io::Result<Kind> {
        let node = self.node(self.find(path, false)?)?;
        Ok(match &node.body {
            Body::File(bytes) => Kind::File {
                len: bytes.now.len() as u64,
                mode: node.mode,
            },
            Body::Slot(_) => Kind::Other,
            Body::Folder { .. } => Kind::Folder,
            Body::Link(_) => Kind::Link,
        })
    }

    pub(super) fn bytes(&self, number: usize) -> io::Result<&Bytes> {
        match &self.node(number)?.body {
            Body::File(bytes) | Body::Slot(bytes) => Ok(bytes),
            Body::Folder { .. } => Err(io::ErrorKind::IsADirectory.into()),
            Body::Link(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn bytes_mut(&mut self, number: usize) -> io::Result<&mut Bytes> {
        match &mut self.node_mut(number)?.body {
            Body::File(bytes) | Body::Slot(bytes) => Ok(bytes),
            Body::Folder { .. } => Err(io::ErrorKind::IsADirectory.into()),
            Body::Link(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Writes at a place, or at the end.
    pub(super) fn write(
        &mut self,
        number: usize,
        offset: Option<u64>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let file = self.bytes_mut(number)?;
        let write = Write {
            offset: offset.unwrap_or(file.now.len() as u64),
            bytes: bytes.into(),
        };
        write.apply(Arc::make_mut(&mut file.now));
        file.waiting.push(write);
        Ok(())
    }

    pub(super) fn sync_bytes(&mut self, number: usize) -> io::Result<()> {
        if self.file_system == FileSystem::Ordered {
            // The file's sync commits the journal, and with it every name that was changed before.
            self.sync_names(None);
        }
        let file = self.bytes_mut(number)?;
        file.synced = file.now.clone();
        file.waiting.clear();
        Ok(())
    }

    /// Syncs the names in a folder; in every folder where that is how the file system does it.
    pub(super) fn sync_names(&mut self, folder: Option<usize>) {
        let only = folder.filter(|_| self.file_system == FileSystem::Unordered);
        let (synced, waiting) =
            std::mem::take(&mut self.waiting)
                .into_iter()
                .partition(|Change(entries)| {
                    only.is_none_or(|only| entries.iter().any(|(folder, ..)| *folder == only))
                });
        self.waiting = waiting;
        let synced: Vec<Change> = synced;
        for change in synced {
            self.make_synced(change);
        }
    }

    pub(super) fn make_synced(&mut self, Change(entries): Change) {
        for (folder, name, target) in entries {
            if let Some(Node {
                body: Body::Folder { synced, .. },
                ..
            }) = self.nodes.get_mut(folder)
            {
                match target {
                    Some(target) => synced.insert(name, target),
                    None => synced.remove(&name),
                };
            }
        }
    }

    /// Makes everything as if it had been synced: a disk as a device comes with it.
    pub(super) fn settle(&mut self) {
        for change in std::mem::take(&mut self.waiting) {
            self.make_synced(change);
        }
        for node in &mut self.nodes {
            if let Body::File(bytes) | Body::Slot(bytes) = &mut node.body {
                bytes.synced = bytes.now.clone();
                bytes.waiting.clear();
            }
        }
    }
}

impl Write {
    /// Puts the bytes where they belong; what lies before them and was never written is zero.
    pub(super) fn apply(&self, to: &mut Vec<u8>) {
        let begin = self.offset as usize;
        let end = begin + self.bytes.len();
        if to.len() < end {
            to.resize(end, 0);
        }
        if let Some(place) = to.get_mut(begin..end) {
            place.copy_from_slice(&self.bytes);
        }
    }
}

pub(super) fn folder() -> Body {
    Body::Folder {
        now: BTreeMap::new(),
        synced: BTreeMap::new(),
    }
}
