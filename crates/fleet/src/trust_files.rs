//! The metadata files as they are kept: every root, the targets, and what the server signs by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use otter_protocol::Timestamp;
use otter_trust::{Document, OnlineMetadata, Role, TrustError};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
};

use crate::entity::trust_metadata;
use crate::error::{Error, Result};
use crate::fleet::Fleet;

/// How long another server's change may go unseen.
const CACHED: Duration = Duration::from_secs(1);
/// How often the log is told what ends soon, in seconds.
const WARNED_EVERY_SEC: u64 = 24 * 3600;
/// How long what no timestamp names any more is kept for devices in the middle of a refresh, and for people.
const KEPT_SEC: u64 = 30 * 24 * 3600;

/// Files asked for of late: every device that updates asks for the same few.
#[derive(Debug)]
pub(crate) struct TrustFiles {
    cache: Cache<String, Option<Arc<Vec<u8>>>>,
    /// When the log was last told what ends soon.
    warned_at: Mutex<Option<Timestamp>>,
}

impl Default for TrustFiles {
    fn default() -> Self {
        Self {
            cache: Cache::builder()
                .max_capacity(64)
                .time_to_live(CACHED)
                .build(),
            warned_at: Mutex::default(),
        }
    }
}

impl TrustFiles {
    /// Tells whether a day has gone by since this said so.
    pub(crate) fn is_time_to_warn(&self, now: Timestamp) -> bool {
        let mut warned_at = self
            .warned_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if warned_at.is_some_and(|at| at.plus_sec(WARNED_EVERY_SEC) > now) {
            return false;
        }
        *warned_at = Some(now);
        true
    }

    /// Forgets all, so that a change is seen at once.
    pub(crate) fn forget(&self) {
        self.cache.invalidate_all();
    }
}

impl Fleet {
    /// Returns a metadata file by TUF's name for it: `3.root.json`, `timestamp.json`, `7.snapshot.json`, `9.targets.json`.
    pub async fn trust_metadata(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some((role, version)) = parse_name(name) else {
            return Ok(None);
        };
        if let Some(body) = self.inner.trust_files.cache.get(name).await {
            return Ok(body.map(|body| body.to_vec()));
        }
        let row = match version {
            Some(version) => {
                trust_metadata::Entity::find_by_id((role.to_string(), version))
                    .one(self.db())
                    .await?
            }
            None => latest(self.db(), role).await?,
        };
        let body = row.map(|row| Arc::new(row.body.into_bytes()));
        self.inner
            .trust_files
            .cache
            .insert(name.to_owned(), body.clone())
            .await;
        Ok(body.map(|body| body.to_vec()))
    }
}

/// The newest files.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    pub(crate) root: Option<Vec<u8>>,
    pub(crate) targets: Option<Vec<u8>>,
    pub(crate) online: Option<OnlineMetadata>,
}

impl Newest {
    pub(crate) async fn load(db: &impl ConnectionTrait) -> Result<Self> {
        let snapshot = body(db, Role::Snapshot).await?;
        let timestamp = body(db, Role::Timestamp).await?;
        Ok(Self {
            root: body(db, Role::Root).await?,
            targets: body(db, Role::Targets).await?,
            online: snapshot
                .zip(timestamp)
                .map(|(snapshot, timestamp)| OnlineMetadata {
                    snapshot,
                    timestamp,
                }),
        })
    }
}

async fn body(db: &impl ConnectionTrait, role: Role) -> Result<Option<Vec<u8>>> {
    Ok(latest(db, role).await?.map(|row| row.body.into_bytes()))
}

/// Returns the newest file of a role.
pub(crate) async fn latest(
    db: &impl ConnectionTrait,
    role: Role,
) -> Result<Option<trust_metadata::Model>> {
    Ok(trust_metadata::Entity::find()
        .filter(trust_metadata::Column::Role.eq(role.as_str()))
        .order_by_desc(trust_metadata::Column::Version)
        .one(db)
        .await?)
}

/// Keeps a file, byte for byte.
pub(crate) async fn keep(tx: &DatabaseTransaction, bytes: &[u8], now: Timestamp) -> Result<()> {
    let document = Document::parse(bytes)?;
    let role = document.role()?;
    let malformed = |reason: String| TrustError::Malformed {
        what: format!("the {role} file"),
        reason,
    };
    let body = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    let version =
        i64::try_from(document.version()?).map_err(|error| malformed(error.to_string()))?;
    let row = trust_metadata::ActiveModel {
        role: Set(role.to_string()),
        version: Set(version),
        body: Set(body.to_owned()),
        expires_at: Set(Timestamp::from(document.expires()?).0),
        created_at: Set(now.0),
    };
    trust_metadata::Entity::insert(row)
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

/// Removes snapshots, timestamps and targets that were replaced long ago; every root stays.
pub(crate) async fn sweep(tx: &DatabaseTransaction, now: Timestamp) -> Result<()> {
    for role in [Role::Snapshot, Role::Timestamp, Role::Targets] {
        let Some(newest) = latest(tx, role).await? else {
            continue;
        };
        trust_metadata::Entity::delete_many()
            .filter(trust_metadata::Column::Role.eq(role.as_str()))
            .filter(trust_metadata::Column::Version.lt(newest.version))
            .filter(trust_metadata::Column::CreatedAt.lt(now.minus_sec(KEPT_SEC).0))
            .exec(tx)
            .await?;
    }
    Ok(())
}

/// Refuses a file that is larger than devices read.
pub(crate) fn check_size(role: Role, bytes: &[u8], limit: u64) -> Result<()> {
    if bytes.len() as u64 <= limit {
        return Ok(());
    }
    Err(Error::Trust(TrustError::EndlessData {
        name: format!("the {role} file"),
        limit,
    }))
}

/// Reads a file's name: its role and version; the timestamp alone has none.
fn parse_name(name: &str) -> Option<(Role, Option<i64>)> {
    if name == "timestamp.json" {
        return Some((Role::Timestamp, None));
    }
    let (version, role) = name.strip_suffix(".json")?.split_once('.')?;
    let role = [Role::Root, Role::Snapshot, Role::Targets]
        .into_iter()
        .find(|known| known.as_str() == role)?;
    let number: i64 = version.parse().ok()?;
    (number > 0 && number.to_string() == version).then_some((role, Some(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_comes_once_a_day() {
        let files = TrustFiles::default();
        let now = Timestamp(1_900_000_000_000);
        let hours = [0, 1, 23, 24, 25, 47, 48];
        let warned = hours.map(|hour| files.is_time_to_warn(now.plus_sec(hour * 3600)));
        assert_eq!(warned, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn names_are_tufs_and_nothing_else() {
        assert_eq!(parse_name("timestamp.json"), Some((Role::Timestamp, None)));
        assert_eq!(parse_name("12.root.json"), Some((Role::Root, Some(12))));
        assert_eq!(parse_name("1.targets.json"), Some((Role::Targets, Some(1))));
        for other in [
            "root.json",
            "01.root.json",
            "0.root.json",
            "-1.root.json",
            "+1.root.json",
            "1.timestamp.json",
            "1.root",
            "../1.root.json",
            "",
        ] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
