//! The metadata files as they are kept: every root, the targets, and what the server signs by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use otter_protocol::Timestamp;
use otter_trust::{DelegatedRole, Document, Lists, OnlineMetadata, Role, TrustError};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
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
    /// Returns a metadata file by TUF's name for it: `3.root.json`, `timestamp.json`, `7.snapshot.json`, `9.targets.json`,
    /// `4.team-a.json`.
    pub async fn trust_metadata(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some((role, version)) = parse_name(name) else {
            return Ok(None);
        };
        if let Some(body) = self.inner.trust_files.cache.get(name).await {
            return Ok(body.map(|body| body.to_vec()));
        }
        let row = match version {
            Some(version) => {
                trust_metadata::Entity::find_by_id((role, version))
                    .one(self.db())
                    .await?
            }
            None => latest(self.db(), &role).await?,
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
    pub(crate) lists: Option<Lists>,
    pub(crate) online: Option<OnlineMetadata>,
}

impl Newest {
    pub(crate) async fn load(db: &impl ConnectionTrait) -> Result<Self> {
        let snapshot = body(db, Role::Snapshot.as_str()).await?;
        let timestamp = body(db, Role::Timestamp.as_str()).await?;
        let targets = body(db, Role::Targets.as_str()).await?;
        let lists = match targets {
            Some(targets) => Some(Lists {
                targets,
                delegated: delegated(db).await?,
            }),
            None => None,
        };
        Ok(Self {
            root: body(db, Role::Root.as_str()).await?,
            lists,
            online: snapshot
                .zip(timestamp)
                .map(|(snapshot, timestamp)| OnlineMetadata {
                    snapshot,
                    timestamp,
                }),
        })
    }
}

/// Returns the newest list of each role that was ever delegated to.
async fn delegated(db: &impl ConnectionTrait) -> Result<BTreeMap<DelegatedRole, Vec<u8>>> {
    let mut lists = BTreeMap::new();
    for role in delegated_roles(db).await? {
        if let Some(list) = body(db, role.as_str()).await? {
            lists.insert(role, list);
        }
    }
    Ok(lists)
}

/// Returns the roles beside the four that metadata is kept of.
async fn delegated_roles(db: &impl ConnectionTrait) -> Result<Vec<DelegatedRole>> {
    let own = Role::ALL.map(Role::as_str);
    let names: Vec<String> = trust_metadata::Entity::find()
        .select_only()
        .column(trust_metadata::Column::Role)
        .distinct()
        .filter(trust_metadata::Column::Role.is_not_in(own))
        .into_tuple()
        .all(db)
        .await?;
    let role =
        |name: String| DelegatedRole::new(name).map_err(|error| Error::Corrupt(error.to_string()));
    names.into_iter().map(role).collect()
}

async fn body(db: &impl ConnectionTrait, role: &str) -> Result<Option<Vec<u8>>> {
    Ok(latest(db, role).await?.map(|row| row.body.into_bytes()))
}

/// Returns the newest file of a role: one of the four, or a delegated one.
pub(crate) async fn latest(
    db: &impl ConnectionTrait,
    role: &str,
) -> Result<Option<trust_metadata::Model>> {
    Ok(trust_metadata::Entity::find()
        .filter(trust_metadata::Column::Role.eq(role))
        .order_by_desc(trust_metadata::Column::Version)
        .one(db)
        .await?)
}

/// Keeps a file, byte for byte.
pub(crate) async fn keep(tx: &DatabaseTransaction, bytes: &[u8], now: Timestamp) -> Result<()> {
    let document = Document::parse(bytes)?;
    let role = match document.delegated_role()? {
        Some(role) => role.to_string(),
        None => document.role()?.to_string(),
    };
    let malformed = |reason: String| TrustError::Malformed {
        what: format!("the {role} file"),
        reason,
    };
    let body = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    let version =
        i64::try_from(document.version()?).map_err(|error| malformed(error.to_string()))?;
    let row = trust_metadata::ActiveModel {
        role: Set(role.clone()),
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

/// Removes snapshots, timestamps and lists that were replaced long ago; every root stays.
pub(crate) async fn sweep(tx: &DatabaseTransaction, now: Timestamp) -> Result<()> {
    let own = [Role::Snapshot, Role::Timestamp, Role::Targets].map(|role| role.to_string());
    let delegated = delegated_roles(tx).await?.into_iter().map(String::from);
    for role in own.into_iter().chain(delegated) {
        let Some(newest) = latest(tx, &role).await? else {
            continue;
        };
        trust_metadata::Entity::delete_many()
            .filter(trust_metadata::Column::Role.eq(role))
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

/// Reads a file's name: its role, one of the four or a delegated one, and version; the timestamp alone has none.
fn parse_name(name: &str) -> Option<(String, Option<i64>)> {
    if name == "timestamp.json" {
        return Some((Role::Timestamp.to_string(), None));
    }
    let (version, role) = name.strip_suffix(".json")?.split_once('.')?;
    let known = match role.parse() {
        Ok(Role::Timestamp) => return None,
        Ok(role) => role.to_string(),
        Err(_) => DelegatedRole::new(role).ok()?.into(),
    };
    let number: i64 = version.parse().ok()?;
    (number > 0 && number.to_string() == version).then_some((known, Some(number)))
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
        for (name, role, version) in [
            ("timestamp.json", "timestamp", None),
            ("12.root.json", "root", Some(12)),
            ("1.targets.json", "targets", Some(1)),
            ("4.team-a.json", "team-a", Some(4)),
        ] {
            assert_eq!(parse_name(name), Some((role.to_owned(), version)));
        }
        for other in [
            "root.json",
            "01.root.json",
            "0.root.json",
            "-1.root.json",
            "+1.root.json",
            "1.timestamp.json",
            "1.Team.json",
            "1.a.b.json",
            "1.root",
            "../1.root.json",
            "",
        ] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
