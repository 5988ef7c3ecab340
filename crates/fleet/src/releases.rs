//! Versions of software.

use std::collections::{BTreeMap, BTreeSet};

use otter_protocol::admin::{ChangeKind, NewRelease, ReleaseDetail};
use otter_protocol::device::DeviceState;
use otter_protocol::release::{Artifact, Release, ReleaseState};
use otter_protocol::{Model, ProblemCode, ReleaseId, Timestamp, Version};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::Query;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, JoinType,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::json;

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::{artifact, device, release, release_artifact, rollout};
use crate::error::{Error, Result, is_duplicate};
use crate::fleet::Fleet;
use crate::rollouts::abort_rollouts_of;
use crate::text::check_text;
use crate::webhooks::Notice;

/// Most bytes of a version.
const MAX_VERSION: usize = 100;
/// Most bytes of notes.
const MAX_NOTES: usize = 64 << 10;

impl Fleet {
    /// Makes a draft of artifacts that are in the store; `already_exists` where one of the models has the version.
    pub async fn create_release(&self, actor: &Actor, new: &NewRelease) -> Result<Release> {
        check(new)?;
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        check_stored(&tx, new).await?;
        check_version_is_free(&tx, new).await?;
        let text =
            |version: &Option<Version>| version.as_ref().map(|version| version.as_str().to_owned());
        let row = release::ActiveModel {
            id: NotSet,
            version: Set(new.version.as_str().to_owned()),
            notes: Set(new.notes.clone()),
            state: Set(ReleaseState::Draft.as_str().to_owned()),
            min_version: Set(text(&new.min_version)),
            min_bootloader_version: Set(text(&new.min_bootloader_version)),
            required: Set(new.required),
            release_counter: Set(None),
            created_at: Set(now.0),
            created_by: Set(actor.to_string()),
            published_at: Set(None),
            says_signed: Set(false),
        };
        let row = release::Entity::insert(row)
            .exec_with_returning(&tx)
            .await?;
        insert_artifacts(&tx, row.id, new).await?;
        let made = load_release(&tx, ReleaseId(row.id)).await?;
        audit::record(
            &tx,
            now,
            Happening::new(actor, "release.create", "release", made.id).after(&made),
        )
        .await?;
        tx.commit().await?;
        self.changed(ChangeKind::Release, made.id);
        Ok(made)
    }

    /// Lists releases, the newest first.
    pub async fn releases(&self) -> Result<Vec<Release>> {
        let mut releases = load_releases(self.db(), Condition::all()).await?;
        releases.reverse();
        Ok(releases)
    }

    /// Returns a release with where it runs and its rollouts.
    pub async fn release(&self, id: ReleaseId) -> Result<ReleaseDetail> {
        let release = load_release(self.db(), id).await?;
        let devices_on_it = device::Entity::find()
            .filter(device::Column::State.eq(DeviceState::Accepted.as_str()))
            .filter(device::Column::Model.is_in(release.models().iter().map(Model::as_str)))
            .filter(device::Column::Version.eq(release.version.as_str()))
            .count(self.db())
            .await?;
        let rows = rollout::Entity::find()
            .filter(rollout::Column::ReleaseId.eq(id.0))
            .order_by_desc(rollout::Column::Id)
            .all(self.db())
            .await?;
        Ok(ReleaseDetail {
            release,
            devices_on_it,
            rollouts: self.rollout_summaries(rows).await?,
        })
    }

    /// Takes a release back: live rollouts of it are aborted, no device gets it any more.
    pub async fn withdraw_release(
        &self,
        actor: &Actor,
        id: ReleaseId,
        reason: &str,
    ) -> Result<Release> {
        check_text("reason", reason, 1000)?;
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        // Locked first: a rollout of it that is being made now is seen below, or sees this.
        locked(&tx, release::Entity::find_by_id(id.0))
            .one(&tx)
            .await?;
        let before = load_release(&tx, id).await?;
        if before.state == ReleaseState::Withdrawn {
            let detail = format!("Release {} was withdrawn before.", before.version);
            return Err(Error::problem(ProblemCode::Conflict, detail));
        }
        let withdrawn = ReleaseState::Withdrawn.as_str().to_owned();
        let change = release::ActiveModel {
            id: Set(id.0),
            state: Set(withdrawn),
            ..Default::default()
        };
        release::Entity::update(change).exec(&tx).await?;
        let happening = Happening::new(actor, "release.withdraw", "release", id)
            .before(json!({ "state": before.state }))
            .after(json!({ "state": ReleaseState::Withdrawn, "reason": reason }));
        audit::record(&tx, now, happening).await?;
        let why = format!("release {} was withdrawn", before.version);
        let aborted = abort_rollouts_of(&tx, actor, id, now, &why).await?;
        let notices = aborted.iter().map(|id| Notice::rollout(*id, "aborted"));
        self.announce(&tx, &notices.collect::<Vec<_>>()).await?;
        tx.commit().await?;
        self.renew_plan().await?;
        self.changed(ChangeKind::Release, id);
        for rollout in aborted {
            self.changed(ChangeKind::Rollout, rollout);
        }
        Ok(Release {
            state: ReleaseState::Withdrawn,
            ..before
        })
    }

    /// Returns the published releases in the order of their publication.
    pub(crate) async fn published_releases(&self) -> Result<Vec<Release>> {
        let published = release::Column::State.eq(ReleaseState::Published.as_str());
        let mut releases = load_releases(self.db(), Condition::all().add(published)).await?;
        releases.sort_by_key(|release| (release.published_at, release.release_counter, release.id));
        Ok(releases)
    }
}

/// Loads releases by number, the lowest first.
pub(crate) async fn load_releases(
    db: &impl ConnectionTrait,
    filter: Condition,
) -> Result<Vec<Release>> {
    let rows = release::Entity::find()
        .filter(filter.clone())
        .order_by_asc(release::Column::Id)
        .all(db)
        .await?;
    let ids = Query::select()
        .column(release::Column::Id)
        .from(release::Entity)
        .cond_where(filter)
        .to_owned();
    let to_artifact = release_artifact::Entity::belongs_to(artifact::Entity)
        .from(release_artifact::Column::Sha256)
        .to(artifact::Column::Sha256)
        .into();
    let artifacts: Vec<(i64, String, String, String, i64)> = release_artifact::Entity::find()
        .select_only()
        .columns([
            release_artifact::Column::ReleaseId,
            release_artifact::Column::Sha256,
            release_artifact::Column::Kind,
            release_artifact::Column::Model,
        ])
        .column(artifact::Column::Size)
        .join(JoinType::InnerJoin, to_artifact)
        .filter(release_artifact::Column::ReleaseId.in_subquery(ids))
        .order_by_asc(release_artifact::Column::Model)
        .into_tuple()
        .all(db)
        .await?;
    let mut by_release: BTreeMap<i64, Vec<Artifact>> = BTreeMap::new();
    for (release, sha256, kind, model, size) in artifacts {
        add_artifact(
            by_release.entry(release).or_default(),
            release,
            (&sha256, &kind, &model, size),
        )?;
    }
    rows.into_iter()
        .map(|row| {
            let artifacts = by_release.remove(&row.id).unwrap_or_default();
            release_of(row, artifacts)
        })
        .collect()
}

pub(crate) async fn load_release(db: &impl ConnectionTrait, id: ReleaseId) -> Result<Release> {
    let found = load_releases(db, Condition::all().add(release::Column::Id.eq(id.0))).await?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| Error::not_found(format!("release {id}")))
}

/// Adds a row's model to the artifact of its bytes.
fn add_artifact(
    artifacts: &mut Vec<Artifact>,
    release: i64,
    row: (&str, &str, &str, i64),
) -> Result<()> {
    let corrupt = || Error::Corrupt(format!("the artifacts of release {release}"));
    let (sha256, kind, model, size) = row;
    let sha256 = sha256.parse().map_err(|_| corrupt())?;
    let model = Model::new(model).map_err(|_| corrupt())?;
    match artifacts
        .iter_mut()
        .find(|artifact| artifact.sha256 == sha256)
    {
        Some(artifact) => artifact.models.push(model),
        None => artifacts.push(Artifact {
            sha256,
            size: u64::try_from(size).map_err(|_| corrupt())?,
            kind: kind.parse().map_err(|_| corrupt())?,
            models: vec![model],
        }),
    }
    Ok(())
}

fn release_of(row: release::Model, artifacts: Vec<Artifact>) -> Result<Release> {
    let corrupt = |what: &str| Error::Corrupt(format!("the {what} of release {}", row.id));
    let state = ReleaseState::named(&row.state).ok_or_else(|| corrupt("state"))?;
    let counter = row
        .release_counter
        .map(u64::try_from)
        .transpose()
        .map_err(|_| corrupt("counter"))?;
    Ok(Release {
        id: ReleaseId(row.id),
        version: row.version.as_str().into(),
        notes: row.notes,
        state,
        min_version: row.min_version.map(Version::from),
        min_bootloader_version: row.min_bootloader_version.map(Version::from),
        required: row.required,
        release_counter: counter,
        artifacts,
        created_at: Timestamp(row.created_at),
        published_at: row.published_at.map(Timestamp),
        says_signed: row.says_signed,
    })
}

pub(crate) fn check(new: &NewRelease) -> Result<()> {
    check_version("version", &new.version)?;
    for (field, version) in [
        ("min_version", &new.min_version),
        ("min_bootloader_version", &new.min_bootloader_version),
    ] {
        version
            .as_ref()
            .map_or(Ok(()), |version| check_version(field, version))?;
    }
    check_text("notes", &new.notes, MAX_NOTES)?;
    if new.artifacts.is_empty() {
        return Err(Error::invalid(
            "artifacts",
            "A release needs at least one artifact.",
        ));
    }
    let (mut seen_models, mut seen_bytes) = (BTreeSet::new(), BTreeSet::new());
    for (place, artifact) in new.artifacts.iter().enumerate() {
        if !seen_bytes.insert(artifact.sha256) {
            let detail =
                "These bytes are in the release already; name all their models in one place.";
            return Err(Error::invalid(format!("artifacts[{place}].sha256"), detail));
        }
        let field = format!("artifacts[{place}].models");
        if artifact.models.is_empty() {
            return Err(Error::invalid(
                field,
                "An artifact needs at least one model.",
            ));
        }
        if let Some(model) = artifact
            .models
            .iter()
            .find(|model| !seen_models.insert((*model).clone()))
        {
            return Err(Error::invalid(
                field,
                format!("The model `{model}` is named twice; a model gets one artifact."),
            ));
        }
    }
    Ok(())
}

fn check_version(field: &str, version: &Version) -> Result<()> {
    if version.as_str().trim().is_empty() {
        return Err(Error::invalid(field, "The version must not be empty."));
    }
    if version.as_str().chars().any(char::is_control) {
        return Err(Error::invalid(
            field,
            "The version must have no control characters.",
        ));
    }
    check_text(field, version.as_str(), MAX_VERSION)
}

pub(crate) async fn check_stored(tx: &DatabaseTransaction, new: &NewRelease) -> Result<()> {
    for (place, wanted) in new.artifacts.iter().enumerate() {
        if artifact::kept(wanted.sha256).one(tx).await?.is_none() {
            let detail = format!("There is no artifact {}; upload it first.", wanted.sha256);
            return Err(Error::invalid(format!("artifacts[{place}].sha256"), detail));
        }
    }
    Ok(())
}

fn version_is_taken(version: &Version, model: &str) -> Error {
    let detail = format!(
        "There is a release {version} for `{model}` already. Give this one another version."
    );
    Error::problem(ProblemCode::AlreadyExists, detail)
}

pub(crate) async fn check_version_is_free(
    db: &impl ConnectionTrait,
    new: &NewRelease,
) -> Result<()> {
    let models = new
        .artifacts
        .iter()
        .flat_map(|artifact| &artifact.models)
        .map(Model::as_str);
    let taken = release_artifact::Entity::find()
        .filter(release_artifact::Column::Version.eq(new.version.as_str()))
        .filter(release_artifact::Column::Model.is_in(models))
        .one(db)
        .await?;
    taken.map_or(Ok(()), |row| {
        Err(version_is_taken(&new.version, &row.model))
    })
}

pub(crate) async fn insert_artifacts(
    tx: &DatabaseTransaction,
    release: i64,
    new: &NewRelease,
) -> Result<()> {
    for artifact in &new.artifacts {
        for model in &artifact.models {
            let row = release_artifact::ActiveModel {
                release_id: Set(release),
                model: Set(model.to_string()),
                version: Set(new.version.as_str().to_owned()),
                sha256: Set(artifact.sha256.to_string()),
                kind: Set(artifact.kind.as_str().to_owned()),
            };
            let inserted = release_artifact::Entity::insert(row)
                .exec_without_returning(tx)
                .await;
            // Another's may have come since the check.
            inserted.map_err(|error| match is_duplicate(&error) {
                true => version_is_taken(&new.version, model.as_str()),
                false => error.into(),
            })?;
        }
    }
    Ok(())
}
