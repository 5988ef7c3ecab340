//! All lists of artifacts that are published together: the publishers' own, and those of delegated roles.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    DelegatedRole, Document, SignedArtifact, TargetsDocument, TrustError, verify_delegated,
};

/// The lists as files, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    /// The publishers' own.
    pub targets: Vec<u8>,
    /// The newest of each role that was ever delegated to: a snapshot never forgets a file, because devices wouldn't.
    pub delegated: BTreeMap<DelegatedRole, Vec<u8>>,
}

impl Lists {
    /// Has the publishers' own list alone.
    pub fn of(targets: impl Into<Vec<u8>>) -> Self {
        Self {
            targets: targets.into(),
            delegated: BTreeMap::new(),
        }
    }

    /// Returns every artifact that a device may find: on the publishers' own list, and on those of roles to which all of
    /// its models are given.
    ///
    /// Says nothing of signatures: who signed a list may have other keys by now, and signs it anew.
    pub fn artifacts(&self) -> Result<Vec<SignedArtifact>, TrustError> {
        let own = TargetsDocument::parse(&self.targets)?;
        let delegations = own.delegations()?;
        let mut all = own.artifacts()?;
        for (role, delegation) in &delegations.0 {
            let Some(list) = self.delegated.get(role) else {
                continue;
            };
            let signed = TargetsDocument::parse(list)?.artifacts()?;
            let is_given =
                |artifact: &SignedArtifact| delegation.check_models(role, artifact).is_ok();
            all.extend(signed.into_iter().filter(is_given));
        }
        Ok(all)
    }

    /// Returns the roles that publishers delegate to and whose list isn't signed as they ask, with what is wrong.
    ///
    /// Its life doesn't count; a role that has signed nothing yet is in order.
    pub fn untrusted(&self) -> Result<BTreeMap<DelegatedRole, TrustError>, TrustError> {
        let delegations = TargetsDocument::parse(&self.targets)?.delegations()?;
        let wrong = |role: DelegatedRole| {
            let list = self.delegated.get(&role)?;
            let error = verify_delegated(&self.targets, &role, list, Timestamp::MIN).err()?;
            Some((role, error))
        };
        Ok(delegations.0.into_keys().filter_map(wrong).collect())
    }

    /// Returns the files by the names that a snapshot gives them.
    pub(crate) fn files(&self) -> impl Iterator<Item = (String, &[u8])> {
        let delegated = self.delegated.iter();
        let delegated = delegated.map(|(role, list)| (role.meta_name(), list.as_slice()));
        std::iter::once(("targets.json".to_owned(), self.targets.as_slice())).chain(delegated)
    }

    /// Returns the version of each file, by the name that a snapshot gives it.
    pub(crate) fn versions(&self) -> Result<BTreeMap<String, u64>, TrustError> {
        self.files()
            .map(|(name, file)| Ok((name, Document::parse(file)?.version()?)))
            .collect()
    }
}
