//! Verification, which is `sigstore-tuf`'s: the one file to change should another library do it.
//!
//! It passes the whole of the TUF conformance suite. What is ours is the wording of its errors.

use std::collections::BTreeMap;
use std::error::Error as _;

use jiff::Timestamp;
use serde_json::Value;
use sigstore_tuf::{Error, Metadata, TrustedMetadataSet};

use crate::delegated_role::encode;
use crate::document::malformed;
use crate::{Role, TrustError};

/// What one file says of the next in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) version: u64,
    /// Length in bytes, where it is pinned.
    pub(crate) length: Option<u64>,
}

/// The metadata that is trusted at present, and the rules by which newer replaces it.
#[derive(Debug, Clone)]
pub(crate) struct TrustedSet(TrustedMetadataSet);

impl TrustedSet {
    /// Starts from a root that is trusted as it is; it must be signed by its own keys.
    pub(crate) fn from_root(bytes: &[u8]) -> Result<Self, TrustError> {
        TrustedMetadataSet::from_root(bytes)
            .map(Self)
            .map_err(|error| translate(Role::Root, error))
    }

    pub(crate) fn root_bytes(&self) -> &[u8] {
        self.0.root_bytes()
    }

    pub(crate) fn root_version(&self) -> u64 {
        self.0.root().version
    }

    pub(crate) fn root_expires(&self) -> Timestamp {
        self.0.root().expires
    }

    /// Takes the next root: exactly one version up, signed by the old keys and the new.
    pub(crate) fn update_root(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        self.0
            .update_root(bytes)
            .map_err(|error| translate(Role::Root, error))
    }

    pub(crate) fn check_root_expired(&self, now: Timestamp) -> Result<(), TrustError> {
        self.0
            .check_root_expired(now)
            .map_err(|error| translate(Role::Root, error))
    }

    /// Takes a newer timestamp and returns `true`; `false` when its version is the trusted one.
    pub(crate) fn update_timestamp(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<bool, TrustError> {
        match self.0.update_timestamp(bytes, now) {
            Ok(()) => Ok(true),
            Err(Error::EqualVersion { .. }) => {
                self.0
                    .check_timestamp_expired(now)
                    .map_err(|error| translate(Role::Timestamp, error))?;
                Ok(false)
            }
            Err(error) => Err(translate(Role::Timestamp, error)),
        }
    }

    pub(crate) fn update_snapshot(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), TrustError> {
        self.0
            .update_snapshot(bytes, now)
            .map_err(|error| translate(Role::Snapshot, error))
    }

    pub(crate) fn update_targets(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), TrustError> {
        self.0
            .update_targets(bytes, now)
            .map(|_| ())
            .map_err(|error| translate(Role::Targets, error))
    }

    /// Returns what the timestamp says of the snapshot.
    pub(crate) fn snapshot_pin(&self) -> Result<Pin, TrustError> {
        self.0
            .timestamp()
            .and_then(|timestamp| timestamp.snapshot_meta())
            .map(pin)
            .ok_or_else(|| malformed("the timestamp", "it names no snapshot"))
    }

    /// Returns what the snapshot says of targets.
    pub(crate) fn targets_pin(&self) -> Result<Pin, TrustError> {
        self.0
            .snapshot()
            .and_then(|snapshot| snapshot.meta.get("targets.json"))
            .map(pin)
            .ok_or_else(|| malformed("the snapshot", "it names no targets"))
    }

    pub(crate) fn timestamp(&self) -> Option<(u64, Timestamp)> {
        self.0.timestamp().map(|meta| (meta.version, meta.expires))
    }

    pub(crate) fn snapshot(&self) -> Option<(u64, Timestamp)> {
        self.0.snapshot().map(|meta| (meta.version, meta.expires))
    }

    pub(crate) fn targets(&self) -> Option<(u64, Timestamp)> {
        self.0
            .targets_role("targets")
            .map(|meta| (meta.version, meta.expires))
    }

    /// Returns a file's name on the server: with its version, where the root has consistent snapshots.
    pub(crate) fn file_name(&self, role: &str, version: u64) -> String {
        let role = encode(role);
        if self.0.root().consistent_snapshot {
            format!("{version}.{role}.json")
        } else {
            format!("{role}.json")
        }
    }

    /// Returns whether files are named by what is in them.
    pub(crate) fn has_consistent_snapshots(&self) -> bool {
        self.0.root().consistent_snapshot
    }

    /// Returns what the snapshot says of a delegated role, where it names it.
    pub(crate) fn delegated_pin(&self, role: &str) -> Option<Pin> {
        let file = format!("{role}.json");
        self.0.snapshot()?.meta.get(&file).map(pin)
    }

    /// Returns whether a targets role was loaded since the snapshot changed.
    pub(crate) fn has_role(&self, role: &str) -> bool {
        self.0.targets_role(role).is_some()
    }

    /// Takes a delegated role's file, signed by the keys that its delegator names.
    pub(crate) fn update_delegated(
        &mut self,
        bytes: &[u8],
        (role, delegator): (&str, &str),
        now: Timestamp,
    ) -> Result<(), TrustError> {
        self.0
            .update_delegated_targets(bytes, role, delegator, now)
            .map(|_| ())
            .map_err(|error| translate(Role::Targets, error))
    }

    /// Checks that a role that is loaded is also what this delegator delegates to.
    pub(crate) fn check_delegated(
        &self,
        (role, delegator): (&str, &str),
        now: Timestamp,
    ) -> Result<(), TrustError> {
        self.0
            .verify_delegated_targets(role, delegator, now)
            .map(|_| ())
            .map_err(|error| translate(Role::Targets, error))
    }

    /// Returns the roles that a role delegates this target to, in order, and whether the last of them ends the search.
    pub(crate) fn delegations(
        &self,
        role: &str,
        target: &str,
    ) -> Result<(Vec<String>, bool), TrustError> {
        let mut roles = Vec::new();
        let delegations = self
            .0
            .targets_role(role)
            .and_then(|role| role.delegations.as_ref());
        for child in delegations.into_iter().flat_map(|all| &all.roles) {
            // Its file would stand where a top-level role's stands.
            if child.name.parse::<Role>().is_ok() {
                continue;
            }
            let matches = child.matches_path(target);
            if matches.map_err(|error| translate(Role::Targets, error))? {
                roles.push(child.name.clone());
                if child.terminating {
                    return Ok((roles, true));
                }
            }
        }
        Ok((roles, false))
    }

    /// Returns a field of a trusted role that TUF doesn't know.
    pub(crate) fn field_of(&self, role: &str, name: &str) -> Option<&Value> {
        self.0.targets_role(role)?.extra.get(name)
    }

    /// Returns a target of a trusted role by its name.
    pub(crate) fn target_of(&self, role: &str, name: &str) -> Option<Value> {
        serde_json::to_value(self.0.targets_role(role)?.target(name)?).ok()
    }

    /// Returns whether the trusted targets delegate this target to a role, first of all.
    pub(crate) fn is_delegated(&self, role: &str, target: &str) -> Result<bool, TrustError> {
        let (roles, _) = self.delegations(Role::Targets.as_str(), target)?;
        Ok(roles.first().is_some_and(|first| first == role))
    }

    /// Returns a target of the trusted targets by its name.
    pub(crate) fn target(&self, name: &str) -> Option<Value> {
        self.target_of("targets", name)
    }
}

/// Checks one file by itself: signed for `role` by a threshold of `root`'s keys.
///
/// Says nothing of its version or expiry.
pub(crate) fn verify_signed(root: &[u8], role: Role, bytes: &[u8]) -> Result<(), TrustError> {
    let root = Metadata::<sigstore_tuf::Root>::from_slice(root)
        .map_err(|error| translate(Role::Root, error))?
        .into_signed();
    let keys = root
        .role(role.as_str())
        .ok_or_else(|| malformed("the root", format!("it lacks the role {role}")))?;
    macro_rules! verify {
        ($kind:ident) => {
            Metadata::<sigstore_tuf::$kind>::from_slice(bytes)
                .and_then(|file| file.verify_threshold(&root.keys, keys, role.as_str()))
        };
    }
    match role {
        Role::Root => verify!(Root),
        Role::Targets => verify!(Targets),
        Role::Snapshot => verify!(Snapshot),
        Role::Timestamp => verify!(Timestamp),
    }
    .map_err(|error| translate(role, error))
}

/// Checks one file by itself: signed for `role` by a threshold of the keys that these targets name for it.
///
/// Says nothing of its version or expiry, nor of who signed the targets.
pub(crate) fn verify_delegated_signed(
    targets: &[u8],
    role: &str,
    bytes: &[u8],
) -> Result<(), TrustError> {
    let targets = Metadata::<sigstore_tuf::Targets>::from_slice(targets)
        .map_err(|error| translate(Role::Targets, error))?
        .into_signed();
    let found = targets.delegations.as_ref().and_then(|all| {
        let role = all.roles.iter().find(|one| one.name == role)?;
        Some((&all.keys, role))
    });
    let Some((keys, delegated)) = found else {
        return Err(TrustError::Refused(format!(
            "nothing is delegated to {role}. Whoever holds the targets keys does so with `otter trust delegate {role}`"
        )));
    };
    Metadata::<sigstore_tuf::Targets>::from_slice(bytes)
        .and_then(|file| file.verify_threshold(keys, &delegated.role_keys(), role))
        .map_err(|error| translate(Role::Targets, error))
}

/// Returns the versions that a snapshot names, by file.
pub(crate) fn snapshot_versions(bytes: &[u8]) -> Result<BTreeMap<String, u64>, TrustError> {
    let snapshot = Metadata::<sigstore_tuf::Snapshot>::from_slice(bytes)
        .map_err(|error| translate(Role::Snapshot, error))?;
    let meta = snapshot.into_signed().meta;
    Ok(meta
        .into_iter()
        .map(|(file, meta)| (file, meta.version))
        .collect())
}

fn pin(meta: &sigstore_tuf::MetaFile) -> Pin {
    Pin {
        version: meta.version,
        length: meta.length,
    }
}

/// Gives the library's errors the names of the attacks.
fn translate(role: Role, error: Error) -> TrustError {
    match error {
        Error::Rollback {
            role: name,
            trusted,
            new,
        } => TrustError::Rollback {
            role: rolled_back(&name).unwrap_or(role),
            trusted,
            offered: new,
        },
        Error::BadRootVersion { trusted, new } if new > trusted => TrustError::FastForward {
            role: Role::Root,
            trusted,
            offered: new,
        },
        Error::BadRootVersion { trusted, new } => TrustError::Rollback {
            role: Role::Root,
            trusted,
            offered: new,
        },
        Error::Expired {
            role: name,
            expires,
        } => TrustError::Freeze {
            role: name.parse().unwrap_or(role),
            expires,
        },
        Error::IntegrityMismatch(reason) => TrustError::MixAndMatch { reason },
        Error::ThresholdNotMet {
            found, threshold, ..
        } => TrustError::TooFewSignatures {
            role,
            found,
            needed: threshold,
        },
        other => {
            let mut reason = other.to_string();
            let mut cause = other.source();
            while let Some(error) = cause {
                reason = format!("{reason}: {error}");
                cause = error.source();
            }
            malformed(&format!("{role} metadata"), reason)
        }
    }
}

/// The library says "snapshot (via timestamp)", and "targets.json (via snapshot)" or a delegated role's file.
fn rolled_back(name: &str) -> Option<Role> {
    let file = name.split(' ').next()?;
    match file.strip_suffix(".json") {
        Some(role) => Some(role.parse().unwrap_or(Role::Targets)),
        None => file.parse().ok(),
    }
}
