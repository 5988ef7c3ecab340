//! `otter trust`: sets up whose signatures devices trust.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use otter_protocol::admin::{OnlineKeys, TrustStatus};
use otter_trust::{PublicKey, Role, RoleKeys, Root, Timestamp, verify_root};
use serde_json::Value;

use crate::api::Client;
use crate::passphrase::{PassphraseArgs, read_key_file};
use crate::signing::days;
use crate::{Context, Failure};

/// Sets up whose signatures devices trust.
#[derive(Debug, Subcommand)]
pub enum Trust {
    /// Makes the first root: the publishers' keys, and the server's for freshness. Once for a fleet.
    Init(Init),
    /// Shows which metadata the server has, and until when it counts.
    Show,
}

/// Makes the first root.
#[derive(Debug, Args)]
pub struct Init {
    /// Key that may sign the root; several are several people's.
    #[arg(long = "root-key", value_name = "FILE", required = true)]
    root_keys: Vec<PathBuf>,
    /// Key that may sign releases; several are several people's. Its passphrase isn't needed here.
    #[arg(long = "targets-key", value_name = "FILE", required = true)]
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

impl Trust {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        match self {
            Self::Init(init) => init.run(context, &client).await,
            Self::Show => show(context, &client.get(&["trust"]).await?),
        }
    }
}

impl Init {
    async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        if self.out.exists() {
            return Err(Failure::Refused(format!(
                "{} is there already. Name another file with --out, or move it away",
                self.out.display()
            )));
        }
        let status: TrustStatus = client.get(&["trust"]).await?;
        if let Some(version) = status.root_version {
            return Err(Failure::Refused(format!(
                "the server has root version {version} already, which devices trust. \
                 `otter trust show` tells more"
            )));
        }
        let bytes = self.signed_root(client).await?;
        let status: TrustStatus = client
            .put_metadata(&["trust", "root"], bytes.clone())
            .await?;
        fs::write(&self.out, &bytes).map_err(Failure::file(&self.out))?;
        context.output.note(format!(
            "{} is written. Put it into your devices' images, and keep it for `--root`.",
            self.out.display()
        ));
        show(context, &status)
    }

    async fn signed_root(&self, client: &Client) -> Result<Vec<u8>, Failure> {
        let online: OnlineKeys = client.get(&["trust", "online-keys"]).await?;
        let now = Timestamp::now();
        let expires = now
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
            document.sign(&self.passphrase.open(path, Role::Root)?)?;
        }
        let bytes = document.to_bytes()?;
        verify_root(&bytes, now)?;
        Ok(bytes)
    }
}

fn public_keys(paths: &[PathBuf], role: Role) -> Result<Vec<PublicKey>, Failure> {
    let keys = paths.iter().map(|path| read_key_file(path, role));
    keys.map(|file| file.map(|file| *file.public())).collect()
}

/// Reads a server's key for a role; one is enough, as the server signs by itself.
fn online_keys(role: &str, key: Value) -> Result<RoleKeys, Failure> {
    let key: PublicKey = serde_json::from_value(key).map_err(|error| {
        Failure::Refused(format!("the server's {role} key can't be read: {error}"))
    })?;
    Ok(RoleKeys::new([key], 1))
}

fn show(context: &Context, status: &TrustStatus) -> Result<(), Failure> {
    context.output.value(status, |output| {
        let line =
            |what: &str, version: Option<u64>, expires: Option<otter_protocol::Timestamp>| match (
                version, expires,
            ) {
                (Some(version), Some(expires)) => {
                    output.line(format!("{what}  version {version}, until {expires}"))
                }
                (Some(version), None) => output.line(format!("{what}  version {version}")),
                (None, _) => output.line(format!("{what}  none yet")),
            };
        line("root   ", status.root_version, status.root_expires_at)?;
        line("targets", status.targets_version, status.targets_expires_at)
    })
}
