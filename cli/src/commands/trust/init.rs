//! `otter trust init`: makes the first root.

use std::path::PathBuf;

use clap::Args;
use otter_protocol::admin::{OnlineKeys, TrustStatus};
use otter_trust::{PublicKey, Role, RoleKeys, Root, Timestamp};

use super::change::{finish, online_keys, refuse_existing};
use crate::api::Client;
use crate::passphrase::{PassphraseArgs, is_public, read_public};
use crate::signing::days;
use crate::{Context, Failure};

/// Makes the first root.
#[derive(Debug, Args)]
pub struct Init {
    /// Key that may sign the root: a key file, env:NAME, or somebody else's exported public key.
    #[arg(long = "root-key", value_name = "KEY", required = true)]
    root_keys: Vec<PathBuf>,
    /// Key that may sign releases, in the same forms. Its passphrase isn't needed here.
    #[arg(long = "targets-key", value_name = "KEY", required = true)]
    targets_keys: Vec<PathBuf>,
    /// Signatures that a root needs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    threshold: usize,
    /// Signatures that a release needs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    targets_threshold: usize,
    /// Days until the root must be signed anew, 1 to 3650.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    expires_days: u16,
    /// Where to write the root, for devices' images and for `--root`.
    #[arg(long, value_name = "FILE", default_value = "root.json")]
    out: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl Init {
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        refuse_existing(&self.out)?;
        let status: TrustStatus = client.get(&["trust"]).await?;
        if let Some(version) = status.root_version {
            return Err(Failure::Refused(format!(
                "the server has root version {version} already, which devices trust. \
                 `otter trust show` tells more, `otter trust rotate` makes the next"
            )));
        }
        let online: OnlineKeys = client.get(&["trust", "online-keys"]).await?;
        let expires = Timestamp::now()
            .checked_add(days(self.expires_days))
            .map_err(|error| Failure::Refused(format!("the expiry is out of range: {error}")))?;
        let root = Root {
            version: 1,
            expires,
            root: RoleKeys::new(public_keys(&self.root_keys, Role::Root)?, self.threshold),
            targets: RoleKeys::new(
                public_keys(&self.targets_keys, Role::Targets)?,
                self.targets_threshold,
            ),
            snapshot: online_keys("snapshot", online.snapshot)?,
            timestamp: online_keys("timestamp", online.timestamp)?,
        };
        let mut document = root.to_document()?;
        for path in &self.root_keys {
            if !is_public(path)? {
                document.sign(&self.passphrase.open(path, Role::Root)?)?;
            }
        }
        finish(context, client, None, &document, &self.out).await
    }
}

fn public_keys(paths: &[PathBuf], role: Role) -> Result<Vec<PublicKey>, Failure> {
    paths.iter().map(|path| read_public(path, role)).collect()
}
