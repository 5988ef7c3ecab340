//! Signed targets and the drafts that they publish: each must say exactly what the other says.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use otter_protocol::release::{Release, ReleaseState};
use otter_protocol::{Model, ProblemCode, Timestamp, Version};
use otter_trust::{SignedArtifact, TrustError, target_name};
use sea_orm::ActiveValue::Set;
use sea_orm::{Condition, DatabaseTransaction, EntityTrait};

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::entity::{artifact, release};
use crate::error::{Error, Result};
use crate::releases::load_releases;

/// A draft that signed targets complete.
#[derive(Debug)]
pub(crate) struct Publication {
    /// As it is from now on, but for the time.
    pub(crate) release: Release,
    draft: Release,
}

/// Checks what targets change: nothing published is lost or altered, and whatever is new fits one draft.
pub(crate) async fn publications(
    tx: &DatabaseTransaction,
    old: &[SignedArtifact],
    new: &[SignedArtifact],
) -> Result<Vec<Publication>> {
    let releases = load_releases(tx, Condition::all()).await?;
    check_nothing_lost(&releases, new)?;
    let known: HashMap<String, &SignedArtifact> = old
        .iter()
        .map(|artifact| (artifact.name(), artifact))
        .collect();
    let mut fresh: BTreeMap<u64, Vec<&SignedArtifact>> = BTreeMap::new();
    for artifact in new {
        match known.get(&artifact.name()) {
            Some(old) => check_unchanged(old, artifact)?,
            None => fresh
                .entry(artifact.facts.release_counter)
                .or_default()
                .push(artifact),
        }
    }
    let mut publications: Vec<Publication> = Vec::new();
    for (counter, artifacts) in fresh {
        check_counter(&releases, counter)?;
        for artifact in &artifacts {
            check_stored(tx, artifact).await?;
        }
        let draft = fitting_draft(&releases, &artifacts)?;
        if publications
            .iter()
            .any(|publication| publication.draft.id == draft.id)
        {
            return Err(refused(format!(
                "release {} is signed under two counters; sign it under one",
                draft.version
            )));
        }
        let release = Release {
            release_counter: Some(counter),
            state: ReleaseState::Published,
            ..draft.clone()
        };
        publications.push(Publication {
            release,
            draft: draft.clone(),
        });
    }
    Ok(publications)
}

impl Publication {
    /// Makes the draft a published release.
    pub(crate) async fn publish(
        &self,
        tx: &DatabaseTransaction,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<()> {
        let published = Release {
            published_at: Some(now),
            ..self.release.clone()
        };
        let counter = published.release_counter.map(i64::try_from).transpose();
        let change = release::ActiveModel {
            id: Set(published.id.0),
            state: Set(published.state.as_str().to_owned()),
            release_counter: Set(
                counter.map_err(|error| refused(format!("the release counter: {error}")))?
            ),
            published_at: Set(Some(now.0)),
            ..Default::default()
        };
        release::Entity::update(change).exec(tx).await?;
        let happening = Happening::new(actor, "release.publish", "release", published.id)
            .before(&self.draft)
            .after(&published);
        audit::record(tx, now, happening).await
    }
}

fn refused(text: String) -> Error {
    TrustError::Refused(text).into()
}

/// Refuses targets that lack something that devices may be told to install.
fn check_nothing_lost(releases: &[Release], new: &[SignedArtifact]) -> Result<()> {
    let names: BTreeSet<String> = new.iter().map(SignedArtifact::name).collect();
    for release in releases
        .iter()
        .filter(|release| release.state == ReleaseState::Published)
    {
        let Some(counter) = release.release_counter else {
            continue;
        };
        let lost = release
            .artifacts
            .iter()
            .find(|artifact| !names.contains(&target_name(counter, &artifact.sha256)));
        if let Some(artifact) = lost {
            return Err(refused(format!(
                "the targets lack {} of release {}, which is published, or give one of its models to nobody. \
                 Withdraw the release first, or sign targets that begin with those on the server",
                target_name(counter, &artifact.sha256),
                release.version
            )));
        }
    }
    Ok(())
}

/// Lets publishers change nothing but the permission to go back.
fn check_unchanged(old: &SignedArtifact, new: &SignedArtifact) -> Result<()> {
    let mut expected = old.clone();
    expected.facts.downgrade_permitted = new.facts.downgrade_permitted;
    if expected == *new {
        return Ok(());
    }
    Err(refused(format!(
        "{} was signed before and says something else now. Publish a new release instead",
        new.name()
    )))
}

fn check_counter(releases: &[Release], counter: u64) -> Result<()> {
    let last = releases
        .iter()
        .filter_map(|release| release.release_counter)
        .max()
        .unwrap_or(0);
    if counter > last {
        return Ok(());
    }
    Err(refused(format!(
        "release counter {counter} was given before; the last one here is {last}. \
         Sign targets that begin with those on the server"
    )))
}

async fn check_stored(tx: &DatabaseTransaction, signed: &SignedArtifact) -> Result<()> {
    let mismatch = |detail: String| Error::problem(ProblemCode::DigestMismatch, detail);
    let row = artifact::kept(signed.sha256).one(tx).await?;
    let Some(row) = row else {
        return Err(mismatch(format!(
            "{} was signed, but no bytes with this SHA-256 were uploaded. Upload exactly the bytes that were signed.",
            signed.name()
        )));
    };
    let size = u64::try_from(row.size)
        .map_err(|_| Error::Corrupt(format!("the size of artifact {}", row.sha256)))?;
    signed
        .matches(size, &signed.sha256)
        .map_err(|error| mismatch(error.to_string()))
}

/// Finds the draft that targets of one counter are for; whatever differs is named.
fn fitting_draft<'a>(releases: &'a [Release], signed: &[&SignedArtifact]) -> Result<&'a Release> {
    let Some(first) = signed.first() else {
        return Err(refused("nothing was signed".into()));
    };
    let model = first
        .facts
        .models
        .first()
        .and_then(|model| Model::new(model).ok());
    let version = Version::from(first.facts.version.as_str());
    let same_version = releases.iter().filter(|release| release.version == version);
    let found = model.and_then(|model| {
        same_version
            .clone()
            .find(|release| release.artifact_for(&model).is_some())
    });
    let Some(release) = found else {
        return Err(refused(format!(
            "{} is signed as version {version} for {}, but no such release was made here. Make it first",
            first.name(),
            first.facts.models.join(", ")
        )));
    };
    if release.state != ReleaseState::Draft {
        return Err(refused(format!(
            "release {version} is {} already, so it can't be signed anew",
            release.state.as_str()
        )));
    }
    for artifact in signed {
        check_fits(release, artifact)?;
    }
    if let Some(missing) = release
        .artifacts
        .iter()
        .find(|own| !signed.iter().any(|other| other.sha256 == own.sha256))
    {
        return Err(refused(format!(
            "release {version} has the artifact {} too, which isn't signed under this counter. Sign all of its artifacts at once",
            missing.sha256
        )));
    }
    Ok(release)
}

fn check_fits(release: &Release, signed: &SignedArtifact) -> Result<()> {
    let facts = &signed.facts;
    let own = release
        .artifacts
        .iter()
        .find(|artifact| artifact.sha256 == signed.sha256);
    let text =
        |version: &Option<Version>| version.as_ref().map(|version| version.as_str().to_owned());
    let models: BTreeSet<&str> = facts.models.iter().map(String::as_str).collect();
    let fits_models =
        |own: &[Model]| own.iter().map(Model::as_str).collect::<BTreeSet<_>>() == models;
    let difference = match own {
        None => Some("its bytes"),
        Some(own) if own.kind != facts.kind => Some("its kind"),
        Some(own) if !fits_models(&own.models) => Some("its models"),
        _ if release.version.as_str() != facts.version => Some("its version"),
        _ if text(&release.min_version) != facts.min_version => Some("its min_version"),
        _ if text(&release.min_bootloader_version) != facts.min_bootloader_version => {
            Some("its min_bootloader_version")
        }
        _ if release.required != facts.required => Some("whether it is required"),
        _ if release.notes != facts.notes => Some("its notes"),
        _ => None,
    };
    match difference {
        None => Ok(()),
        Some(what) => Err(refused(format!(
            "{} differs from the draft of release {} in {what}. Sign what the draft says, or make a new release",
            signed.name(),
            release.version
        ))),
    }
}
