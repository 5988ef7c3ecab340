//! Makes bundles, as publishers do.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tar::{Builder, EntryType, Header};

const LEVEL: i32 = 9;

/// Packs a folder's files as a `.tar.zst`: names sorted, no times or owners, so that equal folders make equal bytes.
pub fn pack(folder: &Path, to: impl Write) -> io::Result<()> {
    let mut archive = Builder::new(zstd::Encoder::new(to, LEVEL)?);
    add_folder(&mut archive, folder, Path::new(""))?;
    archive.into_inner()?.finish()?.flush()
}

fn add_folder(archive: &mut Builder<impl Write>, folder: &Path, inside: &Path) -> io::Result<()> {
    let mut names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let (path, name) = (folder.join(&name), inside.join(&name));
        let facts = fs::symlink_metadata(&path)?;
        let mut header = Header::new_ustar();
        if facts.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            archive.append_data(&mut header, &name, io::empty())?;
            add_folder(archive, &path, &name)?;
        } else if facts.is_file() {
            let is_program = facts.permissions().mode() & 0o111 != 0;
            header.set_mode(if is_program { 0o755 } else { 0o644 });
            header.set_size(facts.len());
            archive.append_data(&mut header, &name, File::open(&path)?)?;
        } else {
            return Err(io::Error::other(format!(
                "{} is neither file nor folder, and bundles hold nothing else",
                path.display()
            )));
        }
    }
    Ok(())
}
