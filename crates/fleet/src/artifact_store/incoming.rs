//! Files on their way into the artifact store: hashed while they are written, durable before they get their name.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use md5::Md5;
use otter_protocol::Sha256Digest;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::fs;

use super::sync_folder;
use crate::error::{Error, Result};

/// The folder of what isn't complete yet, beside the store's own.
const FOLDER: &str = ".incoming";
/// Bytes gathered before they are hashed and written.
const BATCH: usize = 256 << 10;
/// What wasn't written to for so long was left by a server that was stopped.
const STALE: Duration = Duration::from_secs(60 * 60);

/// The digests by which dialects of the device API name bytes.
#[derive(Debug)]
pub(crate) struct Digests {
    pub(crate) sha256: Sha256Digest,
    pub(crate) sha1: String,
    pub(crate) md5: String,
}

/// A file that is being written; gone when dropped.
#[derive(Debug)]
pub(crate) struct Incoming {
    path: TemporaryPath,
    batch: Vec<u8>,
    /// Absent while a batch is being written, and after one that couldn't be.
    sink: Option<Sink>,
}

/// A file whose bytes are on the disk, without its name yet; gone when dropped.
#[derive(Debug)]
pub(crate) struct Durable {
    path: TemporaryPath,
}

#[derive(Debug)]
struct Sink {
    file: std::fs::File,
    sha256: Sha256,
    sha1: Sha1,
    md5: Md5,
}

/// Removes its file when dropped, unless that has got its name.
#[derive(Debug)]
struct TemporaryPath {
    path: PathBuf,
    is_kept: bool,
}

impl Incoming {
    pub(crate) async fn begin(artifacts_dir: &Path) -> Result<Self> {
        let path = artifacts_dir
            .join(FOLDER)
            .join(uuid::Uuid::new_v4().to_string());
        let file = fs::File::create_new(&path).await?.into_std().await;
        let sink = Sink {
            file,
            sha256: Sha256::new(),
            sha1: Sha1::new(),
            md5: Md5::new(),
        };
        let path = TemporaryPath {
            path,
            is_kept: false,
        };
        Ok(Self {
            path,
            batch: Vec::with_capacity(BATCH),
            sink: Some(sink),
        })
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.batch.extend_from_slice(bytes);
        if self.batch.len() >= BATCH {
            self.flush().await
        } else {
            Ok(())
        }
    }

    async fn flush(&mut self) -> Result<()> {
        let mut sink = self.sink.take().ok_or_else(broken)?;
        let mut batch = std::mem::take(&mut self.batch);
        let task = tokio::task::spawn_blocking(move || {
            sink.write(&batch)?;
            batch.clear();
            std::io::Result::Ok((sink, batch))
        });
        let (sink, batch) = task.await.map_err(|_| broken())??;
        (self.sink, self.batch) = (Some(sink), batch);
        Ok(())
    }

    /// Writes the rest, and waits until all of it is on the disk.
    pub(crate) async fn finish(mut self) -> Result<(Digests, Durable)> {
        self.flush().await?;
        let sink = self.sink.take().ok_or_else(broken)?;
        let digests = tokio::task::spawn_blocking(move || sink.finish())
            .await
            .map_err(|_| broken())??;
        Ok((digests, Durable { path: self.path }))
    }
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.sha256.update(bytes);
        self.sha1.update(bytes);
        self.md5.update(bytes);
        self.file.write_all(bytes)
    }

    fn finish(self) -> std::io::Result<Digests> {
        self.file.sync_all()?;
        Ok(Digests {
            sha256: Sha256Digest(self.sha256.finalize().into()),
            sha1: hex::encode(self.sha1.finalize()),
            md5: hex::encode(self.md5.finalize()),
        })
    }
}

impl Durable {
    /// Where the bytes lie meanwhile.
    pub(super) fn path(&self) -> &Path {
        &self.path.path
    }

    /// Gives the file its name, durably, too.
    pub(crate) async fn keep_as(mut self, path: &Path) -> Result<()> {
        let folder = path
            .parent()
            .ok_or_else(|| std::io::Error::other("the store has no folder"))?;
        if !fs::try_exists(folder).await? {
            fs::create_dir_all(folder).await?;
            sync_folder(folder.parent()).await?;
        }
        fs::rename(&self.path.path, path).await?;
        self.path.is_kept = true;
        sync_folder(Some(folder)).await
    }
}

impl Drop for TemporaryPath {
    fn drop(&mut self) {
        if !self.is_kept {
            // What stays is removed at a later start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes the folders and removes what was left long ago; other servers may be writing to the newer ones.
pub(super) async fn prepare(artifacts_dir: &Path) -> Result<()> {
    let folder = artifacts_dir.join(FOLDER);
    fs::create_dir_all(&folder).await?;
    let mut entries = fs::read_dir(&folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        // Another server may remove it at the same time.
        let Ok(metadata) = entry.metadata().await else {
            continue;
        };
        let age = metadata
            .modified()
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok());
        if metadata.is_file() && age.is_some_and(|age| age >= STALE) {
            tracing::info!(file = %entry.path().display(), "removing an upload that was cut off");
            let _ = fs::remove_file(entry.path()).await;
        }
    }
    Ok(())
}

/// Writes to the store once.
pub(super) async fn ensure_writable(artifacts_dir: &Path) -> Result<()> {
    let probe = artifacts_dir
        .join(FOLDER)
        .join(format!("probe-{}", uuid::Uuid::new_v4()));
    fs::write(&probe, b"").await?;
    fs::remove_file(&probe).await?;
    Ok(())
}

fn broken() -> Error {
    Error::Store(std::io::Error::other(
        "the upload was broken off; upload it again",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn left(folder: &Path) -> usize {
        std::fs::read_dir(folder.join(FOLDER)).unwrap().count()
    }

    #[tokio::test]
    async fn digests_are_of_all_bytes_and_the_file_gets_its_name() {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path()).await.unwrap();
        let mut incoming = Incoming::begin(folder.path()).await.unwrap();
        for part in ["a", "b", "c"] {
            incoming.write(part.as_bytes()).await.unwrap();
        }
        let (digests, durable) = incoming.finish().await.unwrap();
        assert_eq!(digests.sha256, Sha256Digest::of(b"abc"));
        assert_eq!(digests.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(digests.md5, "900150983cd24fb0d6963f7d28e17f72");
        let path = folder.path().join("ba").join("name");
        durable.keep_as(&path).await.unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"abc");
        assert_eq!(left(folder.path()).await, 0);
    }

    #[tokio::test]
    async fn what_is_dropped_or_stale_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path()).await.unwrap();
        let mut incoming = Incoming::begin(folder.path()).await.unwrap();
        incoming.write(&vec![7; BATCH + 1]).await.unwrap();
        assert_eq!(left(folder.path()).await, 1);
        drop(incoming);
        assert_eq!(left(folder.path()).await, 0);

        for (name, age) in [("old", STALE * 2), ("new", Duration::ZERO)] {
            let file = std::fs::File::create(folder.path().join(FOLDER).join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        prepare(folder.path()).await.unwrap();
        assert!(folder.path().join(FOLDER).join("new").exists());
        assert_eq!(left(folder.path()).await, 1);
    }
}
