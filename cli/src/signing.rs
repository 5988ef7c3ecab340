//! Signs the list of artifacts that devices may install, and hands it to the server.

use std::path::PathBuf;

use clap::Args;
use jiff::SignedDuration;
use otter_protocol::admin::{NewRelease, TrustStatus};
use otter_protocol::release::Artifact;
use otter_protocol::{ProblemCode, Version};
use otter_trust::{
    ArtifactFacts, DelegatedRole, Document, Role, RoleKeys, Root, SecretKey, SignedArtifact,
    SigningStatus, TargetsDocument, Timestamp, verify_delegated, verify_targets,
};

use crate::api::Client;
use crate::metadata::Current;
use crate::passphrase::PassphraseArgs;
use crate::{Failure, metadata};

/// How often signing begins anew because somebody else published in between.
const TRIES: u32 = 4;

/// Whose signature, and how it is given.
#[derive(Debug, Clone, Args)]
pub struct SigningArgs {
    /// Targets key to sign with, the publishers' or a team's: a file, or env:NAME for a variable that holds it; several where
    /// it takes several signatures.
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
    /// Delegated role to sign for; without it, the one that has the keys.
    #[arg(long, value_name = "ROLE")]
    pub role: Option<DelegatedRole>,
    /// Days until the signed list must be signed anew, 1 to 3650.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub expires_days: u16,
}

/// Keys that are open, and where to put what they sign.
#[derive(Debug)]
pub struct Publisher {
    keys: Vec<SecretKey>,
    root: Option<PathBuf>,
    role: Option<DelegatedRole>,
    life: SignedDuration,
}

/// A list of artifacts in work: the publishers' own, or that of the role whose keys sign.
#[derive(Debug)]
pub struct List {
    /// The list.
    pub targets: TargetsDocument,
    /// What else is signed at present.
    pub current: Current,
    /// Whose signatures it takes.
    keys: RoleKeys,
    /// Who asks for them.
    asks: String,
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
            role: how.role.clone(),
            life: days(how.expires_days),
        })
    }

    /// Changes the signed list and publishes it; begins anew where somebody else was faster.
    pub async fn change<T>(
        &self,
        client: &Client,
        edit: impl Fn(&mut TargetsDocument) -> Result<T, Failure>,
    ) -> Result<(T, TrustStatus), Failure> {
        self.publish(client, |list| edit(&mut list.targets)).await
    }

    /// The same, for a change that has to see what else is signed.
    pub async fn publish<T>(
        &self,
        client: &Client,
        edit: impl Fn(&mut List) -> Result<T, Failure>,
    ) -> Result<(T, TrustStatus), Failure> {
        let mut tries = TRIES;
        loop {
            let mut list = self.list(client).await?;
            let made = edit(&mut list)?;
            let now = Timestamp::now();
            let document = list.targets.finish(now, self.life)?;
            let bytes = self.sign(&list, document, now)?;
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
            if metadata::versions(&now) == list.current.versions {
                return Err(refused);
            }
        }
    }

    /// Changes the signed list and returns it with the signatures that are here, for others to sign after.
    pub async fn begin<T>(
        &self,
        client: &Client,
        edit: impl Fn(&mut List) -> Result<T, Failure>,
    ) -> Result<Begun, Failure> {
        let mut list = self.list(client).await?;
        edit(&mut list)?;
        let mut document = list.targets.finish(Timestamp::now(), self.life)?;
        let status = self.add_signatures(&list, &mut document)?;
        Ok(Begun { document, status })
    }

    /// Returns the list that these keys sign, as it is now: the publishers' own, or a delegated role's.
    async fn list(&self, client: &Client) -> Result<List, Failure> {
        let mut current = metadata::fetch(client, self.root.as_deref()).await?;
        let delegations = current.targets.delegations()?;
        let Some(role) = self.pick(&current)? else {
            let mut targets = current.targets.clone();
            know_counters(&mut targets, &current)?;
            return Ok(List {
                keys: Root::parse(&current.root)?.targets,
                asks: "the root".to_owned(),
                targets,
                current,
            });
        };
        let Some(delegation) = delegations.get(&role) else {
            return Err(Failure::Refused(format!(
                "nothing is delegated to {role}. Whoever holds the targets keys does so with `otter trust delegate {role}`"
            )));
        };
        let mut targets = match current.delegated.remove(&role) {
            Some(list) => list?,
            None => TargetsDocument::delegated(role.clone()),
        };
        targets.leave_only(&delegation.models)?;
        know_counters(&mut targets, &current)?;
        Ok(List {
            keys: delegation.keys.clone(),
            asks: format!("the delegation to {role}"),
            targets,
            current,
        })
    }

    /// Finds the role that the keys sign for; `None` is the publishers' own list.
    fn pick(&self, current: &Current) -> Result<Option<DelegatedRole>, Failure> {
        if self.role.is_some() {
            return Ok(self.role.clone());
        }
        let own = Root::parse(&current.root)?.targets;
        let stranger = self.keys.iter().find(|key| !own.contains(&key.public()));
        let Some(stranger) = stranger.map(SecretKey::public) else {
            return Ok(None);
        };
        let delegations = current.targets.delegations()?;
        let mut roles = delegations.roles_of(&stranger);
        match (roles.next(), roles.next()) {
            (Some(role), Some(other)) => Err(Failure::Usage(format!(
                "the key signs for {role} and for {other}. Say which with --role"
            ))),
            (role, _) => Ok(role.cloned()),
        }
    }

    fn sign(
        &self,
        list: &List,
        mut document: Document,
        now: Timestamp,
    ) -> Result<Vec<u8>, Failure> {
        let status = self.add_signatures(list, &mut document)?;
        if !status.is_complete() {
            return Err(Failure::Refused(format!(
                "{} asks for {} signatures, and {} came together. Give --key once for each, \
                 or have the others sign one after another (`--out FILE`, then `otter trust sign`); missing are: {}",
                list.asks,
                status.threshold,
                status.valid.len(),
                status.missing.join(", ")
            )));
        }
        let bytes = document.to_bytes()?;
        match list.targets.role() {
            None => verify_targets(&list.current.root, &bytes, now)?,
            Some(role) => {
                // The delegation is in the publishers' list, which was verified when it came.
                let own = list.current.targets_file.as_deref().unwrap_or_default();
                verify_delegated(own, role, &bytes, now)?
            }
        };
        Ok(bytes)
    }

    fn add_signatures(
        &self,
        list: &List,
        document: &mut Document,
    ) -> Result<SigningStatus, Failure> {
        self.keys.iter().try_for_each(|key| document.sign(key))?;
        let status = SigningStatus::of(&list.keys, document);
        if let Some(stranger) = status.strangers.first() {
            return Err(Failure::Refused(format!(
                "the key {stranger} is not among those that {} lets sign releases. \
                 Use one of: {}",
                list.asks,
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

/// Lets a list know the counters that the other lists gave.
fn know_counters(targets: &mut TargetsDocument, current: &Current) -> Result<(), Failure> {
    let delegated = current
        .delegated
        .values()
        .filter_map(|list| list.as_ref().ok());
    for other in std::iter::once(&current.targets).chain(delegated) {
        targets.know_counter(other.last_counter()?)?;
    }
    Ok(())
}

/// A list of artifacts that others may have to sign.
#[derive(Debug)]
pub struct Begun {
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
