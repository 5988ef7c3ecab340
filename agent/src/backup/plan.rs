//! Puts data back in two phases: first everything that is to be done is on the disk, then it is done. Started again after a
//! cut it goes on from the plan; each act of it can be the second one.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::keep::{Kept, Thing, What, copy_file, same_bytes};
use crate::disk::{self, Disk, Kind, PUBLIC, SECRET};

const NAME: &str = "plan.json";
const LARGEST: u64 = 64 << 20;
/// What is put back has this ending until it is whole.
const ENDING: &str = ".otter-restore";

/// Everything that is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// What wasn't there before.
    remove: Vec<PathBuf>,
    /// What was there otherwise, folders before what is in them.
    put: Vec<Thing>,
}

impl Plan {
    /// Compares what was kept with what is there.
    pub(super) fn make(disk: &dyn Disk, kept: &Kept, place: &Path) -> io::Result<Self> {
        let known: BTreeSet<&Path> = kept
            .things
            .iter()
            .map(|thing| thing.path.as_path())
            .collect();
        let mut remove = Vec::new();
        for root in &kept.roots {
            find_others(disk, root, &known, &mut remove)?;
        }
        let mut put = Vec::new();
        for thing in &kept.things {
            if !is_there(disk, thing)? {
                put.push(thing.clone());
            }
        }
        tracing::debug!("the data is put back from {}", place.display());
        Ok(Self { remove, put })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.remove.len() + self.put.len()
    }

    /// Writes the plan down; it is on the disk when this returns.
    pub(super) fn save(&self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        disk::write_whole(disk, &folder.join(NAME), &bytes, PUBLIC)
    }

    /// Reads the plan that is being carried out, where there is one.
    pub(super) fn load(disk: &dyn Disk, folder: &Path) -> io::Result<Option<Self>> {
        let bytes = disk::read(disk, &folder.join(NAME), LARGEST)?;
        Ok(bytes
            .map(|bytes| serde_json::from_slice(&bytes))
            .transpose()?)
    }

    /// Takes note that the plan is carried out.
    pub(super) fn remove(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        disk::remove_if_there(disk, &folder.join(NAME))?;
        disk.sync_dir(folder)
    }

    /// Does everything; all of it is on the disk when this returns.
    pub(super) fn carry_out(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut touched = BTreeSet::new();
        for path in &self.remove {
            disk::remove_tree(disk, path)?;
            touched.extend(path.parent());
        }
        for thing in &self.put {
            put(disk, thing)?;
            touched.extend(thing.path.parent());
        }
        for folder in touched {
            disk.sync_dir(folder)?;
        }
        Ok(())
    }
}

/// Finds what lies below a path and wasn't kept.
fn find_others(
    disk: &dyn Disk,
    path: &Path,
    known: &BTreeSet<&Path>,
    others: &mut Vec<PathBuf>,
) -> io::Result<()> {
    let Some(kind) = disk::find(disk, path)? else {
        return Ok(());
    };
    if kind == Kind::Other {
        return Ok(());
    }
    if !known.contains(path) {
        others.push(path.to_owned());
        return Ok(());
    }
    if kind == Kind::Folder {
        for name in disk.list(path)? {
            find_others(disk, &path.join(name), known, others)?;
        }
    }
    Ok(())
}

/// Tells whether a thing is there just as it was kept.
fn is_there(disk: &dyn Disk, thing: &Thing) -> io::Result<bool> {
    let path = &thing.path;
    let Some(kind) = disk::find(disk, path)? else {
        return Ok(false);
    };
    if disk.owner(path)? != thing.owner {
        return Ok(false);
    }
    Ok(match (&thing.what, kind) {
        (What::Folder { mode }, Kind::Folder) => disk.mode(path)? == *mode,
        (What::File { mode, copy }, Kind::File { mode: is, .. }) => {
            *mode == is && same_bytes(disk, copy, path)?
        }
        (What::Link { target }, Kind::Link) => disk.read_link(path)? == *target,
        _ => false,
    })
}

fn put(disk: &dyn Disk, thing: &Thing) -> io::Result<()> {
    let path = &thing.path;
    let is_folder = disk::find(disk, path)? == Some(Kind::Folder);
    match &thing.what {
        What::Folder { mode } => {
            if !is_folder {
                disk::remove_if_there(disk, path)?;
                disk.make_dir(path)?;
            }
            disk.set_owner(path, thing.owner)?;
            disk.set_mode(path, *mode)?;
            return disk.sync_dir(path);
        }
        _ if is_folder => disk::remove_tree(disk, path)?,
        _ => {}
    }
    let mut new = path.as_os_str().to_owned();
    new.push(ENDING);
    let new = PathBuf::from(new);
    disk::remove_if_there(disk, &new)?;
    match &thing.what {
        What::File { mode, copy } => {
            copy_file(disk, copy, &new, SECRET)?;
            disk.set_owner(&new, thing.owner)?;
            disk.set_mode(&new, *mode)?;
        }
        What::Link { target } => {
            disk.symlink(target, &new)?;
            disk.set_owner(&new, thing.owner)?;
        }
        What::Folder { .. } => {}
    }
    disk.rename(&new, path)
}
