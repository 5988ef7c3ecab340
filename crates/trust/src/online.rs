//! What the server signs by itself: a snapshot for a week, a timestamp for a day.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::document::{SPEC_VERSION, expiry, next_version};
use crate::engine::{TrustedSet, snapshot_versions, verify_signed};
use crate::{Document, Lists, Role, SecretKey, TrustError};

/// Life of a snapshot.
pub const SNAPSHOT_LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Life of a timestamp: how long a stolen server can withhold an update unnoticed.
pub const TIMESTAMP_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// The server's keys.
#[derive(Debug)]
pub struct OnlineKeys {
    /// Keys that sign snapshots.
    pub snapshot: Vec<SecretKey>,
    /// Keys that sign timestamps.
    pub timestamp: Vec<SecretKey>,
}

/// The snapshot and the timestamp that are published at present, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlineMetadata {
    /// The snapshot file.
    pub snapshot: Vec<u8>,
    /// The timestamp file.
    pub timestamp: Vec<u8>,
}

impl OnlineMetadata {
    /// Returns the snapshot's version, by which its file is named.
    pub fn snapshot_version(&self) -> Result<u64, TrustError> {
        Document::parse(&self.snapshot)?.version()
    }

    /// Returns the timestamp's version.
    pub fn timestamp_version(&self) -> Result<u64, TrustError> {
        Document::parse(&self.timestamp)?.version()
    }

    /// Returns whether it is time to renew: less than half of a life is left, or root or a list
    /// have changed.
    #[must_use]
    pub fn needs_renewal(&self, root: &[u8], lists: &Lists, now: Timestamp) -> bool {
        self.timestamp_is_due(root, now)
            || self.snapshot_is_due(root, lists, now)
            || !pins(&self.timestamp, "snapshot.json", &self.snapshot)
    }

    fn timestamp_is_due(&self, root: &[u8], now: Timestamp) -> bool {
        half_gone(&self.timestamp, TIMESTAMP_LIFE, now)
            || verify_signed(root, Role::Timestamp, &self.timestamp).is_err()
    }

    fn snapshot_is_due(&self, root: &[u8], lists: &Lists, now: Timestamp) -> bool {
        half_gone(&self.snapshot, SNAPSHOT_LIFE, now)
            || verify_signed(root, Role::Snapshot, &self.snapshot).is_err()
            || lists
                .files()
                .any(|(name, file)| !pins(&self.snapshot, &name, file))
    }
}

/// Makes the next timestamp, and the next snapshot where it is due, over these lists.
///
/// `previous` is what is published now, `None` at the very first. Before it returns, the result is
/// verified as a device would: [`TrustError::TooFewSignatures`] when the keys are not those of the
/// root, [`TrustError::Rollback`] when a list is older than the published one,
/// [`TrustError::MixAndMatch`] when a published one is missing.
pub fn renew(
    root: &[u8],
    lists: &Lists,
    previous: Option<&OnlineMetadata>,
    keys: &OnlineKeys,
    now: Timestamp,
) -> Result<OnlineMetadata, TrustError> {
    refuse_older(previous, lists)?;
    let snapshot = match previous {
        Some(previous) if !previous.snapshot_is_due(root, lists, now) => previous.snapshot.clone(),
        _ => {
            let before = previous.map(OnlineMetadata::snapshot_version).transpose()?;
            let version = next_version(before.unwrap_or(0), Role::Snapshot)?;
            let expires = expiry(now, SNAPSHOT_LIFE)?;
            sign(
                Role::Snapshot,
                version,
                expires,
                lists.files(),
                &keys.snapshot,
            )?
        }
    };
    let before = previous
        .map(OnlineMetadata::timestamp_version)
        .transpose()?;
    let version = next_version(before.unwrap_or(0), Role::Timestamp)?;
    let expires = expiry(now, TIMESTAMP_LIFE)?;
    let meta = [("snapshot.json".to_owned(), snapshot.as_slice())];
    let timestamp = sign(Role::Timestamp, version, expires, meta, &keys.timestamp)?;
    let next = OnlineMetadata {
        snapshot,
        timestamp,
    };
    verify_published(root, &next, &lists.targets, now)?;
    Ok(next)
}

/// Verifies a whole set of metadata as a device that has seen none of it would.
pub fn verify_published(
    root: &[u8],
    online: &OnlineMetadata,
    targets: &[u8],
    now: Timestamp,
) -> Result<(), TrustError> {
    let mut set = TrustedSet::from_root(root)?;
    set.check_root_expired(now)?;
    set.update_timestamp(&online.timestamp, now)?;
    set.update_snapshot(&online.snapshot, now)?;
    set.update_targets(targets, now)
}

/// Devices never go back to an older list, and never on without one that they have seen named.
fn refuse_older(previous: Option<&OnlineMetadata>, lists: &Lists) -> Result<(), TrustError> {
    let Some(previous) = previous else {
        return Ok(());
    };
    let offered = lists.versions()?;
    for (file, trusted) in snapshot_versions(&previous.snapshot)? {
        match offered.get(&file).copied() {
            None => {
                return Err(TrustError::MixAndMatch {
                    reason: format!("the lists lack {file}, which the snapshot before named"),
                });
            }
            Some(offered) if offered < trusted => {
                return Err(TrustError::Rollback {
                    role: Role::Targets,
                    trusted,
                    offered,
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn sign<'a>(
    role: Role,
    version: u64,
    expires: Timestamp,
    files: impl IntoIterator<Item = (String, &'a [u8])>,
    keys: &[SecretKey],
) -> Result<Vec<u8>, TrustError> {
    let mut meta = serde_json::Map::new();
    for (name, file) in files {
        let pin = json!({
            "version": Document::parse(file)?.version()?,
            "length": file.len(),
            "hashes": { "sha256": sha256(file) },
        });
        meta.insert(name, pin);
    }
    let mut document = Document::unsigned(json!({
        "_type": role,
        "spec_version": SPEC_VERSION,
        "version": version,
        "expires": expires,
        "meta": meta,
    }));
    for key in keys {
        document.sign(key)?;
    }
    document.to_bytes()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn pinned<'a>(document: &'a Document, name: &str) -> Option<&'a Value> {
    document.signed().get("meta")?.get(name)
}

/// Returns whether `parent` names exactly this file.
fn pins(parent: &[u8], name: &str, file: &[u8]) -> bool {
    let Ok(parent) = Document::parse(parent) else {
        return false;
    };
    let digest = pinned(&parent, name).and_then(|pin| pin.get("hashes")?.get("sha256"));
    digest.and_then(Value::as_str) == Some(sha256(file).as_str())
}

fn half_gone(bytes: &[u8], life: SignedDuration, now: Timestamp) -> bool {
    let expires = Document::parse(bytes).and_then(|document| document.expires());
    !expires.is_ok_and(|expires| expires.duration_since(now) >= life / 2)
}
