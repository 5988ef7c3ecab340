//! Where a device keeps what it trusts.

use std::collections::BTreeMap;
use std::io;

/// The device's own disk, as far as trust needs it.
///
/// A save must be whole or not at all, and on the disk when it returns: temporary file, fsync,
/// rename, fsync of the folder.
pub trait TrustStore {
    /// Reads a file; `None` where there is none.
    fn load(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Writes a file, replacing what was there.
    fn save(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
}

impl<S: TrustStore + ?Sized> TrustStore for &mut S {
    fn load(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        (**self).load(name)
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        (**self).save(name, bytes)
    }
}

/// A store in memory, for tests and simulated devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore(BTreeMap<String, Vec<u8>>);

impl TrustStore for MemoryStore {
    fn load(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(name).cloned())
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
}
