//! The list of signed artifacts, while a publisher changes it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use otter_protocol::Sha256Digest;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use crate::document::{SPEC_VERSION, expiry, malformed, next_version};
use crate::{Document, Role, SignedArtifact, TrustError};

/// Keeps the highest counter ever given, so that a withdrawn release's is not given again.
const LAST_COUNTER: &str = "x-otter-last-release-counter";

/// What must never be installed again, by SHA-256, with why: signed, so that no server can leave it out.
pub(crate) const WITHDRAWN: &str = "x-otter-withdrawn";

/// The targets metadata in work: read it, add and withdraw, then [`finish`](Self::finish) and sign.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetsDocument {
    fields: Map<String, Value>,
    version: u64,
}

impl TargetsDocument {
    /// Begins with no artifact; its first finished version is 1.
    #[must_use]
    pub fn new() -> Self {
        let mut fields = Map::new();
        fields.insert("targets".to_owned(), json!({}));
        Self { fields, version: 0 }
    }

    /// Reads a targets file; checks its form, not its signatures.
    ///
    /// Verify it with [`verify_targets`](crate::verify_targets) before building on what a server sent.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let document = Document::parse(bytes)?;
        if document.role()? != Role::Targets {
            return Err(malformed(
                "the targets file",
                "it is metadata of another role",
            ));
        }
        let fields = document.signed().as_object().cloned().unwrap_or_default();
        if !fields.get("targets").is_some_and(Value::is_object) {
            return Err(malformed("the targets file", "it has no `targets`"));
        }
        Ok(Self {
            version: document.version()?,
            fields,
        })
    }

    /// Returns the version that was read; the finished one is the next.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Returns the artifacts, in the order of their names; fails on a target that is none of Otter's.
    pub fn artifacts(&self) -> Result<Vec<SignedArtifact>, TrustError> {
        self.targets()
            .map(|(name, target)| SignedArtifact::from_target(name, target))
            .collect()
    }

    /// Returns the counter for the next release: one more than the highest ever given.
    pub fn next_release_counter(&self) -> Result<u64, TrustError> {
        self.last_counter()?
            .checked_add(1)
            .ok_or_else(|| TrustError::Refused("the release counter is used up".to_owned()))
    }

    /// Adds an artifact; refuses one that is there already, and a counter that skips.
    ///
    /// The artifacts of one release share [`next_release_counter`](Self::next_release_counter),
    /// asked for once before the first is added.
    pub fn add(&mut self, artifact: &SignedArtifact) -> Result<(), TrustError> {
        artifact.check()?;
        let counter = artifact.facts.release_counter;
        if counter > self.next_release_counter()? {
            return Err(TrustError::Refused(format!(
                "release counter {counter} skips {}. Counters go up by one",
                self.next_release_counter()?
            )));
        }
        let last = self.last_counter()?.max(counter);
        let name = artifact.name();
        if self.targets().any(|(other, _)| *other == name) {
            return Err(TrustError::Refused(format!(
                "{name} is signed already. Withdraw it first to sign it anew"
            )));
        }
        if self.withdrawn()?.contains_key(&artifact.sha256) {
            return Err(TrustError::Refused(format!(
                "the bytes of {name} were withdrawn, for good. Build others, and sign those"
            )));
        }
        self.targets_mut()?.insert(name, artifact.to_target());
        self.fields.insert(LAST_COUNTER.to_owned(), json!(last));
        Ok(())
    }

    /// Withdraws an artifact by its target's name: no device installs these bytes any more, whatever names them.
    pub fn withdraw(&mut self, name: &str, reason: &str) -> Result<(), TrustError> {
        let last = self.last_counter()?;
        let Some(target) = self.targets_mut()?.remove(name) else {
            return Err(TrustError::Refused(format!(
                "{name} is not among the signed targets, so it cannot be withdrawn"
            )));
        };
        self.fields.insert(LAST_COUNTER.to_owned(), json!(last));
        let sha256 = SignedArtifact::from_target(name, &target)?.sha256;
        let mut withdrawn = self.withdrawn()?;
        withdrawn.insert(sha256, reason.to_owned());
        self.fields.insert(WITHDRAWN.to_owned(), json!(withdrawn));
        Ok(())
    }

    /// Returns what was withdrawn, and why.
    pub fn withdrawn(&self) -> Result<BTreeMap<Sha256Digest, String>, TrustError> {
        withdrawn(self.fields.get(WITHDRAWN))
    }

    /// Permits, or no longer permits, that devices go back to this artifact from a newer release.
    pub fn permit_downgrade(&mut self, name: &str, permitted: bool) -> Result<(), TrustError> {
        let targets = self.targets_mut()?;
        let Some(target) = targets.get_mut(name) else {
            return Err(TrustError::Refused(format!(
                "{name} is not among the signed targets. Publish it first"
            )));
        };
        let mut artifact = SignedArtifact::from_target(name, target)?;
        artifact.facts.downgrade_permitted = permitted;
        *target = artifact.to_target();
        Ok(())
    }

    /// Makes the next version, unsigned, with `life` from `now`.
    pub fn finish(&self, now: Timestamp, life: SignedDuration) -> Result<Document, TrustError> {
        let mut fields = self.fields.clone();
        let version = next_version(self.version, Role::Targets)?;
        fields.insert("_type".to_owned(), json!(Role::Targets));
        fields.insert("spec_version".to_owned(), json!(SPEC_VERSION));
        fields.insert("version".to_owned(), json!(version));
        fields.insert("expires".to_owned(), json!(expiry(now, life)?));
        Ok(Document::unsigned(Value::Object(fields)))
    }

    fn targets(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.fields
            .get("targets")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
    }

    fn targets_mut(&mut self) -> Result<&mut Map<String, Value>, TrustError> {
        self.fields
            .get_mut("targets")
            .and_then(Value::as_object_mut)
            .ok_or_else(|| malformed("the targets file", "it has no `targets`"))
    }

    fn last_counter(&self) -> Result<u64, TrustError> {
        let kept = self.fields.get(LAST_COUNTER).and_then(Value::as_u64);
        let artifacts = self.artifacts()?;
        let highest = artifacts
            .iter()
            .map(|artifact| artifact.facts.release_counter)
            .max();
        Ok(highest.max(kept).unwrap_or(0))
    }
}

/// Reads a list of what was withdrawn; none is an empty one.
pub(crate) fn withdrawn(
    list: Option<&Value>,
) -> Result<BTreeMap<Sha256Digest, String>, TrustError> {
    match list {
        None => Ok(BTreeMap::new()),
        Some(list) => BTreeMap::deserialize(list)
            .map_err(|error| malformed("the list of withdrawn artifacts", error)),
    }
}

impl Default for TargetsDocument {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use otter_protocol::{ArtifactKind, Sha256Digest};

    use super::*;
    use crate::ArtifactFacts;

    const LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);

    fn artifact(counter: u64, byte: u8) -> SignedArtifact {
        SignedArtifact {
            sha256: Sha256Digest([byte; 32]),
            length: 1,
            facts: ArtifactFacts {
                models: vec!["rpi4".to_owned()],
                version: format!("1.{counter}.0"),
                release_counter: counter,
                min_version: None,
                min_bootloader_version: None,
                kind: ArtifactKind::Image,
                required: false,
                notes: String::new(),
                downgrade_permitted: false,
            },
        }
    }

    fn reread(targets: &TargetsDocument) -> TargetsDocument {
        let document = targets.finish(Timestamp::UNIX_EPOCH, LIFE).unwrap();
        TargetsDocument::parse(&document.to_bytes().unwrap()).unwrap()
    }

    #[test]
    fn versions_and_counters_go_up_by_one() {
        let mut targets = TargetsDocument::new();
        assert_eq!(targets.next_release_counter().unwrap(), 1);
        targets.add(&artifact(1, 1)).unwrap();
        targets.add(&artifact(1, 2)).unwrap();
        let mut targets = reread(&targets);
        assert_eq!(targets.version(), 1);
        assert_eq!(targets.next_release_counter().unwrap(), 2);
        targets.add(&artifact(2, 1)).unwrap();
        let targets = reread(&targets);
        assert_eq!(targets.version(), 2);
        let counters: Vec<_> = targets.artifacts().unwrap();
        assert_eq!(counters, [artifact(1, 1), artifact(1, 2), artifact(2, 1)]);
    }

    #[test]
    fn a_withdrawn_counter_is_not_given_again() {
        let mut targets = TargetsDocument::new();
        targets.add(&artifact(1, 1)).unwrap();
        targets.withdraw(&artifact(1, 1).name(), "").unwrap();
        let targets = reread(&targets);
        assert_eq!(targets.artifacts().unwrap(), []);
        assert_eq!(targets.next_release_counter().unwrap(), 2);
    }

    #[test]
    fn what_was_withdrawn_is_never_signed_again() {
        let mut targets = TargetsDocument::new();
        targets.add(&artifact(1, 1)).unwrap();
        targets
            .withdraw(&artifact(1, 1).name(), "it bites")
            .unwrap();
        let mut targets = reread(&targets);
        let list = targets.withdrawn().unwrap();
        assert_eq!(
            list.get(&artifact(1, 1).sha256).map(String::as_str),
            Some("it bites")
        );
        let error = targets.add(&artifact(2, 1)).unwrap_err().to_string();
        assert!(error.contains("were withdrawn"), "{error}");
        targets.add(&artifact(2, 2)).unwrap();
    }

    #[test]
    fn doubles_gaps_and_strangers_are_refused_and_change_nothing() {
        let mut targets = TargetsDocument::new();
        targets.add(&artifact(1, 1)).unwrap();
        let before = targets.clone();
        assert!(targets.add(&artifact(1, 1)).is_err());
        assert!(targets.add(&artifact(3, 1)).is_err());
        assert!(targets.add(&artifact(0, 1)).is_err());
        assert!(targets.withdraw("r9/none", "").is_err());
        assert!(targets.permit_downgrade("r9/none", true).is_err());
        assert_eq!(targets, before);
    }

    #[test]
    fn a_permission_to_downgrade_comes_and_goes() {
        let mut targets = TargetsDocument::new();
        targets.add(&artifact(1, 1)).unwrap();
        let name = artifact(1, 1).name();
        for permitted in [true, false] {
            targets.permit_downgrade(&name, permitted).unwrap();
            let [read] = &reread(&targets).artifacts().unwrap()[..] else {
                panic!("one artifact")
            };
            assert_eq!(read.facts.downgrade_permitted, permitted);
        }
    }

    #[test]
    fn what_a_newer_otter_wrote_is_kept() {
        let bytes = br#"{"signatures":[],"signed":{"_type":"targets","spec_version":"1.0.31",
            "version":4,"expires":"2030-01-01T00:00:00Z","targets":{},"x-new":{"a":1}}}"#;
        let document = TargetsDocument::parse(bytes)
            .unwrap()
            .finish(Timestamp::UNIX_EPOCH, LIFE)
            .unwrap();
        assert_eq!(document.signed()["x-new"]["a"], 1);
        assert_eq!(document.version().unwrap(), 5);
    }
}
