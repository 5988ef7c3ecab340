//! Copies data to where it is kept, and writes down what it was.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::{self, Disk, Kind, Owner, PUBLIC, SECRET};

const LIST: &str = "list.json";
const LARGEST_LIST: u64 = 64 << 20;

/// What was kept: every file, folder and link below some paths.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The paths themselves, whether there was something or not.
    pub(super) roots: Vec<PathBuf>,
    /// Folders before what is in them.
    pub(super) things: Vec<Thing>,
}

/// One thing that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Thing {
    /// Where it was.
    pub(super) path: PathBuf,
    /// Who it belonged to.
    pub(super) owner: Owner,
    /// What it was.
    pub(super) what: What,
}

/// What a thing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// A folder, with its permission bits.
    Folder {
        /// Its permission bits.
        mode: u32,
    },
    /// A file.
    File {
        /// Its permission bits.
        mode: u32,
        /// Its bytes, in the back-up's folder.
        copy: PathBuf,
    },
    /// A symbolic link that says this.
    Link {
        /// What it says.
        target: PathBuf,
    },
}

impl Kept {
    /// Copies everything below these paths into a new folder. What `before` holds just so is not written again. Sockets and
    /// pipes are not data, and passed over.
    pub(super) fn make(
        disk: &dyn Disk,
        roots: &[PathBuf],
        into: &Path,
        before: Option<&Path>,
    ) -> io::Result<Self> {
        disk.make_dir(into)?;
        let old = before.map(|before| Self::load(disk, before)).transpose()?;
        let mut copying = Copying {
            disk,
            into,
            old: old.unwrap_or_default(),
            count: 0,
            kept: Self {
                roots: roots.to_vec(),
                things: Vec::new(),
            },
        };
        for root in roots {
            copying.take(root)?;
        }
        Ok(copying.kept)
    }

    /// Writes the list into the back-up's folder, and brings all of that to the disk.
    pub(super) fn save(&self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        let mut file = disk.write_new(&folder.join(LIST), PUBLIC)?;
        file.write_all(&bytes)?;
        file.sync()?;
        disk.sync_dir(folder)
    }

    /// Reads a back-up's list. Copies are named as they lie now: the folder was given its name last.
    pub(super) fn load(disk: &dyn Disk, folder: &Path) -> io::Result<Self> {
        let bytes = disk::read(disk, &folder.join(LIST), LARGEST_LIST)?;
        let mut kept: Self = serde_json::from_slice(&bytes.ok_or(io::ErrorKind::NotFound)?)?;
        for thing in &mut kept.things {
            if let What::File { copy, .. } = &mut thing.what {
                *copy = folder.join(&*copy);
            }
        }
        Ok(kept)
    }
}

struct Copying<'a> {
    disk: &'a dyn Disk,
    into: &'a Path,
    old: Kept,
    count: u64,
    kept: Kept,
}

impl Copying<'_> {
    fn take(&mut self, path: &Path) -> io::Result<()> {
        let Some(kind) = disk::find(self.disk, path)? else {
            return Ok(());
        };
        let what = match kind {
            Kind::Folder => What::Folder {
                mode: self.disk.mode(path)?,
            },
            Kind::File { mode, .. } => What::File {
                mode,
                copy: self.copy(path)?,
            },
            Kind::Link => What::Link {
                target: self.disk.read_link(path)?,
            },
            Kind::Other => return Ok(()),
        };
        self.kept.things.push(Thing {
            path: path.to_owned(),
            owner: self.disk.owner(path)?,
            what,
        });
        if kind == Kind::Folder {
            for name in self.disk.list(path)? {
                self.take(&path.join(name))?;
            }
        }
        Ok(())
    }

    /// Copies a file's bytes, unless they are there already, and returns the copy's name.
    fn copy(&mut self, path: &Path) -> io::Result<PathBuf> {
        let name = PathBuf::from(self.count.to_string());
        self.count += 1;
        let target = self.into.join(&name);
        let old = self.old.things.iter().find(|thing| thing.path == path);
        if let Some(What::File { copy, .. }) = old.map(|thing| &thing.what)
            && same_bytes(self.disk, copy, path)?
            && self.disk.hard_link(copy, &target).is_ok()
        {
            return Ok(name);
        }
        // Whoever may read the data is said in the list; the copy is nobody's business.
        copy_file(self.disk, path, &target, SECRET)?;
        Ok(name)
    }
}

/// Copies a file's bytes to a new file; they are on the disk when this returns.
pub(super) fn copy_file(disk: &dyn Disk, from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    let mut file = disk.write_new(to, mode)?;
    let mut source = disk.open(from)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = source.read(&mut buffer)?;
        match buffer.get(..read) {
            Some([]) | None => return file.sync(),
            Some(piece) => file.write_all(piece)?,
        }
    }
}

/// Tells whether two files hold the same bytes; a file that isn't there holds none.
pub(super) fn same_bytes(disk: &dyn Disk, one: &Path, other: &Path) -> io::Result<bool> {
    let length = |path| match disk::find(disk, path)? {
        Some(Kind::File { len, .. }) => Ok(Some(len)),
        _ => io::Result::Ok(None),
    };
    let (Some(len), Some(other_len)) = (length(one)?, length(other)?) else {
        return Ok(false);
    };
    if len != other_len {
        return Ok(false);
    }
    let (mut one, mut other) = (disk.open(one)?, disk.open(other)?);
    let (mut ours, mut theirs) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let read = one.read(&mut ours)?;
        let (Some(ours), Some(theirs)) = (ours.get(..read), theirs.get_mut(..read)) else {
            return Ok(false);
        };
        if ours.is_empty() {
            return Ok(true);
        }
        // One that shrank while it was read is another one.
        if other.read_exact(theirs).is_err() || ours != theirs {
            return Ok(false);
        }
    }
}
