//! The root: which keys speak for which role, and how many of them it takes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::document::{SPEC_VERSION, expiry, malformed, next_version, whole_seconds};
use crate::{Document, PublicKey, Role, TrustError};

/// The keys of a role, and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleKeys {
    /// Keys that may sign.
    pub keys: Vec<PublicKey>,
    /// Signatures needed, from 1 to the number of keys.
    pub threshold: usize,
}

impl RoleKeys {
    /// Has `threshold` of `keys` sign.
    pub fn new(keys: impl Into<Vec<PublicKey>>, threshold: usize) -> Self {
        Self {
            keys: keys.into(),
            threshold,
        }
    }

    /// Returns whether the key may sign.
    #[must_use]
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.keys.contains(key)
    }
}

/// What a root says; made here, changed by its public fields, and signed as a [`Document`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Version, from 1; each is signed by the keys of the one before, too.
    pub version: u64,
    /// End of its life.
    pub expires: Timestamp,
    /// Publishers' keys for the root itself.
    pub root: RoleKeys,
    /// Publishers' keys for targets.
    pub targets: RoleKeys,
    /// The server's keys for snapshots.
    pub snapshot: RoleKeys,
    /// The server's keys for timestamps.
    pub timestamp: RoleKeys,
}

#[derive(Deserialize)]
struct RootFields {
    version: u64,
    expires: Timestamp,
    #[serde(default)]
    consistent_snapshot: bool,
    keys: BTreeMap<String, PublicKey>,
    roles: BTreeMap<String, RoleFields>,
}

#[derive(Deserialize)]
struct RoleFields {
    keyids: Vec<String>,
    threshold: usize,
}

impl Root {
    /// Reads a root file; checks what it says, not its signatures.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        Self::from_document(&Document::parse(bytes)?)
    }

    /// Reads what a root document says.
    pub fn from_document(document: &Document) -> Result<Self, TrustError> {
        if document.role()? != Role::Root {
            return Err(malformed("the root", "it is metadata of another role"));
        }
        let fields = RootFields::deserialize(document.signed())
            .map_err(|error| malformed("the root", error))?;
        if !fields.consistent_snapshot {
            return Err(malformed(
                "the root",
                "it has no consistent snapshots, so that files could change while they are read",
            ));
        }
        let role = |role: Role| {
            let missing = |id: &str| malformed("the root", format!("it lacks {id}"));
            let binding = fields
                .roles
                .get(role.as_str())
                .ok_or_else(|| missing(&format!("the role {role}")))?;
            let keys = binding
                .keyids
                .iter()
                .map(|id| fields.keys.get(id).copied().ok_or_else(|| missing(id)))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(RoleKeys::new(keys, binding.threshold))
        };
        let root = Self {
            version: fields.version,
            expires: fields.expires,
            root: role(Role::Root)?,
            targets: role(Role::Targets)?,
            snapshot: role(Role::Snapshot)?,
            timestamp: role(Role::Timestamp)?,
        };
        root.check()?;
        Ok(root)
    }

    /// Returns the keys of a role.
    #[must_use]
    pub const fn role(&self, role: Role) -> &RoleKeys {
        match role {
            Role::Root => &self.root,
            Role::Targets => &self.targets,
            Role::Snapshot => &self.snapshot,
            Role::Timestamp => &self.timestamp,
        }
    }

    /// Begins the next version, with the same keys and `life` from `now`.
    ///
    /// Change its keys, and have it signed by a threshold of the old root keys and of the new.
    pub fn next(&self, now: Timestamp, life: SignedDuration) -> Result<Self, TrustError> {
        Ok(Self {
            version: next_version(self.version, Role::Root)?,
            expires: expiry(now, life)?,
            ..self.clone()
        })
    }

    /// Writes the root as a document to sign.
    ///
    /// Fails where a threshold cannot be met or an online key has an offline role.
    pub fn to_document(&self) -> Result<Document, TrustError> {
        self.check()?;
        let mut keys = serde_json::Map::new();
        let mut roles = serde_json::Map::new();
        for role in Role::ALL {
            let binding = self.role(role);
            let ids: Vec<_> = binding.keys.iter().map(PublicKey::key_id).collect();
            for (id, key) in ids.iter().zip(&binding.keys) {
                keys.insert(id.clone(), key.to_tuf());
            }
            roles.insert(
                role.to_string(),
                json!({ "keyids": ids, "threshold": binding.threshold }),
            );
        }
        Ok(Document::unsigned(json!({
            "_type": Role::Root,
            "spec_version": SPEC_VERSION,
            "version": self.version,
            "expires": whole_seconds(self.expires),
            "consistent_snapshot": true,
            "keys": Value::Object(keys),
            "roles": Value::Object(roles),
        })))
    }

    fn check(&self) -> Result<(), TrustError> {
        let refused = |reason: String| Err(malformed("the root", reason));
        if self.version == 0 {
            return refused("its version is 0; versions start at 1".to_owned());
        }
        for role in Role::ALL {
            let RoleKeys { keys, threshold } = self.role(role);
            let distinct: BTreeSet<_> = keys.iter().collect();
            if distinct.len() != keys.len() {
                return refused(format!("a key of {role} is named twice"));
            }
            if *threshold == 0 || *threshold > keys.len() {
                return refused(format!(
                    "{role} asks for {threshold} signatures of {} keys",
                    keys.len()
                ));
            }
        }
        let offline = self.root.keys.iter().chain(&self.targets.keys);
        let mut online = self.snapshot.keys.iter().chain(&self.timestamp.keys);
        let offline: BTreeSet<_> = offline.collect();
        if let Some(key) = online.find(|key| offline.contains(key)) {
            return refused(format!(
                "key {} is the server's and a publisher's at once, so that a stolen server could \
                 sign software",
                key.key_id()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed(&[seed; 32]).public()
    }

    fn root() -> Root {
        Root {
            version: 1,
            expires: "2030-01-01T00:00:00.5Z".parse().unwrap(),
            root: RoleKeys::new([key(1), key(2), key(3)], 2),
            targets: RoleKeys::new([key(4), key(1)], 1),
            snapshot: RoleKeys::new([key(5)], 1),
            timestamp: RoleKeys::new([key(6)], 1),
        }
    }

    #[test]
    fn document_round_trips() {
        let document = root().to_document().unwrap();
        assert_eq!(document.signed()["expires"], "2030-01-01T00:00:00Z");
        let read = Root::parse(&document.to_bytes().unwrap()).unwrap();
        let expires = whole_seconds(root().expires);
        assert_eq!(read, Root { expires, ..root() });
    }

    #[test]
    fn next_goes_one_up_and_keeps_the_keys() {
        let now = "2029-01-01T00:00:00Z".parse().unwrap();
        let next = root().next(now, SignedDuration::from_hours(24)).unwrap();
        assert_eq!(next.version, 2);
        assert_eq!(next.root, root().root);
        assert_eq!(next.expires, "2029-01-02T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn roots_that_cannot_work_are_refused() {
        let mut never_met = root();
        never_met.root.threshold = 4;
        let mut met_by_nobody = root();
        met_by_nobody.targets.threshold = 0;
        let mut twice = root();
        twice.root.keys = vec![key(1), key(1)];
        let mut no_version = root();
        no_version.version = 0;
        for root in [never_met, met_by_nobody, twice, no_version] {
            assert!(root.to_document().is_err(), "{root:?}");
        }
    }

    #[test]
    fn an_online_key_is_kept_out_of_offline_roles() {
        for role in [Role::Root, Role::Targets] {
            let mut root = root();
            match role {
                Role::Root => root.root.keys.push(key(5)),
                _ => root.targets.keys.push(key(6)),
            }
            let error = root.to_document().unwrap_err().to_string();
            assert!(error.contains("stolen server"), "{error}");
        }
    }
}
