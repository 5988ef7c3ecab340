//! Signs the list of artifacts that devices may install, and hands it to the server.

use std::path::PathBuf;

use clap::Args;
use jiff::SignedDuration;
use otter_protocol::admin::{NewRelease, TrustStatus};
use otter_protocol::release::Artifact;
use otter_protocol::{ProblemCode, Version};
use otter_trust::{
    ArtifactFacts, Document, Role, SecretKey, SignedArtifact, SigningStatus, TargetsDocument,
    Timestamp, signing_status, verify_targets,
};

use crate::api::Client;
use crate::passphrase::PassphraseArgs;
use crate::{Failure, metadata};

/// How often signing begins anew because somebody else published in between.
const TRIES: u32 = 4;

/// Whose signature, and how it is given.
#[derive(Debug, Clone, Args)]
pub struct SigningArgs {
    /// Targets key to sign with: a file, or env:NAME for a variable that holds it; several where the root asks for several
    /// signatures.
    #[arg(long = "key", value_name = "KEY", required = true)]
    pub keys: Vec<PathBuf>,
    /// How.
    #[command(flatten)]
    pub how: SigningHow,
}

/// With which passphrase, on top of which root, for how long.
#[derive(Debug, Clone, Args)]
pub struct SigningHow {
    /// Where the keys' passphrases come from.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Root to verify the server's metadata from; without one, the server's own root is taken.
    #[arg(long, value_name = "root.json")]
    pub root: Option<PathBuf>,
    /// Days until the signed list must be signed anew, 1 to 3650.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub expires_days: u16,
}

/// Keys that are open, and where to put what they sign.
#[derive(Debug)]
pub struct Publisher {
    keys: Vec<SecretKey>,
    root: Option<PathBuf>,
    life: SignedDuration,
}

impl Publisher {
    /// Opens the keys: before anything is uploaded, so that a wrong passphrase costs nothing.
    pub fn open(keys: &[PathBuf], how: &SigningHow) -> Result<Self, Failure> {
        let keys = keys.iter();
        Ok(Self {
            keys: keys
                .map(|path| how.passphrase.open(path, Role::Targets))
                .collect::<Result<_, _>>()?,
            root: how.root.clone(),
            life: days(how.expires_days),
        })
    }

    /// Changes the signed list and publishes it; begins anew where somebody else was faster.
    pub async fn change<T>(
        &self,
        client: &Client,
        edit: impl Fn(&mut TargetsDocument) -> Result<T, Failure>,
    ) -> Result<(T, TrustStatus), Failure> {
        let mut tries = TRIES;
        loop {
            let mut current = metadata::fetch(client, self.root.as_deref()).await?;
            let made = edit(&mut current.targets)?;
            let now = Timestamp::now();
            let document = current.targets.finish(now, self.life)?;
            let bytes = self.sign(&current.root, document, now)?;
            tries -= 1;
            let sent = client.put_metadata(&["trust", "targets"], bytes).await;
            let refused = match sent {
                Ok(status) => return Ok((made, status)),
                Err(failure) => failure,
            };
            let may_be_a_race = matches!(
                refused.code(),
                Some(ProblemCode::Conflict | ProblemCode::Untrusted)
            );
            if tries == 0 || !may_be_a_race {
                return Err(refused);
            }
            let now: TrustStatus = client.get(&["trust"]).await?;
            if now.targets_version == current.targets_version {
                return Err(refused);
            }
        }
    }

    /// Changes the signed list and returns it with the signatures that are here, for others to sign after.
    pub async fn begin<T>(
        &self,
        client: &Client,
        edit: impl Fn(&mut TargetsDocument) -> Result<T, Failure>,
    ) -> Result<Begun, Failure> {
        let mut current = metadata::fetch(client, self.root.as_deref()).await?;
        edit(&mut current.targets)?;
        let mut document = current.targets.finish(Timestamp::now(), self.life)?;
        let status = self.add_signatures(&current.root, &mut document)?;
        Ok(Begun {
            root: current.root,
            document,
            status,
        })
    }

    fn sign(
        &self,
        root: &[u8],
        mut document: Document,
        now: Timestamp,
    ) -> Result<Vec<u8>, Failure> {
        let status = self.add_signatures(root, &mut document)?;
        if !status.is_complete() {
            return Err(Failure::Refused(format!(
                "the root asks for {} signatures, and {} came together. Give --key once for each, \
                 or have the others sign one after another (`otter release sign --out FILE`); missing are: {}",
                status.threshold,
                status.valid.len(),
                status.missing.join(", ")
            )));
        }
        let bytes = document.to_bytes()?;
        verify_targets(root, &bytes, now)?;
        Ok(bytes)
    }

    fn add_signatures(
        &self,
        root: &[u8],
        document: &mut Document,
    ) -> Result<SigningStatus, Failure> {
        self.keys.iter().try_for_each(|key| document.sign(key))?;
        let status = signing_status(root, document)?;
        if let Some(stranger) = status.strangers.first() {
            return Err(Failure::Refused(format!(
                "the key {stranger} is not among those that the root lets sign releases. \
                 Use one of: {}",
                [status.valid, status.missing].concat().join(", ")
            )));
        }
        Ok(status)
    }

    /// Signs a release with its artifacts; returns the release's counter.
    pub async fn sign_release(
        &self,
        client: &Client,
        release: &NewRelease,
        artifacts: &[Artifact],
    ) -> Result<(u64, TrustStatus), Failure> {
        self.change(client, |targets| add_release(targets, release, artifacts))
            .await
    }
}

/// A list of artifacts that others may have to sign.
#[derive(Debug)]
pub struct Begun {
    /// The root that says who.
    pub root: Vec<u8>,
    /// The list.
    pub document: Document,
    /// Who has signed.
    pub status: SigningStatus,
}

/// Adds a release with its artifacts to the list; returns the release's counter.
pub fn add_release(
    targets: &mut TargetsDocument,
    release: &NewRelease,
    artifacts: &[Artifact],
) -> Result<u64, Failure> {
    let counter = targets.next_release_counter()?;
    for artifact in artifacts {
        targets.add(&signed_artifact(release, artifact, counter))?;
    }
    Ok(counter)
}

/// Returns what is signed of an artifact.
fn signed_artifact(release: &NewRelease, artifact: &Artifact, counter: u64) -> SignedArtifact {
    let text = |version: &Option<Version>| version.as_ref().map(ToString::to_string);
    SignedArtifact {
        sha256: artifact.sha256,
        length: artifact.size,
        facts: ArtifactFacts {
            models: artifact.models.iter().map(ToString::to_string).collect(),
            version: release.version.to_string(),
            release_counter: counter,
            min_version: text(&release.min_version),
            min_bootloader_version: text(&release.min_bootloader_version),
            kind: artifact.kind,
            required: release.required,
            notes: release.notes.clone(),
            downgrade_permitted: false,
        },
    }
}

/// Returns a life of so many days.
pub fn days(days: u16) -> SignedDuration {
    SignedDuration::from_hours(i64::from(days) * 24)
}
