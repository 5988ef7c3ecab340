//! What the device trusts, on its own disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use otter_trust::TrustStore;

use crate::disk::{self, Disk, PUBLIC};

/// More than the largest file that trust keeps.
const LARGEST: u64 = 16 << 20;

/// A folder of trusted metadata, each file replaced whole.
#[derive(Debug, Clone)]
pub struct DiskStore {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

impl DiskStore {
    /// Takes the folder in a state folder, and makes it where it is missing.
    pub fn open(disk: Arc<dyn Disk>, state: &Path) -> io::Result<Self> {
        Self::at(disk, state.join("trust"))
    }

    /// Takes this very folder, and makes it where it is missing.
    pub fn at(disk: Arc<dyn Disk>, folder: PathBuf) -> io::Result<Self> {
        disk::make_dirs(disk.as_ref(), &folder)?;
        Ok(Self { disk, folder })
    }
}

impl TrustStore for DiskStore {
    fn load(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        disk::read(self.disk.as_ref(), &self.folder.join(name), LARGEST)
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        disk::write_whole(self.disk.as_ref(), &self.folder.join(name), bytes, PUBLIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    #[test]
    fn saves_are_found_by_the_next_one() {
        let disk = Arc::new(SimulatedDisk::default());
        let mut store = DiskStore::open(disk.clone(), Path::new("/s")).unwrap();
        assert_eq!(store.load("root.json").unwrap(), None);
        store.save("root.json", b"1").unwrap();
        store.save("root.json", b"2").unwrap();
        let store = DiskStore::open(disk, Path::new("/s")).unwrap();
        assert_eq!(store.load("root.json").unwrap().unwrap(), b"2");
    }
}
