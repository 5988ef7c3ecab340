//! A root on its way: signed by those who are here, published once it is complete, else handed on.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use otter_protocol::admin::TrustStatus;
use otter_trust::{
    Document, PublicKey, Role, RoleKeys, SigningStatus, Timestamp, signing_status, verify_root,
    verify_root_chain,
};
use serde_json::Value;

use super::show::{self, Judges};
use crate::api::Client;
use crate::passphrase::PassphraseArgs;
use crate::{Context, Failure, metadata};

/// Who signs a root, and where it goes.
#[derive(Debug, Args)]
pub(super) struct Signers {
    /// Root key to sign with: a file, or env:NAME for a variable that holds it; several are several people's.
    #[arg(long = "key", value_name = "KEY")]
    pub keys: Vec<PathBuf>,
    /// Days until the root must be signed anew, 1 to 3650.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub expires_days: u16,
    /// Root to verify the server's from; without one, the server's own root is taken.
    #[arg(long, value_name = "root.json")]
    pub root: Option<PathBuf>,
    /// Where to write the new root; a file that is there is never replaced. [default: N.root.json]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where the keys' passphrases come from.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

impl Signers {
    /// Returns the server's root, verified from the pinned one where there is one.
    pub(super) async fn current_root(&self, client: &Client) -> Result<Vec<u8>, Failure> {
        metadata::root(client, self.root.as_deref()).await
    }

    /// Signs a root that follows `old`, and publishes it where that completes it.
    pub(super) async fn sign(
        &self,
        context: &Context,
        client: &Client,
        old: &[u8],
        mut document: Document,
    ) -> Result<(), Failure> {
        let out = match &self.out {
            Some(path) => path.clone(),
            None => format!("{}.root.json", document.version()?).into(),
        };
        refuse_existing(&out)?;
        for path in &self.keys {
            document.sign(&self.passphrase.open(path, Role::Root)?)?;
        }
        finish(context, client, Some(old), &document, &out).await
    }
}

/// Publishes a root where enough have signed, and writes it to a file either way.
pub(super) async fn finish(
    context: &Context,
    client: &Client,
    old: Option<&[u8]>,
    document: &Document,
    out: &Path,
) -> Result<(), Failure> {
    let bytes = document.to_bytes()?;
    let missing = missing(old, document)?;
    if !missing.is_empty() {
        fs::write(out, &bytes).map_err(Failure::file(out))?;
        context.output.note(format!(
            "{file} is written, but devices wouldn't follow it yet:\n{}\nHave each of them run \
             `otter trust sign {file} --key THEIR.key`, then send it with `otter trust publish {file}`.",
            missing.join("\n"),
            file = out.display(),
        ));
        return show::file(context, &bytes, &Judges::of_root(old));
    }
    match old {
        Some(old) => verify_root_chain(old, &bytes)?,
        None => verify_root(&bytes, Timestamp::now())?,
    };
    let _: TrustStatus = client
        .put_metadata(&["trust", "root"], bytes.clone())
        .await?;
    fs::write(out, &bytes).map_err(Failure::file(out))?;
    context.output.note(format!(
        "{} is published. Put it into your devices' images, and keep it for `--root`.",
        out.display()
    ));
    show::file(context, &bytes, &Judges::of_root(old))
}

/// Says in words whose signatures a root lacks: by its own keys, and by those of the root before it.
pub(super) fn missing(old: Option<&[u8]>, document: &Document) -> Result<Vec<String>, Failure> {
    let own = signing_status(&document.to_bytes()?, document)?;
    let before = old.map(|old| signing_status(old, document)).transpose()?;
    let sides = [("the new root", Some(own)), ("the root before it", before)];
    Ok(sides
        .into_iter()
        .filter_map(|(whose, status)| status.map(|status| (whose, status)))
        .filter(|(_, status)| !status.is_complete())
        .map(|(whose, status)| lacking(whose, &status))
        .collect())
}

/// Says in words which signatures are missing.
pub(super) fn lacking(whose: &str, status: &SigningStatus) -> String {
    format!(
        "  {whose} asks for {} signatures and has {}; of these keys: {}",
        status.threshold,
        status.valid.len(),
        status.missing.join(", ")
    )
}

/// Refuses to write over a file.
pub(super) fn refuse_existing(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        return Err(Failure::Refused(format!(
            "{} is there already. Name another file with --out, or move it away",
            path.display()
        )));
    }
    Ok(())
}

/// Reads a server's key for a role; one is enough, as the server signs by itself.
pub(super) fn online_keys(role: &str, key: Value) -> Result<RoleKeys, Failure> {
    let key: PublicKey = serde_json::from_value(key).map_err(|error| {
        Failure::Refused(format!("the server's {role} key can't be read: {error}"))
    })?;
    Ok(RoleKeys::new([key], 1))
}
