//! The device's side: follows the TUF client workflow and says what may be installed.
//!
//! The store keeps two files. `root.json` is the latest verified root, saved after every step of a
//! rotation. `chain.json` holds timestamp, snapshot and targets together, saved once all three are
//! verified: a power cut, or a server that breaks off halfway, then never leaves a timestamp whose
//! snapshot is unknown, with which the memory of what targets were seen would be lost.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::malformed;
use crate::engine::{TrustedSet, verify_signed};
use crate::fetch::{Limits, fetch, pinned, required};
use crate::{Document, MetadataSource, Role, SignedArtifact, TrustError, TrustStore, Unfit};

const ROOT: &str = "root.json";
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
    store: S,
    limits: Limits,
    set: TrustedSet,
    chain: Option<Chain>,
    refreshed: bool,
}

/// Timestamp, snapshot and targets as they were fetched, belonging together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
        let chain = load(&store, CHAIN)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut verifier = Self {
            store,
            limits,
            set,
            chain,
            refreshed: false,
        };
        verifier.recall_chain()?;
        Ok(verifier)
    }

    /// Follows the server to its newest metadata, and keeps it if all of it is sound.
    ///
    /// On an error everything trusted before still is, but for roots: each that was verified is kept.
    pub async fn refresh(
        &mut self,
        source: &impl MetadataSource,
        now: Timestamp,
    ) -> Result<Trusted, TrustError> {
        self.refreshed = false;
        self.follow_root(source).await?;
        self.set.check_root_expired(now)?;

        let mut set = self.set.clone();
        let timestamp = self.newest_timestamp(&mut set, source, now).await?;
        let snapshot = self.pinned_snapshot(&mut set, source, now).await?;
        let targets = self.pinned_targets(&mut set, source, now).await?;

        let chain = Chain {
            timestamp,
            snapshot,
            targets,
        };
        if self.chain.as_ref() != Some(&chain) {
            let bytes =
                serde_json::to_vec(&chain).map_err(|error| malformed("the metadata", error))?;
            save(&mut self.store, CHAIN, &bytes)?;
            self.chain = Some(chain);
        }
        self.set = set;
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

    /// Returns the artifact that the server's decision names, if publishers signed it for this model
    /// and its release counter is not lower than the installed one (0 where nothing is installed).
    ///
    /// Needs a [`refresh`](Self::refresh) whose metadata has not expired at `now`.
    pub fn artifact(
        &self,
        name: &str,
        model: &str,
        installed_counter: u64,
        now: Timestamp,
    ) -> Result<SignedArtifact, TrustError> {
        self.trusted(now)?;
        let Some(target) = self.set.target(name) else {
            return Err(TrustError::WrongSoftware {
                name: name.to_owned(),
                why: Unfit::NotSigned,
            });
        };
        let artifact = SignedArtifact::from_target(name, &target)?;
        artifact.fits(model, installed_counter)?;
        Ok(artifact)
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
        self.recall_chain()?;
        Ok(true)
    }

    /// Takes what was trusted before as the floor under what may be trusted next.
    ///
    /// After a rotation of the server's keys it no longer verifies, and is forgotten: so a stolen
    /// server that ran the versions up is recovered from (TUF 5.3.11). Both files go, whichever key
    /// was rotated. Expiry does not matter: a floor holds for ever.
    fn recall_chain(&mut self) -> Result<(), TrustError> {
        let Some(chain) = &self.chain else {
            return Ok(());
        };
        let mut set = TrustedSet::from_root(self.set.root_bytes())?;
        let whenever = Timestamp::MIN;
        let recalled = set
            .update_timestamp(chain.timestamp.as_bytes(), whenever)
            .and_then(|_| set.update_snapshot(chain.snapshot.as_bytes(), whenever));
        if recalled.is_ok() {
            self.set = set;
        }
        Ok(())
    }

    /// Timestamp (TUF 5.4). One of the trusted version changes nothing and is dropped.
    async fn newest_timestamp(
        &self,
        set: &mut TrustedSet,
        source: &impl MetadataSource,
        now: Timestamp,
    ) -> Result<String, TrustError> {
        let name = Role::Timestamp.file_name(0);
        let bytes = required(source, &name, self.limits.timestamp).await?;
        if set.update_timestamp(&bytes, now)? {
            return text(&name, bytes);
        }
        let chain = self.chain.as_ref().ok_or(TrustError::NotRefreshed)?;
        Ok(chain.timestamp.clone())
    }

    /// Snapshot (TUF 5.5): the stored one where the timestamp still names it, else the server's.
    async fn pinned_snapshot(
        &self,
        set: &mut TrustedSet,
        source: &impl MetadataSource,
        now: Timestamp,
    ) -> Result<String, TrustError> {
        if let Some(Chain { snapshot, .. }) = &self.chain
            && set.update_snapshot(snapshot.as_bytes(), now).is_ok()
        {
            return Ok(snapshot.clone());
        }
        let pin = set.snapshot_pin()?;
        let (name, bytes) = pinned(source, Role::Snapshot, pin, self.limits.snapshot).await?;
        set.update_snapshot(&bytes, now)?;
        text(&name, bytes)
    }

    /// Targets (TUF 5.6): the stored ones where the snapshot still names them, else the server's.
    async fn pinned_targets(
        &self,
        set: &mut TrustedSet,
        source: &impl MetadataSource,
        now: Timestamp,
    ) -> Result<String, TrustError> {
        if let Some(Chain { targets, .. }) = &self.chain
            && set.update_targets(targets.as_bytes(), now).is_ok()
        {
            return Ok(targets.clone());
        }
        let pin = set.targets_pin()?;
        self.refuse_older_targets(pin.version)?;
        let (name, bytes) = pinned(source, Role::Targets, pin, self.limits.targets).await?;
        set.update_targets(&bytes, now)?;
        text(&name, bytes)
    }

    /// Targets that publishers signed stay the floor while their keys stand, even where the server's
    /// keys, and with them the snapshot that remembered it, were rotated.
    fn refuse_older_targets(&self, offered: u64) -> Result<(), TrustError> {
        let Some(Chain { targets, .. }) = &self.chain else {
            return Ok(());
        };
        let root = self.set.root_bytes();
        if verify_signed(root, Role::Targets, targets.as_bytes()).is_err() {
            return Ok(());
        }
        let trusted = Document::parse(targets.as_bytes())?.version()?;
        if offered < trusted {
            return Err(TrustError::Rollback {
                role: Role::Targets,
                trusted,
                offered,
            });
        }
        Ok(())
    }
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

fn text(name: &str, bytes: Vec<u8>) -> Result<String, TrustError> {
    String::from_utf8(bytes).map_err(|error| malformed(name, error))
}

fn load(store: &impl TrustStore, name: &str) -> Result<Option<Vec<u8>>, TrustError> {
    store.load(name).map_err(|source| TrustError::Store {
        name: name.to_owned(),
        source,
    })
}

fn save(store: &mut impl TrustStore, name: &str, bytes: &[u8]) -> Result<(), TrustError> {
    store.save(name, bytes).map_err(|source| TrustError::Store {
        name: name.to_owned(),
        source,
    })
}
