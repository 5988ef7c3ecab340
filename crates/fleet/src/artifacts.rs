//! The artifact store: bytes named by their SHA-256, in files.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::Stream;
use otter_protocol::admin::StoredArtifact;
use otter_protocol::{ProblemCode, Sha256Digest};
use sea_orm::ActiveValue::Set;
use sea_orm::{EntityTrait, TryInsertResult};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database;
use crate::entity::artifact;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::incoming::{Digests, Incoming};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// Bytes on their way in: hashed as they come, and kept only if they are what was named.
#[derive(Debug)]
pub struct Upload {
    fleet: Fleet,
    actor: Actor,
    expected: Option<Sha256Digest>,
    length: Option<u64>,
    limit: u64,
    received: u64,
    incoming: Incoming,
}

impl Upload {
    /// Takes the next bytes; `too_large` over the limit.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.received = self.received.saturating_add(bytes.len() as u64);
        check_limit(self.received, self.limit)?;
        if let Some(length) = self.length.filter(|length| self.received > *length) {
            let detail =
                format!("More bytes came than the {length} that were announced. Upload it again.");
            return Err(Error::problem(ProblemCode::DigestMismatch, detail));
        }
        self.incoming.write(bytes).await
    }

    /// Checks that all came (`digest_mismatch` where not), makes them durable and known.
    pub async fn finish(self) -> Result<StoredArtifact> {
        let Self {
            fleet,
            actor,
            expected,
            length,
            received,
            incoming,
            ..
        } = self;
        if let Some(length) = length.filter(|length| *length != received) {
            let detail = format!("Only {received} of {length} bytes came. Upload it again.");
            return Err(Error::problem(ProblemCode::DigestMismatch, detail));
        }
        let (digests, durable) = incoming.finish().await?;
        if let Some(expected) = expected.filter(|expected| *expected != digests.sha256) {
            let detail = format!(
                "The {received} bytes that came have the SHA-256 {}, not {expected}. Upload it again under its own.",
                digests.sha256
            );
            return Err(Error::problem(ProblemCode::DigestMismatch, detail));
        }
        // Also where it is known: the bytes are the same, and a file that was lost is back.
        durable
            .keep_as(&path_of(&fleet.config().artifacts_dir, digests.sha256))
            .await?;
        fleet.add_artifact(&actor, &digests, received).await
    }
}

/// Bytes on their way out.
#[derive(Debug)]
pub struct ArtifactReader {
    file: File,
    size: u64,
}

impl ArtifactReader {
    /// Returns the whole artifact's length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Streams a part of it; the range must lie within the length.
    pub async fn stream(
        mut self,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + 'static + use<>> {
        if range.start > range.end || range.end > self.size {
            let detail = format!(
                "The artifact has {} bytes; {}..{} is no part of it.",
                self.size, range.start, range.end
            );
            return Err(Error::problem(ProblemCode::RangeNotSatisfiable, detail));
        }
        if range.start > 0 {
            self.file
                .seek(std::io::SeekFrom::Start(range.start))
                .await?;
        }
        Ok(ReaderStream::with_capacity(
            self.file.take(range.end - range.start),
            CHUNK,
        ))
    }
}

impl Fleet {
    /// Begins an upload of bytes that should hash to `expected` (any, where `None`), `length` long where that is known.
    pub async fn begin_upload(
        &self,
        actor: &Actor,
        expected: Option<Sha256Digest>,
        length: Option<u64>,
    ) -> Result<Upload> {
        let limit = self.config().max_artifact_bytes;
        check_limit(length.unwrap_or(0), limit)?;
        let incoming = Incoming::begin(&self.config().artifacts_dir).await?;
        Ok(Upload {
            fleet: self.clone(),
            actor: actor.clone(),
            expected,
            length,
            limit,
            received: 0,
            incoming,
        })
    }

    /// Tells what the store has under a name.
    pub async fn artifact(&self, sha256: Sha256Digest) -> Result<Option<StoredArtifact>> {
        let row = artifact::Entity::find_by_id(sha256.to_string())
            .one(self.db())
            .await?;
        row.map(|row| {
            Ok(StoredArtifact {
                sha256,
                size: size_of(&row)?,
            })
        })
        .transpose()
    }

    /// Opens an artifact of a published release (by the plan in memory: no query); `not_found` for any other.
    pub async fn open_artifact(&self, sha256: Sha256Digest) -> Result<ArtifactReader> {
        let size = self.plan().artifact_size(&sha256);
        let size = size
            .ok_or_else(|| Error::not_found(format!("artifact {sha256} of a published release")))?;
        let file = File::open(path_of(&self.config().artifacts_dir, sha256)).await?;
        let found = file.metadata().await?.len();
        if found != size {
            let what = format!("artifact {sha256} should have {size} bytes, its file has {found}");
            return Err(Error::Store(std::io::Error::other(what)));
        }
        Ok(ArtifactReader { file, size })
    }

    /// Makes bytes known that the store has by now.
    async fn add_artifact(
        &self,
        actor: &Actor,
        digests: &Digests,
        size: u64,
    ) -> Result<StoredArtifact> {
        let stored = StoredArtifact {
            sha256: digests.sha256,
            size,
        };
        let row = artifact::ActiveModel {
            sha256: Set(digests.sha256.to_string()),
            sha1: Set(digests.sha1.clone()),
            md5: Set(digests.md5.clone()),
            size: Set(i64::try_from(size).map_err(|error| Error::Corrupt(error.to_string()))?),
            created_at: Set(self.now().0),
            created_by: Set(actor.to_string()),
        };
        let tx = database::begin(self.db()).await?;
        let inserted = artifact::Entity::insert(row)
            .on_conflict_do_nothing_on([artifact::Column::Sha256])
            .exec_without_returning(&tx)
            .await?;
        if let TryInsertResult::Inserted(1) = inserted {
            let happening =
                Happening::new(actor, "artifact.upload", "artifact", stored.sha256).after(&stored);
            audit::record(&tx, self.now(), happening).await?;
        }
        tx.commit().await?;
        Ok(stored)
    }
}

/// Makes the store's folders and removes what uploads that were cut off long ago left.
pub(crate) async fn prepare_store(artifacts_dir: &Path) -> Result<()> {
    crate::incoming::prepare(artifacts_dir).await?;
    // Written to once, so that a store that can't be written fails at the start, not at the first upload.
    let probe = artifacts_dir
        .join(".incoming")
        .join(format!("probe-{}", uuid::Uuid::new_v4()));
    fs::write(&probe, b"").await?;
    fs::remove_file(&probe).await?;
    Ok(())
}

/// Returns where bytes lie: spread over 256 folders, since some file systems are slow with many files in one.
fn path_of(artifacts_dir: &Path, sha256: Sha256Digest) -> PathBuf {
    let name = sha256.to_string();
    artifacts_dir
        .join(name.get(..2).unwrap_or_default())
        .join(name)
}

fn check_limit(length: u64, limit: u64) -> Result<()> {
    if length <= limit {
        return Ok(());
    }
    let detail = format!(
        "An artifact may have at most {limit} bytes here. Make it smaller, or raise the server's limit."
    );
    Err(Error::problem(ProblemCode::TooLarge, detail))
}

fn size_of(row: &artifact::Model) -> Result<u64> {
    u64::try_from(row.size)
        .map_err(|_| Error::Corrupt(format!("the size of artifact {}", row.sha256)))
}
