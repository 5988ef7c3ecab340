//! `otter trust rotate`: makes the next root.

use std::path::{Path, PathBuf};

use clap::Args;
use otter_protocol::admin::OnlineKeys;
use otter_trust::{PublicKey, Role, RoleKeys, Root, Timestamp};

use super::change::{Signers, online_keys};
use crate::api::Client;
use crate::passphrase::read_public;
use crate::signing::days;
use crate::{Context, Failure};

/// Makes the next root.
#[derive(Debug, Args)]
pub struct Rotate {
    /// Root key to add: a key file, env:NAME, or somebody else's exported public key.
    #[arg(long, value_name = "KEY")]
    add_root_key: Vec<PathBuf>,
    /// Root key to take out: its file, or the beginning of its id.
    #[arg(long, value_name = "KEY|ID")]
    remove_root_key: Vec<String>,
    /// Targets key to add.
    #[arg(long, value_name = "KEY")]
    add_targets_key: Vec<PathBuf>,
    /// Targets key to take out.
    #[arg(long, value_name = "KEY|ID")]
    remove_targets_key: Vec<String>,
    /// Signatures that a root needs from now on.
    #[arg(long, value_name = "N")]
    threshold: Option<usize>,
    /// Signatures that a release needs from now on.
    #[arg(long, value_name = "N")]
    targets_threshold: Option<usize>,
    /// Names the keys that the server has now, instead of those that it had.
    #[arg(long)]
    server_keys: bool,
    #[command(flatten)]
    signers: Signers,
}

impl Rotate {
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let old = self.signers.current_root(client).await?;
        let life = days(self.signers.expires_days);
        let mut root = Root::parse(&old)?.next(Timestamp::now(), life)?;
        for (keys, add, remove, role) in [
            (
                &mut root.root,
                &self.add_root_key,
                &self.remove_root_key,
                Role::Root,
            ),
            (
                &mut root.targets,
                &self.add_targets_key,
                &self.remove_targets_key,
                Role::Targets,
            ),
        ] {
            for path in add {
                keys.keys.push(read_public(path, role)?);
            }
            for named in remove {
                let key = named_key(keys, named, role)?;
                keys.keys.retain(|other| *other != key);
            }
        }
        root.root.threshold = self.threshold.unwrap_or(root.root.threshold);
        root.targets.threshold = self.targets_threshold.unwrap_or(root.targets.threshold);
        if self.server_keys {
            let online: OnlineKeys = client.get(&["trust", "online-keys"]).await?;
            root.snapshot = online_keys("snapshot", online.snapshot)?;
            root.timestamp = online_keys("timestamp", online.timestamp)?;
        }
        let targets_changed = Root::parse(&old)?.targets != root.targets;
        let document = root.to_document()?;
        self.signers.sign(context, client, &old, document).await?;
        if targets_changed {
            context.output.note(
                "Who may sign releases changes with it: once it is published, sign the list anew with \
                 `otter trust renew`, or devices refuse every release.",
            );
        }
        Ok(())
    }
}

/// Finds a role's key by its file, or by the beginning of its id.
pub(super) fn named_key(keys: &RoleKeys, named: &str, role: Role) -> Result<PublicKey, Failure> {
    let found: Vec<PublicKey> = match Path::new(named) {
        path if path.exists() => {
            let public = read_public(path, role)?;
            keys.keys
                .iter()
                .copied()
                .filter(|key| *key == public)
                .collect()
        }
        _ => {
            let of_id = |key: &PublicKey| named.len() >= 8 && key.key_id().starts_with(named);
            keys.keys.iter().copied().filter(of_id).collect()
        }
    };
    match found.as_slice() {
        [key] => Ok(*key),
        _ => Err(Failure::Refused(format!(
            "{named} is none of the {role} keys, or too short to tell which. They are: {}",
            ids(keys).join(", ")
        ))),
    }
}

/// Returns the ids of a role's keys.
pub(super) fn ids(keys: &RoleKeys) -> Vec<String> {
    keys.keys.iter().map(PublicKey::key_id).collect()
}
