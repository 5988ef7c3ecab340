//! The device's side: follows the TUF client workflow and says what may be installed.
//!
//! The store keeps what is trusted under TUF's names without versions: `root.json`,
//! `timestamp.json`, `snapshot.json`, `targets.json`, and a file for each delegated role that was
//! asked for. Each is saved as soon as it is verified, as the specification has it (5.3 to 5.6). A
//! snapshot stays the floor under the next one even where a newer timestamp no longer names it, so
//! that neither a power cut nor a server that breaks off halfway makes a device forget what it saw.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::document::{DELEGATED_ROLE, malformed};
use crate::engine::{TrustedSet, snapshot_versions, verify_signed};
use crate::fetch::{Limits, fetch, pinned, required};
use crate::{MetadataSource, Role, TrustError, TrustStore};

const ROOT: &str = "root.json";
const TIMESTAMP: &str = "timestamp.json";
const SNAPSHOT: &str = "snapshot.json";
const TARGETS: &str = "targets.json";
/// Where earlier agents kept timestamp, snapshot and targets together.
const CHAIN: &str = "chain.json";

/// The versions that a device trusts after a refresh, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trusted {
    /// Version of the root.
    pub root: u64,
    /// Version of the timestamp.
    pub timestamp: u64,
    /// Version of the snapshot.
    pub snapshot: u64,
    /// Version of targets.
    pub targets: u64,
    /// The time at which the first of them expires.
    pub expires: Timestamp,
}

/// What a device trusts, and the only way by which that changes.
#[derive(Debug)]
pub struct Verifier<S> {
    pub(crate) store: S,
    pub(crate) limits: Limits,
    pub(crate) set: TrustedSet,
    /// Versions that the last trusted snapshot named, by file.
    floor: BTreeMap<String, u64>,
    refreshed: bool,
}

/// Timestamp, snapshot and targets as earlier agents kept them.
#[derive(Deserialize)]
struct Chain {
    timestamp: String,
    snapshot: String,
    targets: String,
}

impl<S: TrustStore> Verifier<S> {
    /// Opens what the store holds, or begins with the root pinned by image or enrollment.
    ///
    /// Of a stored and a pinned root the higher version counts, so that a new image can bring a new
    /// root. [`TrustError::NoRoot`] when there is neither.
    pub fn open(store: S, pinned_root: Option<&[u8]>) -> Result<Self, TrustError> {
        Self::open_with(store, pinned_root, Limits::default())
    }

    /// Opens with other limits.
    pub fn open_with(
        mut store: S,
        pinned_root: Option<&[u8]>,
        limits: Limits,
    ) -> Result<Self, TrustError> {
        let stored = load(&store, ROOT)?;
        let stored = stored.as_deref().map(TrustedSet::from_root);
        let pinned = pinned_root.map(TrustedSet::from_root).transpose()?;
        let set = match (stored, pinned) {
            (Some(Ok(stored)), Some(pinned)) if pinned.root_version() > stored.root_version() => {
                save(&mut store, ROOT, pinned.root_bytes())?;
                pinned
            }
            (Some(Ok(stored)), _) => stored,
            // A store that rotted must not keep the device from updates for ever.
            (Some(Err(_)) | None, Some(pinned)) => {
                save(&mut store, ROOT, pinned.root_bytes())?;
                pinned
            }
            (Some(Err(error)), None) => return Err(error),
            (None, None) => return Err(TrustError::NoRoot),
        };
        take_apart(&mut store)?;
        let mut verifier = Self {
            store,
            limits,
            set,
            floor: BTreeMap::new(),
            refreshed: false,
        };
        verifier.recall()?;
        Ok(verifier)
    }

    /// Follows the server to its newest metadata, and keeps each file of it that is sound.
    ///
    /// On an error nothing may be installed until a refresh succeeds.
    pub async fn refresh(
        &mut self,
        source: &impl MetadataSource,
        now: Timestamp,
    ) -> Result<Trusted, TrustError> {
        self.refreshed = false;
        self.follow_root(source).await?;
        self.set.check_root_expired(now)?;
        self.refresh_timestamp(source, now).await?;
        self.refresh_snapshot(source, now).await?;
        self.refresh_targets(source, now).await?;
        self.refreshed = true;
        self.trusted(now)
    }

    /// Returns the versions that are trusted; fails before a refresh and once one has expired.
    pub fn trusted(&self, now: Timestamp) -> Result<Trusted, TrustError> {
        let (true, Some(timestamp), Some(snapshot), Some(targets)) = (
            self.refreshed,
            self.set.timestamp(),
            self.set.snapshot(),
            self.set.targets(),
        ) else {
            return Err(TrustError::NotRefreshed);
        };
        let root = (self.set.root_version(), self.set.root_expires());
        let metadata = [root, targets, snapshot, timestamp];
        for (role, (_, expires)) in Role::ALL.into_iter().zip(metadata) {
            if expires < now {
                return Err(TrustError::Freeze { role, expires });
            }
        }
        let expires = metadata.into_iter().map(|(_, expires)| expires).min();
        Ok(Trusted {
            root: root.0,
            timestamp: timestamp.0,
            snapshot: snapshot.0,
            targets: targets.0,
            expires: expires.unwrap_or(now),
        })
    }

    /// Returns the version of the trusted root.
    #[must_use]
    pub fn root_version(&self) -> u64 {
        self.set.root_version()
    }

    /// Returns the store.
    #[must_use]
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Root rotation (TUF 5.3): one version after another, each verified by the one before.
    async fn follow_root(&mut self, source: &impl MetadataSource) -> Result<(), TrustError> {
        for _ in 0..self.limits.root_rotations {
            if !self.next_root(source).await? {
                return Ok(());
            }
        }
        // The bound is on what a refresh follows: a fleet exactly that far behind is up to date now.
        let next = Role::Root.file_name(self.set.root_version().saturating_add(1));
        match fetch(source, &next, self.limits.root).await? {
            None => Ok(()),
            Some(_) => Err(TrustError::EndlessRoots {
                limit: self.limits.root_rotations,
            }),
        }
    }

    async fn next_root(&mut self, source: &impl MetadataSource) -> Result<bool, TrustError> {
        let name = Role::Root.file_name(self.set.root_version().saturating_add(1));
        let Some(bytes) = fetch(source, &name, self.limits.root).await? else {
            return Ok(false);
        };
        let mut set = self.set.clone();
        set.update_root(&bytes)?;
        save(&mut self.store, ROOT, &bytes)?;
        self.set = set;
        self.recall()?;
        Ok(true)
    }

    /// Takes what was trusted before as the floor under what may be trusted next.
    ///
    /// After a rotation of the server's keys it no longer verifies, and is forgotten: so a stolen
    /// server that ran the versions up is recovered from (TUF 5.3.11). Both files go, whichever key
    /// was rotated. Expiry does not matter: a floor holds for ever.
    fn recall(&mut self) -> Result<(), TrustError> {
        self.floor.clear();
        let (timestamp, snapshot) = (load(&self.store, TIMESTAMP)?, load(&self.store, SNAPSHOT)?);
        let mut set = TrustedSet::from_root(self.set.root_bytes())?;
        let whenever = Timestamp::MIN;
        if let Some(bytes) = &timestamp
            && set.update_timestamp(bytes, whenever).is_err()
        {
            return Ok(());
        }
        if let Some(bytes) = &snapshot {
            if verify_signed(self.set.root_bytes(), Role::Snapshot, bytes).is_err() {
                return Ok(());
            }
            self.floor = snapshot_versions(bytes)?;
            // One that a newer timestamp doesn't name any more is a floor, and no more.
            let _ = set.update_snapshot(bytes, whenever);
        }
        self.set = set;
        Ok(())
    }

    /// Timestamp (TUF 5.4). One of the trusted version changes nothing and is dropped.
    async fn refresh_timestamp(
        &mut self,
        source: &impl MetadataSource,
        now: Timestamp,
    ) -> Result<(), TrustError> {
        let bytes = required(source, TIMESTAMP, self.limits.timestamp).await?;
        let mut set = self.set.clone();
        if set.update_timestamp(&bytes, now)? {
            save(&mut self.store, TIMESTAMP, &bytes)?;
            self.set = set;
        }
        Ok(())
    }

    /// Snapshot (TUF 5.5): the stored one where the timestamp still names it, else the server's.
    async fn refresh_snapshot(
        &mut self,
        source: &impl MetadataSource,
        now: Timestamp,
    ) -> Result<(), TrustError> {
        let stored = load(&self.store, SNAPSHOT)?;
        if stored.is_some_and(|bytes| self.set.update_snapshot(&bytes, now).is_ok()) {
            return Ok(());
        }
        let pin = self.set.snapshot_pin()?;
        let name = self.set.file_name(Role::Snapshot.as_str(), pin.version);
        let bytes = pinned(source, &name, pin, self.limits.snapshot).await?;
        let mut set = self.set.clone();
        set.update_snapshot(&bytes, now)?;
        let versions = snapshot_versions(&bytes)?;
        self.refuse_below_floor(&versions)?;
        save(&mut self.store, SNAPSHOT, &bytes)?;
        self.set = set;
        self.floor = versions;
        Ok(())
    }

    /// Targets (TUF 5.6): the stored ones where the snapshot still names them, else the server's.
    async fn refresh_targets(
        &mut self,
        source: &impl MetadataSource,
        now: Timestamp,
    ) -> Result<(), TrustError> {
        let stored = load(&self.store, TARGETS)?;
        if stored.is_some_and(|bytes| self.set.update_targets(&bytes, now).is_ok()) {
            return Ok(());
        }
        let pin = self.set.targets_pin()?;
        let name = self.set.file_name(Role::Targets.as_str(), pin.version);
        let bytes = pinned(source, &name, pin, self.limits.targets).await?;
        let mut set = self.set.clone();
        set.update_targets(&bytes, now)?;
        if let Some(role) = set.field_of(Role::Targets.as_str(), DELEGATED_ROLE) {
            let reason = format!("it is the list of {role}, which doesn't sign for every model");
            return Err(malformed("the targets file", reason));
        }
        save(&mut self.store, TARGETS, &bytes)?;
        self.set = set;
        Ok(())
    }

    /// Refuses a snapshot that lacks a file or names an older one than the last snapshot did.
    fn refuse_below_floor(&self, offered: &BTreeMap<String, u64>) -> Result<(), TrustError> {
        for (file, trusted) in &self.floor {
            match offered.get(file) {
                None => {
                    return Err(TrustError::MixAndMatch {
                        reason: format!("the snapshot lacks {file}, which the one before it named"),
                    });
                }
                Some(offered) if offered < trusted => {
                    return Err(TrustError::Rollback {
                        role: Role::Targets,
                        trusted: *trusted,
                        offered: *offered,
                    });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// Takes apart what earlier agents kept in one file. The timestamp goes last: cut before, it is done again.
fn take_apart(store: &mut impl TrustStore) -> Result<(), TrustError> {
    if load(store, TIMESTAMP)?.is_some() {
        return Ok(());
    }
    let chain = load(store, CHAIN)?.and_then(|bytes| serde_json::from_slice::<Chain>(&bytes).ok());
    let Some(chain) = chain else {
        return Ok(());
    };
    save(store, TARGETS, chain.targets.as_bytes())?;
    save(store, SNAPSHOT, chain.snapshot.as_bytes())?;
    save(store, TIMESTAMP, chain.timestamp.as_bytes())
}

/// Returns the time to judge expiry by, on a device whose clock may be wrong or absent: the latest
/// of the program's build time, the last time that was trusted and the system clock.
#[must_use]
pub fn trusted_now(
    build_time: Timestamp,
    last_trusted: Option<Timestamp>,
    system: Timestamp,
) -> Timestamp {
    build_time
        .max(system)
        .max(last_trusted.unwrap_or(build_time))
}

pub(crate) fn load(store: &impl TrustStore, name: &str) -> Result<Option<Vec<u8>>, TrustError> {
    store.load(name).map_err(|source| TrustError::Store {
        name: name.to_owned(),
        source,
    })
}

pub(crate) fn save(
    store: &mut impl TrustStore,
    name: &str,
    bytes: &[u8],
) -> Result<(), TrustError> {
    store.save(name, bytes).map_err(|source| TrustError::Store {
        name: name.to_owned(),
        source,
    })
}
