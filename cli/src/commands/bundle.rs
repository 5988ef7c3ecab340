//! `otter bundle`: packs folders for publishing.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use crate::text::{count, size};
use crate::{Context, Failure, bundle};

/// Packs folders for publishing.
#[derive(Debug, Subcommand)]
pub enum Bundle {
    /// Packs a folder: the same files are the same bytes, on every machine.
    Pack {
        /// Folder whose content is packed.
        folder: PathBuf,
        /// Where to write the bundle.
        #[arg(value_name = "OUT.tar.zst")]
        out: PathBuf,
    },
}

impl Bundle {
    /// Runs the command.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let Self::Pack { folder, out } = self;
        let beside = out.parent().filter(|parent| *parent != Path::new(""));
        let beside = beside.unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(beside).map_err(Failure::file(beside))?;
        let packed = bundle::pack(&folder, file.as_file_mut())?;
        let (sha256, length) = bundle::hash(file.path(), |_| ())?;
        share(file.as_file()).map_err(Failure::file(&out))?;
        file.persist(&out)
            .map_err(|error| Failure::file(&out)(error.error))?;
        let shown = json!({
            "sha256": sha256, "size": length, "files": packed.files, "unpacked": packed.bytes,
        });
        context.output.value(&shown, |output| {
            output.line(format!(
                "{}: {} of {} as {}\nsha256 {sha256}",
                out.display(),
                count(packed.files, "file"),
                size(packed.bytes),
                size(length)
            ))
        })
    }
}

/// Lets others read the bundle, as they may any other file: it holds no secret of this program's.
#[cfg(unix)]
fn share(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}
