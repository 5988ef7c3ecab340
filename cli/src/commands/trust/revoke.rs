//! `otter trust revoke`: what to do when a key was lost or stolen.

use std::path::PathBuf;

use clap::Args;
use otter_trust::{Role, Root, Timestamp};

use super::change::Signers;
use super::rotate::{ids, named_key};
use crate::api::Client;
use crate::passphrase::read_public;
use crate::signing::days;
use crate::{Context, Failure};

/// Takes a key out of every role that it has.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The key: its file, an export of it, or at least eight digits of its id.
    #[arg(value_name = "KEY|ID")]
    revoked: String,
    /// Key that takes its place in each role.
    #[arg(long, value_name = "KEY")]
    replace_with: Option<PathBuf>,
    #[command(flatten)]
    signers: Signers,
}

impl Revoke {
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let old = self.signers.current_root(client).await?;
        let life = days(self.signers.expires_days);
        let mut root = Root::parse(&old)?.next(Timestamp::now(), life)?;
        let mut found = Vec::new();
        for (role, keys) in [
            (Role::Root, &mut root.root),
            (Role::Targets, &mut root.targets),
        ] {
            let Ok(key) = named_key(keys, &self.revoked, role) else {
                continue;
            };
            keys.keys.retain(|other| *other != key);
            if let Some(path) = &self.replace_with {
                keys.keys.push(read_public(path, role)?);
            }
            if keys.keys.len() < keys.threshold {
                return Err(Failure::Refused(format!(
                    "without it {role} has {} keys and asks for {} signatures, so that nobody could sign any more. \
                     Name another key with --replace-with",
                    keys.keys.len(),
                    keys.threshold
                )));
            }
            found.push(role);
        }
        if found.is_empty() {
            return Err(Failure::Refused(format!(
                "{} is none of the publishers' keys, or too short to tell which. They are: {}. \
                 A team's key is taken out with `otter trust delegate TEAM --remove-key`",
                self.revoked,
                [ids(&root.root), ids(&root.targets)].concat().join(", ")
            )));
        }
        let document = root.to_document()?;
        self.signers.sign(context, client, &old, document).await?;
        if found.contains(&Role::Targets) {
            context.output.note(
                "It may have signed releases. Once the root is published, look at the list with `otter trust show`, withdraw \
                 what isn't yours, and sign the rest anew with `otter trust renew`: devices refuse every release until then.",
            );
        }
        Ok(())
    }
}
