//! What a device may install: the artifact that the server's decision names, if whoever may speak for its model signed it.

use jiff::Timestamp;

use crate::document::{DELEGATED_ROLE, malformed};
use crate::target::delegated_name;
use crate::targets::{WITHDRAWN, withdrawn};
use crate::{MetadataSource, Role, SignedArtifact, TrustError, TrustStore, Unfit, Verifier};

const OWN: &str = Role::Targets.as_str();

impl<S: TrustStore> Verifier<S> {
    /// Returns the artifact that the server's decision names ([`target_name`](crate::target_name)), if publishers, or the role
    /// that they delegate this model to, signed it for this model, and its release counter is not lower than the installed
    /// one (0 where nothing is installed).
    ///
    /// A delegated role's list is fetched, verified and kept when it is needed. Needs a
    /// [`refresh`](Self::refresh) whose metadata has not expired at `now`.
    pub async fn artifact(
        &mut self,
        source: &impl MetadataSource,
        name: &str,
        model: &str,
        installed_counter: u64,
        now: Timestamp,
    ) -> Result<SignedArtifact, TrustError> {
        self.trusted(now)?;
        self.refuse_withdrawn(OWN, name)?;
        let artifact = match self.set.target(name) {
            Some(target) => SignedArtifact::from_target(name, &target)?,
            None => self.delegated(source, name, model, now).await?,
        };
        artifact.fits(model, installed_counter)?;
        Ok(artifact)
    }

    /// Searches the lists of the roles that this model is given to; no deeper, as teams give nothing on.
    async fn delegated(
        &mut self,
        source: &impl MetadataSource,
        name: &str,
        model: &str,
        now: Timestamp,
    ) -> Result<SignedArtifact, TrustError> {
        let own_name = delegated_name(model, name);
        let (roles, _) = self.set.delegations(OWN, &own_name)?;
        for role in roles.iter().take(self.limits.delegations as usize) {
            let found = self.on_list(source, role, (name, &own_name), now).await;
            if let Some(artifact) = found.map_err(|error| error.on_the_list_of(role))? {
                return Ok(artifact);
            }
        }
        Err(wrong(name, Unfit::NotSigned))
    }

    async fn on_list(
        &mut self,
        source: &impl MetadataSource,
        role: &str,
        (name, own_name): (&str, &str),
        now: Timestamp,
    ) -> Result<Option<SignedArtifact>, TrustError> {
        if !self.load_role(source, (role, OWN), now).await? {
            return Ok(None);
        }
        if let Some(named) = self.set.field_of(role, DELEGATED_ROLE)
            && named != role
        {
            return Err(malformed("the list", format!("it is that of {named}")));
        }
        self.refuse_withdrawn(role, name)?;
        let Some(target) = self.set.target_of(role, own_name) else {
            return Ok(None);
        };
        let artifact = SignedArtifact::from_delegated_target(own_name, &target)?;
        // Signed for one model too many, it is refused whole: who signed it went beyond what they were given.
        for (model, other) in artifact.delegated_names() {
            if !self.set.is_delegated(role, &other)? {
                let role = role.to_owned();
                return Err(wrong(name, Unfit::NotDelegated { role, model }));
            }
        }
        Ok(Some(artifact))
    }

    /// Whatever else is signed: what was withdrawn stays withdrawn, under each name that it has.
    fn refuse_withdrawn(&self, role: &str, name: &str) -> Result<(), TrustError> {
        let withdrawn = withdrawn(self.set.field_of(role, WITHDRAWN))?;
        let digest = name.rsplit('/').next().unwrap_or(name);
        let mut all = withdrawn.into_iter();
        match all.find(|(own, _)| own.to_string() == digest) {
            Some((_, reason)) => Err(wrong(name, Unfit::Withdrawn { reason })),
            None => Ok(()),
        }
    }
}

fn wrong(name: &str, why: Unfit) -> TrustError {
    TrustError::WrongSoftware {
        name: name.to_owned(),
        why,
    }
}
