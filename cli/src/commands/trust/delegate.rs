//! `otter trust delegate`: lets a team sign for its models alone.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use otter_protocol::Model;
use otter_trust::{DelegatedRole, Delegation, Delegations, Role, RoleKeys, Root};
use serde_json::json;

use super::rotate::{ids, named_key};
use crate::api::Client;
use crate::commands::release::sign::hand_on;
use crate::passphrase::read_public;
use crate::signing::{List, Publisher, SigningArgs};
use crate::{Context, Failure};

/// Lets a team sign for its models alone, changes that, or takes it back.
#[derive(Debug, Args)]
pub struct Delegate {
    /// The team's role: small letters, digits and `-`.
    #[arg(value_name = "NAME")]
    name: DelegatedRole,
    /// Model that it signs for; may be repeated, or listed as `rpi4,rpi5`. All that it has from now on.
    #[arg(long = "model", value_name = "MODEL", value_delimiter = ',')]
    models: Vec<Model>,
    /// Key of the team's to add: a targets key file, or the public key that its owner exported.
    #[arg(long, value_name = "KEY")]
    add_key: Vec<PathBuf>,
    /// Key to take out: its file, an export of it, or at least eight digits of its id.
    #[arg(long, value_name = "KEY|ID")]
    remove_key: Vec<String>,
    /// Signatures of the team's that a release needs. [default: 1, or as it was]
    #[arg(long, value_name = "N")]
    threshold: Option<usize>,
    /// Takes it all back: from now on devices refuse what the team signed.
    #[arg(long, conflicts_with_all = ["models", "add_key", "remove_key", "threshold"])]
    take_back: bool,
    /// With --take-back: signs the team's releases with the publishers' own keys, so that they stay. Look at them first, with
    /// `otter trust show`.
    #[arg(long, requires = "take_back")]
    keep_releases: bool,
    /// Writes the signed list to a file instead, for others to sign with `otter trust sign` where it takes several.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    signing: SigningArgs,
}

impl Delegate {
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let publisher = Publisher::open(&self.signing.keys, &self.signing.how)?;
        if let Some(out) = &self.out {
            let begun = publisher.begin(client, |list| self.edit(list)).await?;
            return hand_on(context, &begun, out);
        }
        let (delegation, _) = publisher.publish(client, |list| self.edit(list)).await?;
        let shown = delegation.as_ref().map(|one| {
            json!({ "role": self.name, "models": one.models, "keys": ids(&one.keys), "threshold": one.keys.threshold })
        });
        context.output.value(&shown, |output| match &delegation {
            None => output.line(format!(
                "Nothing is delegated to {} any more: devices refuse what its keys sign.",
                self.name
            )),
            Some(one) => {
                let models: Vec<_> = one.models.iter().map(String::as_str).collect();
                output.line(format!(
                    "{} signs for {}, with {} of: {}",
                    self.name,
                    models.join(", "),
                    one.keys.threshold,
                    ids(&one.keys).join(", ")
                ))
            }
        })?;
        if !self.add_key.is_empty() || !self.remove_key.is_empty() || self.threshold.is_some() {
            context.output.note(
                "Where the team has signed releases before, it signs its list anew with `otter trust renew`: \
                 until then devices refuse them where its old signatures no longer do.",
            );
        }
        Ok(())
    }

    /// Changes the publishers' own list; returns the delegation as it is from now on.
    fn edit(&self, list: &mut List) -> Result<Option<Delegation>, Failure> {
        if let Some(role) = list.targets.role() {
            return Err(Failure::Refused(format!(
                "the key signs for {role} alone, and only whoever signs for every model can delegate. \
                 Sign with a targets key that the root names"
            )));
        }
        let mut all = list.targets.delegations()?;
        let delegation = match self.take_back {
            true => {
                self.take_back(list, &mut all)?;
                None
            }
            false => Some(self.change(all.get(&self.name))?),
        };
        if let Some(delegation) = &delegation {
            all.0.insert(self.name.clone(), delegation.clone());
        }
        all.check(&Root::parse(&list.current.root)?)?;
        list.targets.set_delegations(&all)?;
        Ok(delegation)
    }

    fn take_back(&self, list: &mut List, all: &mut Delegations) -> Result<(), Failure> {
        let Some(delegation) = all.0.remove(&self.name) else {
            return Err(Failure::Refused(format!(
                "nothing is delegated to {}",
                self.name
            )));
        };
        match list.current.delegated.remove(&self.name) {
            Some(Ok(mut signed)) => {
                // What it was no longer given nobody could find: that doesn't come back.
                signed.leave_only(&delegation.models)?;
                list.targets.take_over(&signed, self.keep_releases)?;
            }
            Some(Err(error)) if self.keep_releases => return Err(error.into()),
            Some(Err(_)) | None => {}
        }
        Ok(())
    }

    /// Returns the delegation that follows this one, or a first one.
    fn change(&self, before: Option<&Delegation>) -> Result<Delegation, Failure> {
        let mut next = match before {
            Some(before) => before.clone(),
            None if self.models.is_empty() || self.add_key.is_empty() => {
                return Err(Failure::Usage(format!(
                    "nothing is delegated to {} yet. Say for which models with --model, and whose keys with --add-key",
                    self.name
                )));
            }
            None => Delegation {
                models: BTreeSet::new(),
                keys: RoleKeys::new([], 1),
            },
        };
        if !self.models.is_empty() {
            next.models = self.models.iter().map(ToString::to_string).collect();
        }
        for path in &self.add_key {
            let key = read_public(path, Role::Targets)?;
            if !next.keys.contains(&key) {
                next.keys.keys.push(key);
            }
        }
        for named in &self.remove_key {
            let key = named_key(&next.keys, named, Role::Targets)?;
            next.keys.keys.retain(|other| *other != key);
        }
        next.keys.threshold = self.threshold.unwrap_or(next.keys.threshold);
        Ok(next)
    }
}
