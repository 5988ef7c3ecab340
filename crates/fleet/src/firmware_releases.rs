//! Firmware that is published by its upload, signed by nobody: for devices that have no means to verify. Those that do are
//! never offered it (`Rule::DialectFits`).

use std::sync::Arc;

use otter_protocol::admin::{ChangeKind, DeviceSummary, NewArtifact, NewRelease};
use otter_protocol::device::DeviceState;
use otter_protocol::release::{Artifact, ArtifactKind, Release, ReleaseState};
use otter_protocol::{Model, ReleaseId, Sha256Digest, Version};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database;
use crate::entity::{device, release};
use crate::error::Result;
use crate::fleet::Fleet;
use crate::releases::{check, check_stored, check_version_is_free, insert_artifacts, load_release};

/// Firmware to publish, of bytes that were uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFirmware {
    /// Its version.
    pub version: Version,
    /// The model that it is for.
    pub model: Model,
    /// Names the bytes.
    pub sha256: Sha256Digest,
    /// What changed, to people.
    pub notes: String,
    /// The lowest version that can update to it directly.
    pub min_version: Option<Version>,
    /// The publisher says that the bytes carry a signature that a boot loader checks.
    pub says_signed: bool,
}

/// Firmware for one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedFirmware {
    /// The release.
    pub release: Arc<Release>,
    /// The model.
    pub model: Model,
    /// Its bytes.
    pub artifact: Artifact,
}

impl Fleet {
    /// Checks that a model has no release of a version yet (`already_exists`), before bytes are sent for nothing.
    pub async fn check_firmware_is_new(&self, version: &Version, model: &Model) -> Result<()> {
        crate::firmware::check_version(version)?;
        let new = NewFirmware {
            version: version.clone(),
            model: model.clone(),
            sha256: Sha256Digest::of(b""),
            notes: String::new(),
            min_version: None,
            says_signed: false,
        };
        check_version_is_free(self.db(), &new.as_release()).await
    }

    /// Publishes firmware without a signature; `already_exists` where the model has the version.
    pub async fn publish_firmware(&self, actor: &Actor, new: &NewFirmware) -> Result<Release> {
        let draft = new.as_release();
        check(&draft)?;
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        check_stored(&tx, &draft).await?;
        check_version_is_free(&tx, &draft).await?;
        let row = release::ActiveModel {
            id: NotSet,
            version: Set(new.version.as_str().to_owned()),
            notes: Set(new.notes.clone()),
            state: Set(ReleaseState::Published.as_str().to_owned()),
            min_version: Set(new.min_version.as_ref().map(ToString::to_string)),
            min_bootloader_version: Set(None),
            required: Set(false),
            release_counter: Set(None),
            created_at: Set(now.0),
            created_by: Set(actor.to_string()),
            published_at: Set(Some(now.0)),
            says_signed: Set(new.says_signed),
        };
        let row = release::Entity::insert(row)
            .exec_with_returning(&tx)
            .await?;
        insert_artifacts(&tx, row.id, &draft).await?;
        let made = load_release(&tx, ReleaseId(row.id)).await?;
        let happening = Happening::new(actor, "release.publish", "release", made.id).after(&made);
        audit::record(&tx, now, happening).await?;
        tx.commit().await?;
        self.renew_plan().await?;
        self.changed(ChangeKind::Release, made.id);
        Ok(made)
    }

    /// Lists published firmware, the newest first; by the plan in memory, without a query.
    pub fn published_firmware(&self) -> Vec<PublishedFirmware> {
        let plan = self.plan();
        let mut releases: Vec<&Arc<Release>> = plan.releases().collect();
        releases.sort_by_key(|release| std::cmp::Reverse((release.published_at, release.id)));
        let mut published = Vec::new();
        for release in releases {
            let firmware = release
                .artifacts
                .iter()
                .filter(|artifact| artifact.kind == ArtifactKind::Firmware);
            for artifact in firmware {
                for model in &artifact.models {
                    published.push(PublishedFirmware {
                        release: release.clone(),
                        model: model.clone(),
                        artifact: artifact.clone(),
                    });
                }
            }
        }
        published
    }

    /// Finds published firmware of a version, also where another server published it a moment ago.
    pub async fn find_firmware(
        &self,
        version: &Version,
        model: Option<&Model>,
    ) -> Result<Vec<PublishedFirmware>> {
        let found = || {
            let mut published = self.published_firmware();
            published.retain(|one| {
                one.release.version == *version && model.is_none_or(|model| one.model == *model)
            });
            published
        };
        let known = found();
        if !known.is_empty() {
            return Ok(known);
        }
        let row = release::Entity::find()
            .filter(release::Column::Version.eq(version.as_str()))
            .filter(release::Column::State.eq(ReleaseState::Published.as_str()))
            .order_by_desc(release::Column::Id)
            .one(self.db())
            .await?;
        if row.is_some_and(|row| self.plan().release(ReleaseId(row.id)).is_none()) {
            self.renew_plan().await?;
        }
        Ok(found())
    }

    /// Lists devices that take part, those that were seen last first.
    pub async fn devices_seen_last(
        &self,
        model: Option<&Model>,
        limit: u64,
    ) -> Result<Vec<DeviceSummary>> {
        use device::Column;
        // What was seen since the last write would stand in the wrong place.
        self.write_presence().await?;
        let mut query = device::Entity::find()
            .filter(Column::State.eq(DeviceState::Accepted.as_str()))
            .filter(Column::LastSeenAt.is_not_null())
            .order_by_desc(Column::LastSeenAt)
            .limit(limit);
        if let Some(model) = model {
            query = query.filter(Column::Model.eq(model.as_str()));
        }
        let rows = query.all(self.db()).await?;
        rows.into_iter()
            .map(|row| self.summary(row, None))
            .collect()
    }
}

impl NewFirmware {
    fn as_release(&self) -> NewRelease {
        NewRelease {
            version: self.version.clone(),
            notes: self.notes.clone(),
            min_version: self.min_version.clone(),
            min_bootloader_version: None,
            required: false,
            artifacts: vec![NewArtifact {
                sha256: self.sha256,
                kind: ArtifactKind::Firmware,
                models: vec![self.model.clone()],
            }],
        }
    }
}
