//! Unpacks an archive, refusing whatever could reach outside its folder, before a byte of it is written.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Entry, EntryType};

use super::super::InstallError;
use super::extension::{self, Extension};
use super::reuse::Reuse;
use crate::disk::{Disk, DiskFile};

/// Longest path in an archive, in bytes, and most folders in it.
const LONGEST_PATH: usize = 1024;
const DEEPEST_PATH: usize = 64;
/// A frame of zstd that wants a larger window than this is refused: 128 MiB, what `zstd` itself unpacks by default.
const LARGEST_WINDOW_LOG: u32 = 27;

/// What a bundle may unpack to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes in all files.
    pub bytes: u64,
    /// Most files and folders.
    pub entries: u64,
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// Files in the archive.
    pub files: u64,
    /// Those that the old version has just so, and that were not written again.
    pub reused: u64,
    /// Bytes in all files.
    pub bytes: u64,
}

/// Unpacks a `.tar.zst` into an empty folder; all of it is on the disk when this returns.
pub fn unpack(
    disk: &dyn Disk,
    bytes: impl Read,
    into: &Path,
    old: Option<&Path>,
    limits: Limits,
) -> Result<Unpacked, InstallError> {
    let unzipped = zstd::Decoder::new(bytes).and_then(|mut decoder| {
        decoder.window_log_max(LARGEST_WINDOW_LOG)?;
        Ok(decoder)
    });
    // Headers and padding are beside the bytes of files; what is endless ends here.
    let most = limits
        .bytes
        .saturating_add(limits.entries.saturating_mul(4096))
        .saturating_add(1 << 20);
    let mut archive = Archive::new(unzipped.map_err(unreadable)?.take(most));
    let mut unpacking = Unpacking {
        disk,
        into,
        old,
        limits,
        names: BTreeSet::new(),
        folders: BTreeSet::from([PathBuf::new()]),
        done: Unpacked::default(),
        entries: 0,
    };
    let mut long_name = None;
    // Raw, because the library would read a name as long as the archive says into memory.
    for entry in archive.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        match extension::read(&mut entry)? {
            Extension::None => unpacking.take(entry, long_name.take())?,
            Extension::Ignored => {}
            Extension::Name(name) => long_name = Some(name),
        }
    }
    unpacking.finish()
}

pub(super) fn unreadable(error: io::Error) -> InstallError {
    InstallError::Unfit(format!(
        "the bundle is no whole .tar.zst: {error}. Make it again with `otter`"
    ))
}

fn refused(path: &Path, why: &str) -> InstallError {
    InstallError::Unfit(format!("the bundle is refused: {} {why}", path.display()))
}

struct Unpacking<'a> {
    disk: &'a dyn Disk,
    into: &'a Path,
    old: Option<&'a Path>,
    limits: Limits,
    /// Names in lower case: on some disks two that differ in case only are one.
    names: BTreeSet<String>,
    folders: BTreeSet<PathBuf>,
    done: Unpacked,
    entries: u64,
}

impl Unpacking<'_> {
    fn take(
        &mut self,
        mut entry: Entry<'_, impl Read>,
        long_name: Option<PathBuf>,
    ) -> Result<(), InstallError> {
        let raw = match long_name {
            Some(name) => name,
            None => entry.path().map_err(unreadable)?.into_owned(),
        };
        let kind = entry.header().entry_type();
        let Some(path) = inside(&raw)? else {
            // The archive's own folder, `./`.
            return match kind {
                EntryType::Directory => Ok(()),
                _ => Err(refused(&raw, "has no name")),
            };
        };
        let mode = entry.header().mode().map_err(unreadable)?;
        if mode & 0o7000 != 0 {
            return Err(refused(&path, "has setuid, setgid or sticky bits"));
        }
        match kind {
            EntryType::Directory => self.folder(&path),
            EntryType::Regular | EntryType::Continuous => self.file(&path, mode, &mut entry),
            EntryType::Symlink => Err(refused(&path, "is a symbolic link")),
            EntryType::Link => Err(refused(&path, "is a hard link")),
            EntryType::Char | EntryType::Block => Err(refused(&path, "is a device")),
            EntryType::Fifo => Err(refused(&path, "is a pipe")),
            other => Err(refused(
                &path,
                &format!("is neither file nor folder ({other:?})"),
            )),
        }
    }

    fn folder(&mut self, path: &Path) -> Result<(), InstallError> {
        // A folder that a file's path made already may be named once more.
        if self.folders.contains(path) {
            return Ok(());
        }
        self.folders_above(path)?;
        self.make_folder(path)
    }

    fn make_folder(&mut self, path: &Path) -> Result<(), InstallError> {
        self.name(path)?;
        let made = self.disk.make_dir(&self.into.join(path));
        made.map_err(|error| unwritable(path, error))?;
        self.folders.insert(path.to_owned());
        Ok(())
    }

    fn folders_above(&mut self, path: &Path) -> Result<(), InstallError> {
        let above: Vec<&Path> = path.ancestors().skip(1).collect();
        for folder in above.into_iter().rev() {
            if !self.folders.contains(folder) {
                self.make_folder(folder)?;
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: &Path,
        mode: u32,
        entry: &mut Entry<'_, impl Read>,
    ) -> Result<(), InstallError> {
        let len = entry.size();
        self.done.bytes = self.done.bytes.saturating_add(len);
        if self.done.bytes > self.limits.bytes {
            let why = format!("makes it more than {} bytes", self.limits.bytes);
            return Err(refused(path, &why));
        }
        self.folders_above(path)?;
        self.name(path)?;
        let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let old = self.old.map(|old| old.join(path));
        let reuse = old.and_then(|old| Reuse::begin(self.disk, &old, len, mode));
        let target = self.into.join(path);
        let was_reused = match reuse {
            Some(reuse) => reuse.finish(self.disk, entry, &target),
            None => write(self.disk, entry, &target, mode).map(|()| false),
        };
        let was_reused = was_reused.map_err(|error| unwritable(path, error))?;
        self.done.files += 1;
        self.done.reused += u64::from(was_reused);
        Ok(())
    }

    /// Takes a name, once.
    fn name(&mut self, path: &Path) -> Result<(), InstallError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            let why = format!(
                "makes it more than {} files and folders",
                self.limits.entries
            );
            return Err(refused(path, &why));
        }
        let folded = path.to_string_lossy().to_lowercase();
        if self.names.insert(folded) {
            Ok(())
        } else {
            Err(refused(path, "is there twice, or differs in case only"))
        }
    }

    fn finish(self) -> Result<Unpacked, InstallError> {
        if self.done.files == 0 {
            return Err(InstallError::Unfit("the bundle is empty".to_owned()));
        }
        for folder in &self.folders {
            let synced = self.disk.sync_dir(&self.into.join(folder));
            synced.map_err(|error| unwritable(folder, error))?;
        }
        Ok(self.done)
    }
}

/// Returns a path that stays inside, `None` for the folder itself; refuses every other.
fn inside(raw: &Path) -> Result<Option<PathBuf>, InstallError> {
    let Some(text) = raw.to_str() else {
        return Err(refused(raw, "is not UTF-8"));
    };
    if text.len() > LONGEST_PATH || text.split('/').count() > DEEPEST_PATH {
        return Err(refused(raw, "is too long a path"));
    }
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Err(refused(
            raw,
            "has a control character or a backslash in its name",
        ));
    }
    let mut path = PathBuf::new();
    for component in raw.components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err(refused(raw, "leads outside with `..`")),
            Component::RootDir | Component::Prefix(_) => {
                return Err(refused(raw, "is an absolute path"));
            }
        }
    }
    Ok((!path.as_os_str().is_empty()).then_some(path))
}

fn unwritable(path: &Path, cause: io::Error) -> InstallError {
    // A file is written while it is read: these come from reading.
    if matches!(
        cause.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
    ) {
        return unreadable(cause);
    }
    InstallError::Disk {
        what: format!("{} can't be unpacked", path.display()),
        cause,
    }
}

fn write(disk: &dyn Disk, from: &mut impl Read, target: &Path, mode: u32) -> io::Result<()> {
    let mut file = disk.write_new(target, mode)?;
    copy(from, file.as_mut())?;
    file.sync()
}

pub(super) fn copy(from: &mut (impl Read + ?Sized), to: &mut dyn DiskFile) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer)?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            return Ok(());
        };
        to.write_all(piece)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_let_in_stays_inside(text in r"(\.\.|\.|/|a|B| |\\|~){0,12}") {
            if let Ok(Some(path)) = inside(Path::new(&text)) {
                let is_inside = path.components().all(|part| matches!(part, Component::Normal(_)));
                prop_assert!(is_inside && path.is_relative(), "{path:?}");
            }
        }
    }
}
