//! The search for a target through roles that targets delegate to (TUF 5.6.7).

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::delegated_role::encode;
use crate::fetch::pinned;
use crate::verifier::{load, save};
use crate::{DelegatedRole, MetadataSource, Role, TrustError, TrustStore, Verifier};

/// A target as a trusted role has it.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundTarget {
    /// The role that names it: `targets`, or one that it delegates to.
    pub role: String,
    /// What it says: `length`, `hashes`, and `custom` where there is something.
    pub target: Value,
}

impl<S: TrustStore> Verifier<S> {
    /// Searches the trusted targets for one of this name, and the roles that they delegate it to.
    ///
    /// Pre-order, depth first; each delegated role is fetched, verified and kept as it is come to.
    /// `None` where no role that may speak for the target names it. Needs a
    /// [`refresh`](Self::refresh) whose metadata has not expired at `now`.
    pub async fn find(
        &mut self,
        source: &impl MetadataSource,
        target: &str,
        now: Timestamp,
    ) -> Result<Option<FoundTarget>, TrustError> {
        self.trusted(now)?;
        let mut ahead = vec![(Role::Targets.to_string(), String::new())];
        let mut visited = BTreeSet::new();
        while let Some((role, delegator)) = ahead.pop() {
            if visited.contains(&role) {
                continue;
            }
            if visited.len() >= self.limits.delegations as usize {
                return Ok(None);
            }
            if !self.load_role(source, (&role, &delegator), now).await? {
                continue;
            }
            if let Some(target) = self.set.target_of(&role, target) {
                return Ok(Some(FoundTarget { role, target }));
            }
            let (children, ends) = self.set.delegations(&role, target)?;
            if ends {
                ahead.clear();
            }
            // Last in, first out: the first child is the next to be visited.
            ahead.extend(
                children
                    .into_iter()
                    .rev()
                    .map(|child| (child, role.clone())),
            );
            visited.insert(role);
        }
        Ok(None)
    }

    /// Returns the list of a role that the trusted targets delegate to, byte for byte; `None` where it has signed none yet.
    ///
    /// Needs a [`refresh`](Self::refresh) whose metadata has not expired at `now`.
    pub async fn list(
        &mut self,
        source: &impl MetadataSource,
        role: &DelegatedRole,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, TrustError> {
        self.trusted(now)?;
        let edge = (role.as_str(), Role::Targets.as_str());
        let loaded = self.load_role(source, edge, now).await;
        match loaded.map_err(|error| error.on_the_list_of(role.as_str()))? {
            true => load(&self.store, &role.meta_name()),
            false => Ok(None),
        }
    }

    /// Returns whether files on the server are named by what is in them.
    #[must_use]
    pub fn has_consistent_snapshots(&self) -> bool {
        self.set.has_consistent_snapshots()
    }

    /// Makes sure that a role is loaded; `false` where the snapshot doesn't know it.
    pub(crate) async fn load_role(
        &mut self,
        source: &impl MetadataSource,
        (role, delegator): (&str, &str),
        now: Timestamp,
    ) -> Result<bool, TrustError> {
        if role == Role::Targets.as_str() {
            return Ok(true);
        }
        if self.set.has_role(role) {
            // Two roles may delegate to a third with different keys: each edge counts for itself.
            self.set.check_delegated((role, delegator), now)?;
            return Ok(true);
        }
        let Some(pin) = self.set.delegated_pin(role) else {
            return Ok(false);
        };
        let file = format!("{}.json", encode(role));
        if let Some(stored) = load(&self.store, &file)?
            && self
                .set
                .update_delegated(&stored, (role, delegator), now)
                .is_ok()
        {
            return Ok(true);
        }
        let name = self.set.file_name(role, pin.version);
        let bytes = pinned(source, &name, pin, self.limits.targets).await?;
        let mut set = self.set.clone();
        set.update_delegated(&bytes, (role, delegator), now)?;
        save(&mut self.store, &file, &bytes)?;
        self.set = set;
        Ok(true)
    }
}
