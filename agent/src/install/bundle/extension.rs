//! Entries of an archive that say more of the next one: names longer than a header holds.

use std::io::Read;
use std::path::PathBuf;

use tar::{Entry, EntryType, PaxExtensions};

use super::super::InstallError;
use super::unpack::unreadable;

/// More than any name or list of facts that a bundle needs.
const LARGEST: u64 = 64 << 10;

/// What an entry says of the next one.
pub(super) enum Extension {
    /// Nothing: it is a file, a folder, or something to refuse.
    None,
    /// Nothing of interest, such as times.
    Ignored,
    /// Its name.
    Name(PathBuf),
}

/// Reads an entry as an extension, where it is one: GNU's long names, and pax (POSIX.1-2001) headers.
pub(super) fn read(entry: &mut Entry<'_, impl Read>) -> Result<Extension, InstallError> {
    match entry.header().entry_type() {
        EntryType::GNULongName => {
            let mut name = bytes(entry)?;
            name.retain(|byte| *byte != 0);
            as_name(&name).map(Extension::Name)
        }
        EntryType::XHeader => pax(&bytes(entry)?),
        EntryType::XGlobalHeader => {
            bytes(entry)?;
            Ok(Extension::Ignored)
        }
        _ => Ok(Extension::None),
    }
}

fn bytes(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, InstallError> {
    if entry.size() > LARGEST {
        return Err(refused("a name or list of facts longer than 64 KiB"));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn pax(bytes: &[u8]) -> Result<Extension, InstallError> {
    let mut name = Extension::Ignored;
    for fact in PaxExtensions::new(bytes) {
        let fact = fact.map_err(unreadable)?;
        match fact.key_bytes() {
            b"path" => name = Extension::Name(as_name(fact.value_bytes())?),
            // These would make a file something else than its header says.
            b"size" => return Err(refused("a file whose length is not in its header")),
            key if key.starts_with(b"GNU.sparse") => return Err(refused("a sparse file")),
            _ => {}
        }
    }
    Ok(name)
}

fn as_name(bytes: &[u8]) -> Result<PathBuf, InstallError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(PathBuf::from(text)),
        Err(_) => Err(refused("a name that is not UTF-8")),
    }
}

fn refused(what: &str) -> InstallError {
    InstallError::Unfit(format!("the bundle is refused: it has {what}"))
}
