//! Packs a folder as a bundle: a tar archive, compressed with zstd, the same bytes for the same files on every machine.
//!
//! Entries come in the order of their paths, with no owner and no time; of a file's mode only whether it is executable
//! stays. Links and special files are refused, as devices refuse them.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use otter_protocol::Sha256Digest;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::Failure;

/// How hard zstd tries: smaller than its default, still faster than most links upload.
const LEVEL: i32 = 10;

/// The first bytes of every zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Files in it.
    pub files: u64,
    /// Their bytes, uncompressed.
    pub bytes: u64,
}

/// Packs a folder's content into `out`.
pub fn pack(folder: &Path, out: impl Write) -> Result<Packed, Failure> {
    let entries = entries(folder)?;
    let files = entries.iter().filter(|entry| !entry.is_folder).count() as u64;
    if files == 0 {
        return Err(Failure::Refused(format!(
            "{} holds no file, so there is nothing to pack",
            folder.display()
        )));
    }
    let writing = || Failure::file("the bundle");
    let mut encoder = zstd::Encoder::new(out, LEVEL).map_err(writing())?;
    encoder.include_checksum(true).map_err(writing())?;
    let mut archive = Builder::new(encoder);
    let mut bytes = 0;
    for entry in &entries {
        bytes += append(&mut archive, folder, entry)?;
    }
    let encoder = archive.into_inner().map_err(writing())?;
    let mut out = encoder.finish().map_err(writing())?;
    out.flush().map_err(writing())?;
    Ok(Packed { files, bytes })
}

/// Hashes a file; `seen` is told of every piece's length.
pub fn hash(path: &Path, seen: impl Fn(u64)) -> Result<(Sha256Digest, u64), Failure> {
    let mut file = File::open(path).map_err(Failure::file(path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer).map_err(Failure::file(path))?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            return Ok((Sha256Digest(hasher.finalize().into()), size));
        };
        hasher.update(piece);
        size += read as u64;
        seen(read as u64);
    }
}

/// Refuses a file that can't be a bundle.
pub fn check(path: &Path) -> Result<(), Failure> {
    let mut magic = [0; 4];
    let mut file = File::open(path).map_err(Failure::file(path))?;
    match file.read_exact(&mut magic) {
        Ok(()) if magic == ZSTD_MAGIC => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Err(Failure::file(path)(error))
        }
        _ => Err(Failure::Refused(format!(
            "{} is no bundle: a bundle is a tar archive compressed with zstd. \
             Name the folder itself, or say what it is with --kind",
            path.display()
        ))),
    }
}

/// A file or folder to pack.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// Its path below the folder, with `/` between names.
    name: String,
    is_folder: bool,
}

/// Returns everything below a folder, sorted by path.
fn entries(folder: &Path) -> Result<Vec<Entry>, Failure> {
    let mut found = Vec::new();
    let mut to_read = vec![String::new()];
    while let Some(below) = to_read.pop() {
        let path = folder.join(&below);
        for item in fs::read_dir(&path).map_err(Failure::file(&path))? {
            let item = item.map_err(Failure::file(&path))?;
            let kind = item.file_type().map_err(Failure::file(item.path()))?;
            let name = name_below(&below, &item.path())?;
            if !kind.is_dir() && !kind.is_file() {
                return Err(Failure::Refused(format!(
                    "{} is a link or a special file, which no device installs. \
                     Put a file in its place, or leave it out",
                    item.path().display()
                )));
            }
            if kind.is_dir() {
                to_read.push(name.clone());
            }
            found.push(Entry {
                name,
                is_folder: kind.is_dir(),
            });
        }
    }
    found.sort();
    Ok(found)
}

fn name_below(below: &str, path: &Path) -> Result<String, Failure> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Err(Failure::Refused(format!(
            "{} has a name that is not UTF-8. Rename it",
            path.display()
        )));
    };
    Ok(if below.is_empty() {
        name.to_owned()
    } else {
        format!("{below}/{name}")
    })
}

/// Adds one entry; returns the bytes of its content.
fn append<W: Write>(
    archive: &mut Builder<W>,
    folder: &Path,
    entry: &Entry,
) -> Result<u64, Failure> {
    let path: PathBuf = folder.join(&entry.name);
    if entry.is_folder {
        let mut header = header(EntryType::Directory, 0o755, 0);
        archive
            .append_data(&mut header, format!("{}/", entry.name), io::empty())
            .map_err(Failure::file(&path))?;
        return Ok(0);
    }
    let file = File::open(&path).map_err(Failure::file(&path))?;
    let metadata = file.metadata().map_err(Failure::file(&path))?;
    let size = metadata.len();
    let mode = if is_executable(&metadata) {
        0o755
    } else {
        0o644
    };
    let mut header = header(EntryType::Regular, mode, size);
    let mut content = file.take(size);
    archive
        .append_data(&mut header, &entry.name, &mut content)
        .map_err(Failure::file(&path))?;
    if content.limit() > 0 {
        return Err(Failure::Refused(format!(
            "{} became shorter while it was packed. Try again once nothing writes to it",
            path.display()
        )));
    }
    Ok(size)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::{Duration, SystemTime};

    use super::*;

    fn write(path: &Path, content: &str, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn packed(folder: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(folder, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_same_files_are_the_same_bytes() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let long = format!("deep/{}/{}", "d".repeat(90), "f".repeat(90));
        let files = [
            ("bin/service", 0o755),
            ("etc/a.toml", 0o640),
            (&long, 0o600),
        ];
        for (name, mode) in files {
            write(&a.path().join(name), name, mode);
        }
        for (name, mode) in files.into_iter().rev() {
            write(&b.path().join(name), name, mode | 0o044);
            let old = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
            let file = File::options().append(true).open(b.path().join(name));
            file.unwrap().set_modified(old).unwrap();
        }
        assert_eq!(packed(a.path()), packed(b.path()));

        write(&b.path().join("etc/a.toml"), "other", 0o644);
        assert_ne!(packed(a.path()), packed(b.path()));
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("bin/service"), "#!/bin/sh\n", 0o700);
        write(&folder.path().join("bin-data"), "", 0o644);
        fs::create_dir(folder.path().join("empty")).unwrap();

        let bytes = packed(folder.path());
        let mut archive = tar::Archive::new(zstd::Decoder::new(&bytes[..]).unwrap());
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                (path, entry.header().mode().unwrap(), entry.size())
            })
            .collect();
        let expected = [
            ("bin/", 0o755, 0),
            ("bin-data", 0o644, 0),
            ("bin/service", 0o755, 10),
            ("empty/", 0o755, 0),
        ];
        assert_eq!(
            entries,
            expected.map(|(path, mode, size)| (path.to_owned(), mode, size))
        );
    }

    #[test]
    fn links_and_empty_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = pack(folder.path(), Vec::new()).unwrap_err();
        assert!(error.to_string().contains("no file"), "{error}");

        write(&folder.path().join("a"), "", 0o644);
        symlink("/etc/passwd", folder.path().join("b")).unwrap();
        let error = pack(folder.path(), Vec::new()).unwrap_err();
        assert!(error.to_string().contains("link"), "{error}");
    }

    #[test]
    fn a_file_is_hashed_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        let content = vec![7; 300_000];
        fs::write(&path, &content).unwrap();
        assert_eq!(
            hash(&path, |_| ()).unwrap(),
            (Sha256Digest::of(&content), 300_000)
        );
        let error = check(&path).unwrap_err().to_string();
        assert!(error.contains("no bundle"), "{error}");
    }
}
