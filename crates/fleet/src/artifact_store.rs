//! Where the bytes of artifacts lie, each under its SHA-256: files in a folder, or objects of an S3-compatible store.
//!
//! | file | what |
//! |---|---|
//! | `place` | where the setup says that they lie, and whether devices are sent there |
//! | `incoming` | files on their way in, hashed while they are written |
//! | `objects` | an S3-compatible store |

mod incoming;
mod objects;
mod place;

use std::io::SeekFrom;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use otter_protocol::Sha256Digest;
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;
use url::Url;

use crate::error::{Error, Result};
use objects::Objects;

pub(crate) use incoming::{Digests, Durable, Incoming};
pub use place::{ArtifactPlace, ArtifactRedirect, ObjectAccess};

/// Bytes read from a file at once.
const CHUNK: usize = 256 << 10;

/// A part of an artifact on its way out.
pub(crate) type Bytestream = BoxStream<'static, std::io::Result<Bytes>>;

/// The store.
#[derive(Debug)]
pub(crate) struct ArtifactStore {
    /// A folder: of the artifacts, or only of what is on its way to the objects.
    folder: PathBuf,
    objects: Option<Objects>,
    redirect: ArtifactRedirect,
}

impl ArtifactStore {
    /// Prepares the place, and fails where it can't be written to: at the start rather than at the first upload.
    pub(crate) async fn open(place: &ArtifactPlace, redirect: ArtifactRedirect) -> Result<Self> {
        let (folder, objects) = match place {
            ArtifactPlace::Folder(folder) => (folder, None),
            ArtifactPlace::Objects {
                bucket,
                prefix,
                staging,
                access,
            } => (staging, Some(Objects::new(bucket, prefix, access)?)),
        };
        incoming::prepare(folder).await?;
        incoming::ensure_writable(folder).await?;
        if let Some(objects) = &objects {
            objects.ensure_writable().await?;
        }
        Ok(Self {
            folder: folder.clone(),
            objects,
            redirect,
        })
    }

    /// Begins to take bytes whose name isn't known yet.
    pub(crate) async fn begin(&self) -> Result<Incoming> {
        Incoming::begin(&self.folder).await
    }

    /// Keeps bytes under their name, durably.
    pub(crate) async fn keep(&self, durable: Durable, sha256: Sha256Digest) -> Result<()> {
        match &self.objects {
            None => durable.keep_as(&self.folder.join(name_of(sha256))).await,
            Some(objects) => objects.put(durable.path(), &name_of(sha256)).await,
        }
    }

    /// Makes sure that an artifact is there with all its bytes, as far as that costs nothing, and returns who reads it.
    pub(crate) async fn read(&self, sha256: Sha256Digest, size: u64) -> Result<Reader> {
        if let Some(objects) = &self.objects {
            return Ok(Reader::Object(objects.clone(), name_of(sha256)));
        }
        let file = File::open(self.folder.join(name_of(sha256))).await?;
        let found = file.metadata().await?.len();
        if found != size {
            let what = format!("artifact {sha256} should have {size} bytes, its file has {found}");
            return Err(Error::Store(std::io::Error::other(what)));
        }
        Ok(Reader::File(file))
    }

    /// Returns where a device gets an artifact without this server's help, where the setup wants that.
    pub(crate) async fn address(&self, sha256: Sha256Digest) -> Result<Option<Url>> {
        match (&self.redirect, &self.objects) {
            (ArtifactRedirect::Off, _) | (ArtifactRedirect::Signed, None) => Ok(None),
            (ArtifactRedirect::Signed, Some(objects)) => {
                objects.signed_address(&name_of(sha256)).await.map(Some)
            }
            (ArtifactRedirect::To(base), _) => Ok(base.join(&name_of(sha256)).ok()),
        }
    }

    /// Removes an artifact's bytes; fine where there are none.
    pub(crate) async fn remove(&self, sha256: Sha256Digest) -> Result<()> {
        if let Some(objects) = &self.objects {
            return objects.remove(&name_of(sha256)).await;
        }
        match fs::remove_file(self.folder.join(name_of(sha256))).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Who reads an artifact.
#[derive(Debug)]
pub(crate) enum Reader {
    File(File),
    Object(Objects, String),
}

impl Reader {
    /// Streams a part, which must lie within the artifact.
    pub(crate) async fn stream(self, range: Range<u64>) -> Result<Bytestream> {
        match self {
            Self::File(mut file) => {
                if range.start > 0 {
                    file.seek(SeekFrom::Start(range.start)).await?;
                }
                let part = file.take(range.end - range.start);
                Ok(ReaderStream::with_capacity(part, CHUNK).boxed())
            }
            Self::Object(objects, name) => objects.stream(&name, range).await,
        }
    }
}

/// Returns an artifact's place under the folder or prefix: spread over 256 folders, since some file systems are slow with many
/// files in one.
pub(crate) fn name_of(sha256: Sha256Digest) -> String {
    let name = sha256.to_string();
    format!("{}/{name}", name.get(..2).unwrap_or_default())
}

/// Makes names in a folder durable; without it, a power cut may lose them.
async fn sync_folder(folder: Option<&Path>) -> Result<()> {
    if let Some(folder) = folder {
        File::open(folder).await?.sync_all().await?;
    }
    Ok(())
}
