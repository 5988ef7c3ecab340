//! What the flasher was given last, and whether it came to its end: written down before it begins, and when it is over.
//!
//! A controller that was left half flashed may well say its new version. So its word counts only where the flasher was not
//! interrupted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::disk::{self, Disk, PUBLIC};
use crate::journal::Installed;

const LARGEST: u64 = 64 << 10;

/// What was done to the controller last; nothing, where this device never flashed it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum Flashed {
    /// Nothing was flashed from here.
    #[default]
    Never,
    /// The flasher was begun, and nobody saw it end well.
    Begun {
        /// The name of what it was given.
        name: String,
        /// How often it failed at that, one time after another.
        failures: u32,
    },
    /// The flasher ended well.
    Whole {
        /// The name of what it was given.
        name: String,
    },
}

impl Flashed {
    /// Tells whether the controller may hold this, whole; what it says itself must agree.
    pub(super) fn may_be(&self, installed: &Installed) -> bool {
        match self {
            Self::Never => true,
            Self::Begun { .. } => false,
            Self::Whole { name } => *name == installed.name,
        }
    }

    /// Tells whether a flasher was interrupted, or failed.
    pub(super) fn is_begun(&self) -> bool {
        matches!(self, Self::Begun { .. })
    }

    /// Returns how often flashing this has failed.
    pub(super) fn failures(&self, installed: &Installed) -> u32 {
        match self {
            Self::Begun { name, failures } if *name == installed.name => *failures,
            _ => 0,
        }
    }
}

/// The file that says so.
#[derive(Debug)]
pub(super) struct FlashedFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl FlashedFile {
    /// Takes the file in a state folder.
    pub(super) fn new(disk: Arc<dyn Disk>, state: &Path) -> Self {
        Self {
            disk,
            path: state.join("firmware.json"),
        }
    }

    /// Reads it. One that rotted tells that nobody knows.
    pub(super) fn read(&self) -> io::Result<Flashed> {
        let bytes = disk::read(self.disk.as_ref(), &self.path, LARGEST)?;
        Ok(bytes.map_or(Flashed::Never, |bytes| {
            serde_json::from_slice(&bytes).unwrap_or_else(|_| Flashed::Begun {
                name: String::new(),
                failures: 0,
            })
        }))
    }

    /// Writes it; it is on the disk when this returns.
    pub(super) fn write(&self, flashed: &Flashed) -> io::Result<()> {
        let bytes = serde_json::to_vec(flashed)?;
        disk::write_whole(self.disk.as_ref(), &self.path, &bytes, PUBLIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    #[test]
    fn only_what_was_flashed_to_the_end_counts() {
        let disk = Arc::new(SimulatedDisk::default());
        disk.make_dir(Path::new("/s")).unwrap();
        let file = FlashedFile::new(disk.clone(), Path::new("/s"));
        let installed = |name: &str| Installed {
            version: "1".into(),
            release_counter: 1,
            name: name.to_owned(),
        };
        let (new, old) = (installed("new"), installed("old"));
        assert!(file.read().unwrap().may_be(&old));
        file.write(&Flashed::Begun {
            name: new.name.clone(),
            failures: 2,
        })
        .unwrap();
        let begun = file.read().unwrap();
        assert!(begun.is_begun() && !begun.may_be(&new) && !begun.may_be(&old));
        assert_eq!((begun.failures(&new), begun.failures(&old)), (2, 0));
        let name = new.name.clone();
        file.write(&Flashed::Whole { name }).unwrap();
        let whole = file.read().unwrap();
        assert!(whole.may_be(&new) && !whole.may_be(&old) && !whole.is_begun());
        disk::write_whole(disk.as_ref(), Path::new("/s/firmware.json"), b"{", PUBLIC).unwrap();
        assert!(file.read().unwrap().is_begun());
    }
}
