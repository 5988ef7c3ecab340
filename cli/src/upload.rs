//! Artifacts on their way to the server: packed where they are folders, hashed here, sent once, with a bar that fills.

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use otter_protocol::admin::StoredArtifact;
use otter_protocol::{ArtifactKind, Sha256Digest};
use reqwest::Body;
use tempfile::TempPath;
use tokio::fs::File;
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

use crate::api::Client;
use crate::{Failure, bundle};

/// An artifact's bytes on this machine, hashed.
#[derive(Debug)]
pub struct LocalArtifact {
    /// Names the bytes.
    pub sha256: Sha256Digest,
    /// Length in bytes.
    pub size: u64,
    /// Where they are.
    path: PathBuf,
    /// Removes them again, where they were packed from a folder.
    _packed: Option<TempPath>,
}

impl LocalArtifact {
    /// Packs a folder as a bundle, or takes a file as it is, and hashes it.
    pub async fn prepare(path: &Path, kind: ArtifactKind) -> Result<Self, Failure> {
        let path = path.to_owned();
        let prepared = spawn_blocking(move || prepare(path, kind)).await;
        prepared.map_err(|error| Failure::Refused(format!("packing broke off: {error}")))?
    }

    /// Uploads the bytes, unless the server has them; returns whether they were sent.
    pub async fn upload(&self, client: &Client) -> Result<bool, Failure> {
        let name = self.sha256.to_string();
        let address = ["artifacts", name.as_str()];
        let stored: Option<StoredArtifact> = client.find(&address).await?;
        if stored.is_some() {
            return Ok(false);
        }
        let file = File::open(&self.path)
            .await
            .map_err(Failure::file(&self.path))?;
        let bar = bar(self.size, "uploading");
        let progress = bar.clone();
        let pieces = ReaderStream::with_capacity(file, 1 << 17).inspect(move |piece| {
            progress.inc(piece.as_ref().map_or(0, |piece| piece.len() as u64));
        });
        let sent: Result<StoredArtifact, _> = client
            .upload(&address, self.size, Body::wrap_stream(pieces))
            .await;
        bar.finish_and_clear();
        sent.map(|_| true)
    }
}

fn prepare(path: PathBuf, kind: ArtifactKind) -> Result<LocalArtifact, Failure> {
    let metadata = std::fs::metadata(&path).map_err(Failure::file(&path))?;
    let (path, packed) = match (metadata.is_dir(), kind) {
        (true, ArtifactKind::Bundle) => {
            let packed = pack(&path)?;
            (packed.to_path_buf(), Some(packed))
        }
        (true, kind) => {
            return Err(Failure::Refused(format!(
                "{} is a folder, and a release of kind {kind} is one file. \
                 Name the file, or make it a bundle",
                path.display()
            )));
        }
        (false, ArtifactKind::Bundle) => {
            bundle::check(&path)?;
            (path, None)
        }
        (false, _) => (path, None),
    };
    let length = std::fs::metadata(&path)
        .map_err(Failure::file(&path))?
        .len();
    let bar = bar(length, "hashing");
    let (sha256, size) = bundle::hash(&path, |read| bar.inc(read))?;
    bar.finish_and_clear();
    if size == 0 {
        return Err(Failure::Refused(format!(
            "{} is empty, and no device can install nothing",
            path.display()
        )));
    }
    Ok(LocalArtifact {
        sha256,
        size,
        path,
        _packed: packed,
    })
}

fn pack(folder: &Path) -> Result<TempPath, Failure> {
    let what = "the temporary folder (TMPDIR)";
    let mut file = tempfile::Builder::new()
        .prefix("otter-bundle-")
        .suffix(".tar.zst")
        .tempfile()
        .map_err(Failure::file(what))?;
    bundle::pack(folder, file.as_file_mut())?;
    Ok(file.into_temp_path())
}

/// Makes a bar on standard error; it stays hidden where nobody looks.
fn bar(length: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(what);
    let template = "{msg:>10} {bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
