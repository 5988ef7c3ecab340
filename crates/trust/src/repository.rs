//! Checks of what publishers sign, for the server before it publishes and for publishers before they send.

use std::collections::BTreeMap;

use jiff::Timestamp;
use otter_protocol::Sha256Digest;

use crate::document::malformed;
use crate::engine::{TrustedSet, verify_delegated_signed, verify_signed};
use crate::{
    DelegatedRole, Delegation, Document, Role, RoleKeys, Root, SignedArtifact, TargetsDocument,
    TrustError, Unfit,
};

/// Targets whose signatures and life were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedTargets {
    /// Version of the targets metadata.
    pub version: u64,
    /// End of its life.
    pub expires: Timestamp,
    /// Artifacts that may be installed, in the order of their names.
    pub artifacts: Vec<SignedArtifact>,
    /// What was withdrawn, and why.
    pub withdrawn: BTreeMap<Sha256Digest, String>,
    /// Ids of the keys whose signatures are valid.
    pub signed_by: Vec<String>,
}

impl VerifiedTargets {
    /// Returns the artifact of this target name.
    #[must_use]
    pub fn artifact(&self, name: &str) -> Option<&SignedArtifact> {
        self.artifacts
            .iter()
            .find(|artifact| artifact.name() == name)
    }
}

/// Verifies targets against a root: signatures to the threshold, life, and every artifact's facts.
pub fn verify_targets(
    root: &[u8],
    targets: &[u8],
    now: Timestamp,
) -> Result<VerifiedTargets, TrustError> {
    TrustedSet::from_root(root)?.check_root_expired(now)?;
    verify_signed(root, Role::Targets, targets)?;
    let document = Document::parse(targets)?;
    if let Some(role) = document.delegated_role()? {
        return Err(malformed("the targets file", format!("it is {role}'s")));
    }
    TargetsDocument::parse(targets)?.delegations()?;
    verified(&document, &Root::parse(root)?.targets, now)
}

/// Verifies a delegated role's list against targets that were verified: signatures to the threshold, life, every
/// artifact's facts, and that the role was given every model that it signs for.
pub fn verify_delegated(
    targets: &[u8],
    role: &DelegatedRole,
    list: &[u8],
    now: Timestamp,
) -> Result<VerifiedTargets, TrustError> {
    verify_delegated_list(targets, role, list, now)
        .map_err(|error| error.on_the_list_of(role.as_str()))
}

fn verify_delegated_list(
    targets: &[u8],
    role: &DelegatedRole,
    list: &[u8],
    now: Timestamp,
) -> Result<VerifiedTargets, TrustError> {
    verify_delegated_signed(targets, role.as_str(), list)?;
    let delegations = TargetsDocument::parse(targets)?.delegations()?;
    let delegation = delegations
        .get(role)
        .ok_or_else(|| malformed("the targets file", format!("it doesn't name {role}")))?;
    let document = Document::parse(list)?;
    match document.delegated_role()? {
        Some(named) if named == *role => {}
        Some(named) => return Err(malformed("the list", format!("it is {named}'s"))),
        None => return Err(malformed("the list", "it doesn't say whose it is")),
    }
    let verified = verified(&document, &delegation.keys, now)?;
    for artifact in &verified.artifacts {
        delegation.check_models(role, artifact)?;
    }
    Ok(verified)
}

/// Reads a list whose signatures were verified, and judges its life.
fn verified(
    document: &Document,
    keys: &RoleKeys,
    now: Timestamp,
) -> Result<VerifiedTargets, TrustError> {
    let expires = document.expires()?;
    if expires < now {
        let role = Role::Targets;
        return Err(TrustError::Freeze { role, expires });
    }
    let list = TargetsDocument::parse(&document.to_bytes()?)?;
    Ok(VerifiedTargets {
        version: document.version()?,
        expires,
        artifacts: list.artifacts()?,
        withdrawn: list.withdrawn()?,
        signed_by: SigningStatus::of(keys, document).valid,
    })
}

impl Delegation {
    /// Fails where an artifact fits a model that the role wasn't given.
    pub fn check_models(
        &self,
        role: &DelegatedRole,
        artifact: &SignedArtifact,
    ) -> Result<(), TrustError> {
        let mut models = artifact.facts.models.iter();
        match models.find(|model| !self.models.contains(*model)) {
            None => Ok(()),
            Some(model) => Err(TrustError::WrongSoftware {
                name: artifact.name(),
                why: Unfit::NotDelegated {
                    role: role.to_string(),
                    model: model.clone(),
                },
            }),
        }
    }
}

/// Verifies that publishing `new` after `old` goes forward.
///
/// [`TrustError::Rollback`] when the version does not rise, [`TrustError::Refused`] when something withdrawn is not any
/// more. Check it before replacing published
/// targets: devices that saw the old ones refuse whatever is not newer.
pub fn verify_targets_succession(
    old: &VerifiedTargets,
    new: &VerifiedTargets,
) -> Result<(), TrustError> {
    if new.version <= old.version {
        return Err(TrustError::Rollback {
            role: Role::Targets,
            trusted: old.version,
            offered: new.version,
        });
    }
    let forgotten = |digest: &&Sha256Digest| !new.withdrawn.contains_key(*digest);
    if let Some(digest) = old.withdrawn.keys().find(forgotten) {
        return Err(TrustError::Refused(format!(
            "{digest} was withdrawn, and this list doesn't say so any more. \
             Sign targets that begin with those on the server"
        )));
    }
    Ok(())
}

/// Verifies a first root: signed to the threshold by its own keys, and not expired.
pub fn verify_root(root: &[u8], now: Timestamp) -> Result<Root, TrustError> {
    TrustedSet::from_root(root)?.check_root_expired(now)?;
    Root::parse(root)
}

/// Verifies that `new` follows `old`: one version up, signed by the old keys and by the new.
pub fn verify_root_chain(old: &[u8], new: &[u8]) -> Result<Root, TrustError> {
    TrustedSet::from_root(old)?.update_root(new)?;
    Root::parse(new)
}

/// Who signed a document, seen from a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningStatus {
    /// Ids of the role's keys with a valid signature.
    pub valid: Vec<String>,
    /// Ids of the role's keys that have not signed, or not validly.
    pub missing: Vec<String>,
    /// Ids that signed, but are not among the role's keys.
    pub strangers: Vec<String>,
    /// Signatures needed.
    pub threshold: usize,
}

impl SigningStatus {
    /// Returns whether enough keys have signed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.valid.len() >= self.threshold
    }

    /// Tells who of these keys signed a document.
    #[must_use]
    pub fn of(keys: &RoleKeys, document: &Document) -> Self {
        let threshold = keys.threshold;
        let keys: BTreeMap<_, _> = keys.keys.iter().map(|key| (key.key_id(), key)).collect();
        let (mut valid, mut strangers) = (Vec::new(), Vec::new());
        for id in document.signers() {
            match keys.get(id) {
                None => strangers.push(id.to_owned()),
                Some(key) if document.is_signed_by(key) => valid.push(id.to_owned()),
                Some(_) => {}
            }
        }
        let missing = keys.into_keys().filter(|id| !valid.contains(id)).collect();
        Self {
            valid,
            missing,
            strangers,
            threshold,
        }
    }
}

/// Tells who signed a document for its role, and who may yet, by the keys of `root`.
///
/// For a root that follows another, ask with the old root and with the new: both must be complete. Of a delegated role's
/// list the delegation's keys judge: see [`SigningStatus::of`].
pub fn signing_status(root: &[u8], document: &Document) -> Result<SigningStatus, TrustError> {
    let role = document.role()?;
    let root = Root::parse(root)?;
    Ok(SigningStatus::of(root.role(role), document))
}

/// What a person wants to know of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootFacts {
    /// What it says: version, expiry, keys and thresholds.
    pub root: Root,
    /// Who signed it, of its own root keys.
    pub signed: SigningStatus,
}

/// Reads a root and who signed it, whether it is complete or not.
pub fn root_facts(root: &[u8]) -> Result<RootFacts, TrustError> {
    Ok(RootFacts {
        root: Root::parse(root)?,
        signed: signing_status(root, &Document::parse(root)?)?,
    })
}
