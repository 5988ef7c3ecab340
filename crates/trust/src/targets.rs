//! The list of signed artifacts, while a publisher changes it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use otter_protocol::Sha256Digest;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use crate::document::{DELEGATED_ROLE, SPEC_VERSION, expiry, malformed, next_version};
use crate::{DelegatedRole, Delegations, Document, Role, SignedArtifact, TrustError};

/// Keeps the highest counter ever given, so that a withdrawn release's is not given again.
const LAST_COUNTER: &str = "x-otter-last-release-counter";

/// What must never be installed again, by SHA-256, with why: signed, so that no server can leave it out.
pub(crate) const WITHDRAWN: &str = "x-otter-withdrawn";

/// Whom publishers delegate to.
const DELEGATIONS: &str = "delegations";

/// The targets metadata in work: read it, add and withdraw, then [`finish`](Self::finish) and sign.
///
/// It is the publishers' own list, or a delegated role's. There an artifact stands once for each of its models, under names
/// that only a role to which the model was given may sign; here it is one, whatever the list.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetsDocument {
    fields: Map<String, Value>,
    version: u64,
    role: Option<DelegatedRole>,
}

impl TargetsDocument {
    /// Begins with no artifact; its first finished version is 1.
    #[must_use]
    pub fn new() -> Self {
        let mut fields = Map::new();
        fields.insert("targets".to_owned(), json!({}));
        Self {
            fields,
            version: 0,
            role: None,
        }
    }

    /// Begins the list of a delegated role.
    #[must_use]
    pub fn delegated(role: DelegatedRole) -> Self {
        let mut list = Self::new();
        list.fields.insert(DELEGATED_ROLE.to_owned(), json!(role));
        list.role = Some(role);
        list
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
        let list = Self {
            version: document.version()?,
            role: document.delegated_role()?,
            fields,
        };
        if list.role.is_some() && list.fields.contains_key(DELEGATIONS) {
            return Err(malformed(
                "the targets file",
                "a delegated role can't delegate further",
            ));
        }
        Ok(list)
    }

    /// Returns whose list it is; `None` for the publishers' own.
    #[must_use]
    pub const fn role(&self) -> Option<&DelegatedRole> {
        self.role.as_ref()
    }

    /// Returns whom the publishers delegate to.
    pub fn delegations(&self) -> Result<Delegations, TrustError> {
        Delegations::read(self.fields.get(DELEGATIONS))
    }

    /// Delegates to these roles from now on, and to no others.
    ///
    /// Check them against the root first ([`Delegations::check`]).
    pub fn set_delegations(&mut self, delegations: &Delegations) -> Result<(), TrustError> {
        if let Some(role) = &self.role {
            return Err(TrustError::Refused(format!(
                "{role} can't delegate further: only the publishers' own list can"
            )));
        }
        let fields = &mut self.fields;
        fields.insert(DELEGATIONS.to_owned(), delegations.to_value());
        Ok(())
    }

    /// Returns the version that was read; the finished one is the next.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Returns the artifacts, in the order of their names; fails on a target that is none of Otter's, and on a delegated
    /// role's artifact that isn't there for each of its models.
    pub fn artifacts(&self) -> Result<Vec<SignedArtifact>, TrustError> {
        if self.role.is_none() {
            let targets = self.targets();
            return targets
                .map(|(name, target)| SignedArtifact::from_target(name, target))
                .collect();
        }
        let mut all: BTreeMap<String, SignedArtifact> = BTreeMap::new();
        for (name, target) in self.targets() {
            let artifact = SignedArtifact::from_delegated_target(name, target)?;
            let targets = self.fields.get("targets");
            let differs = |own: &String| targets.and_then(|all| all.get(own)) != Some(target);
            if artifact.delegated_names().values().any(differs) {
                return Err(malformed(
                    &format!("target {name}"),
                    "it isn't there, or not the same, for each of its models",
                ));
            }
            all.insert(artifact.name(), artifact);
        }
        Ok(all.into_values().collect())
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
        if self.names_of(&name).next().is_some() {
            return Err(TrustError::Refused(format!(
                "{name} is signed already. Withdraw it first to sign it anew"
            )));
        }
        if self.withdrawn()?.contains_key(&artifact.sha256) {
            return Err(TrustError::Refused(format!(
                "the bytes of {name} were withdrawn, for good. Build others, and sign those"
            )));
        }
        self.insert(artifact)?;
        self.fields.insert(LAST_COUNTER.to_owned(), json!(last));
        Ok(())
    }

    /// Learns of a counter that another list gave: counters are the fleet's, whoever signs.
    pub fn know_counter(&mut self, given: u64) -> Result<(), TrustError> {
        let last = self.last_counter()?.max(given);
        if last > 0 {
            self.fields.insert(LAST_COUNTER.to_owned(), json!(last));
        }
        Ok(())
    }

    /// Returns the highest counter that this list knows of; 0 where none was given yet.
    pub fn last_counter(&self) -> Result<u64, TrustError> {
        let kept = self.fields.get(LAST_COUNTER).and_then(Value::as_u64);
        let artifacts = self.artifacts()?;
        let highest = artifacts
            .iter()
            .map(|artifact| artifact.facts.release_counter)
            .max();
        Ok(highest.max(kept).unwrap_or(0))
    }

    /// Takes off whatever isn't for these models alone: what a role that has fewer now can't sign any more. Returns the
    /// names.
    pub fn leave_only(&mut self, models: &BTreeSet<String>) -> Result<Vec<String>, TrustError> {
        let last = self.last_counter()?;
        let is_left = |artifact: &SignedArtifact| {
            let mut all = artifact.facts.models.iter();
            all.all(|model| models.contains(model))
        };
        let artifacts = self.artifacts()?;
        let gone: Vec<_> = artifacts.iter().filter(|one| !is_left(one)).collect();
        for artifact in &gone {
            let names: Vec<_> = self.names_of(&artifact.name()).cloned().collect();
            self.targets_mut()?.retain(|name, _| !names.contains(name));
        }
        self.know_counter(last)?;
        Ok(gone.into_iter().map(SignedArtifact::name).collect())
    }

    /// Takes over from a role that is delegated to no longer: the last counter, what it withdrew (but nothing that this list
    /// has), and, where it is wanted, its releases.
    pub fn take_over(&mut self, other: &Self, releases: bool) -> Result<(), TrustError> {
        self.know_counter(other.last_counter()?)?;
        let own: Vec<_> = self.artifacts()?;
        let mut withdrawn = self.withdrawn()?;
        for (sha256, reason) in other.withdrawn()? {
            if own.iter().all(|artifact| artifact.sha256 != sha256) {
                withdrawn.entry(sha256).or_insert(reason);
            }
        }
        let adopted = other.artifacts()?;
        for artifact in adopted.iter().filter(|_| releases) {
            if !withdrawn.contains_key(&artifact.sha256) {
                self.insert(artifact)?;
            }
        }
        if !withdrawn.is_empty() {
            self.fields.insert(WITHDRAWN.to_owned(), json!(withdrawn));
        }
        Ok(())
    }

    /// Withdraws an artifact by its target's name: no device installs these bytes any more, whatever names them.
    pub fn withdraw(&mut self, name: &str, reason: &str) -> Result<(), TrustError> {
        let last = self.last_counter()?;
        let Some(artifact) = self.artifact(name)? else {
            return Err(TrustError::Refused(format!(
                "{name} is not among the signed targets, so it cannot be withdrawn"
            )));
        };
        let names: Vec<_> = self.names_of(name).cloned().collect();
        let targets = self.targets_mut()?;
        targets.retain(|other, _| !names.contains(other));
        self.fields.insert(LAST_COUNTER.to_owned(), json!(last));
        let sha256 = artifact.sha256;
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
        let Some(mut artifact) = self.artifact(name)? else {
            return Err(TrustError::Refused(format!(
                "{name} is not among the signed targets. Publish it first"
            )));
        };
        artifact.facts.downgrade_permitted = permitted;
        self.insert(&artifact)
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

    /// Returns the artifact of this name, however many entries it has.
    fn artifact(&self, name: &str) -> Result<Option<SignedArtifact>, TrustError> {
        let mut all = self.artifacts()?.into_iter();
        Ok(all.find(|artifact| artifact.name() == name))
    }

    /// Returns the entries of an artifact, by its name without a model.
    fn names_of(&self, name: &str) -> impl Iterator<Item = &String> {
        let below_a_model = format!("/{name}");
        let own = name.to_owned();
        let is_its = move |entry: &&String| **entry == own || entry.ends_with(&below_a_model);
        self.targets().map(|(entry, _)| entry).filter(is_its)
    }

    /// Puts an artifact on the list, in the place of what is there of it.
    fn insert(&mut self, artifact: &SignedArtifact) -> Result<(), TrustError> {
        let names = match self.role {
            None => vec![artifact.name()],
            Some(_) => artifact.delegated_names().into_values().collect(),
        };
        let targets = self.targets_mut()?;
        for name in names {
            targets.insert(name, artifact.to_target());
        }
        Ok(())
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
mod tests;
