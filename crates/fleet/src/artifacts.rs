//! Artifacts: bytes named by their SHA-256, in and out.

use std::ops::Range;

use bytes::Bytes;
use futures::Stream;
use otter_protocol::admin::StoredArtifact;
use otter_protocol::{ProblemCode, Sha256Digest};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait, QueryFilter as _, TryInsertResult,
};
use url::Url;

use crate::actor::Actor;
use crate::artifact_store::{Digests, Incoming, Reader};
use crate::audit::{self, Happening};
use crate::database;
use crate::entity::artifact;
use crate::error::{Error, Result};
use crate::fleet::Fleet;

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
        fleet.spare_artifact(digests.sha256).await?;
        // Also where it is known: the bytes are the same, and a file that was lost is back.
        fleet.inner.artifacts.keep(durable, digests.sha256).await?;
        fleet.add_artifact(&actor, &digests, received).await
    }
}

/// Bytes on their way out.
#[derive(Debug)]
pub struct ArtifactReader {
    reader: Reader,
    size: u64,
}

impl ArtifactReader {
    /// Returns the whole artifact's length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Streams a part of it; the range must lie within the length.
    pub async fn stream(
        self,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + 'static + use<>> {
        if range.start > range.end || range.end > self.size {
            let detail = format!(
                "The artifact has {} bytes; {}..{} is no part of it.",
                self.size, range.start, range.end
            );
            return Err(Error::problem(ProblemCode::RangeNotSatisfiable, detail));
        }
        self.reader.stream(range).await
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
        let incoming = self.inner.artifacts.begin().await?;
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
        let row = artifact::kept(sha256).one(self.db()).await?;
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
        let size = self.published_size(sha256)?;
        let reader = self.inner.artifacts.read(sha256, size).await?;
        Ok(ArtifactReader { reader, size })
    }

    /// Returns where a device gets an artifact of a published release without this server's help, where the setup wants that.
    pub async fn artifact_address(&self, sha256: Sha256Digest) -> Result<Option<Url>> {
        self.published_size(sha256)?;
        self.inner.artifacts.address(sha256).await
    }

    fn published_size(&self, sha256: Sha256Digest) -> Result<u64> {
        let size = self.plan().artifact_size(&sha256);
        size.ok_or_else(|| Error::not_found(format!("artifact {sha256} of a published release")))
    }

    /// Keeps an artifact that is known, and about to be put into the store once more, from being collected meanwhile; waits
    /// for one that is being removed.
    async fn spare_artifact(&self, sha256: Sha256Digest) -> Result<()> {
        artifact::Entity::update_many()
            .col_expr(artifact::Column::KeptUntil, Expr::val(self.kept_until()))
            .filter(artifact::Column::Sha256.eq(sha256.to_string()))
            .exec(self.db())
            .await?;
        Ok(())
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
            kept_until: Set(self.kept_until()),
            condemned_at: Set(None),
        };
        let tx = database::begin(self.db()).await?;
        let inserted = artifact::Entity::insert(row)
            .on_conflict_do_nothing_on([artifact::Column::Sha256])
            .exec_without_returning(&tx)
            .await?;
        let is_new = matches!(inserted, TryInsertResult::Inserted(1));
        // Bytes that were about to be removed are as good as new.
        let is_new = is_new || pardon(&tx, digests.sha256).await?;
        if is_new {
            let happening =
                Happening::new(actor, "artifact.upload", "artifact", stored.sha256).after(&stored);
            audit::record(&tx, self.now(), happening).await?;
        }
        tx.commit().await?;
        Ok(stored)
    }
}

/// Takes back that an artifact is to be removed; tells whether it was.
async fn pardon(tx: &DatabaseTransaction, sha256: Sha256Digest) -> Result<bool> {
    let pardoned = artifact::Entity::update_many()
        .col_expr(artifact::Column::CondemnedAt, Expr::val(None::<i64>))
        .filter(artifact::Column::Sha256.eq(sha256.to_string()))
        .filter(artifact::Column::CondemnedAt.is_not_null())
        .exec(tx)
        .await?;
    Ok(pardoned.rows_affected > 0)
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
