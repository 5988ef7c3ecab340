//! Devices of the plain firmware API: known by their name, without a signature to verify. They poll and report like all
//! others ([`poll`](crate::poll), [`reports`](crate::reports)); here stands only what their words are in ours.

use std::sync::Arc;

use otter_protocol::admin::ChangeKind;
use otter_protocol::attempt::AttemptState;
use otter_protocol::check_in::CheckIn;
use otter_protocol::device::{DeviceState, Dialect};
use otter_protocol::release::Release;
use otter_protocol::{AttemptReport, DeviceId, Model, ProblemCode, Sha256Digest, Version};
use sea_orm::ActiveValue::Set;
use sea_orm::{EntityTrait, TryInsertResult};
use serde_json::json;

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::device;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::known_device::KnownDevice;
use crate::poll::Answered;
use crate::reports::Numbering;
use crate::text::check_text;

/// Most bytes of a version.
const MAX_VERSION: usize = 100;

/// What a device of the plain firmware API is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareAnswer {
    /// Its model's newest firmware, whether or not it is for this device.
    pub newest: Option<Version>,
    /// What it is to install.
    pub offer: Option<FirmwareOffer>,
}

/// Firmware that a device is to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareOffer {
    /// Its version.
    pub version: Version,
    /// Length in bytes.
    pub size: u64,
    /// Names the bytes.
    pub sha256: Sha256Digest,
    /// What changed, to people.
    pub notes: String,
}

/// A device's word on an update, which names no attempt and isn't counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareReport {
    /// The version that it is about.
    pub version: Version,
    /// Where the device says it is.
    pub state: AttemptState,
    /// How much of the state's work is done, 0 to 100.
    pub progress: Option<u8>,
    /// On a failure, why.
    pub message: Option<String>,
}

impl Fleet {
    /// Registers a device by its first word, without a key or a token; one that is known already stays as it is.
    pub async fn register_firmware_device(
        &self,
        id: &DeviceId,
        model: &Model,
        version: &Version,
    ) -> Result<Arc<KnownDevice>> {
        check_version(version)?;
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        let row = device::ActiveModel {
            id: Set(id.to_string()),
            model: Set(model.to_string()),
            version: Set(version.to_string()),
            state: Set(DeviceState::Accepted.as_str().to_owned()),
            dialect: Set(Dialect::Firmware.as_str().to_owned()),
            labels: Set("{}".to_owned()),
            metadata: Set("{}".to_owned()),
            conditions: Set("{}".to_owned()),
            public_key: Set(String::new()),
            enrolled_at: Set(now.0),
            updated_at: Set(now.0),
            last_seen_at: Set(Some(now.0)),
            ..Default::default()
        };
        let inserted = device::Entity::insert(row)
            .on_conflict_do_nothing_on([device::Column::Id])
            .exec_without_returning(&tx)
            .await?;
        if let TryInsertResult::Inserted(1) = inserted {
            let actor = Actor::Device(id.clone());
            let facts = json!({
                "state": DeviceState::Accepted,
                "model": model,
                "dialect": Dialect::Firmware,
            });
            let happening = Happening::new(&actor, "device.enroll", "device", id).after(facts);
            audit::record(&tx, now, happening).await?;
        }
        tx.commit().await?;
        self.changed(ChangeKind::Device, id);
        let known = self.device_by_name(id).await?;
        known.ok_or_else(|| Error::Corrupt(format!("device {id} is gone as soon as it is made")))
    }

    /// Takes a device's poll by the plain firmware API, which says a model and a version, and answers with what to install.
    pub async fn firmware_check(
        &self,
        known: &Arc<KnownDevice>,
        model: &Model,
        version: Version,
    ) -> Result<FirmwareAnswer> {
        check_version(&version)?;
        let newest = |model: &Model| {
            let plan = self.plan();
            let newest = plan.newest_firmware(model);
            newest.map(|release| release.version.clone())
        };
        if known.device.state != DeviceState::Accepted {
            return Ok(FirmwareAnswer {
                newest: newest(model),
                offer: None,
            });
        }
        let known = self.with_model(known, model).await?;
        let known = self.arrived(&known, &version).await?;
        let check_in = CheckIn {
            version,
            agent_version: None,
            bootloader_version: known.device.bootloader_version.clone(),
            metadata: None,
            conditions: known.device.conditions.clone(),
            attempt: None,
            at: None,
        };
        let now = self.now();
        let polled = self.poll(&known, check_in, Dialect::Firmware, now).await?;
        let offer = match polled.answer {
            Answered::Offered { release, .. } => {
                let plan = self.plan();
                let release = plan.release(release);
                release.and_then(|release| offer_of(release, model))
            }
            Answered::Cancelled { attempt } => {
                // These devices know no order to give up; one that asks isn't at it any more.
                let report = report_of(AttemptState::Cancelled, None);
                self.take_attempt_report(&polled.known, attempt, &report, Numbering::Arrival)
                    .await?;
                None
            }
            Answered::Nothing(_) => None,
        };
        Ok(FirmwareAnswer {
            newest: newest(model),
            offer,
        })
    }

    /// Takes a device's word on an update: on its attempt at that version, or beside any attempt.
    pub async fn firmware_report(
        &self,
        known: &Arc<KnownDevice>,
        word: &FirmwareReport,
    ) -> Result<()> {
        check_version(&word.version)?;
        if known.device.state != DeviceState::Accepted {
            let detail = format!(
                "The device `{}` is {}; what it reports isn't taken.",
                known.device.id,
                known.device.state.as_str()
            );
            return Err(Error::problem(ProblemCode::Forbidden, detail));
        }
        let newest = self
            .newest_attempt_at(&known.device.id, &word.version)
            .await?;
        let Some((attempt, is_open)) = newest else {
            return self.keep_loose_report(&known.device.id, word).await;
        };
        if !is_open {
            // Late or repeated; but what it says that it runs, it runs.
            return match word.state {
                AttemptState::Succeeded => self.note_version(&known.device, &word.version).await,
                _ => Ok(()),
            };
        }
        // That an update is pending is no news of it.
        if word.state == AttemptState::Offered {
            return Ok(());
        }
        let report = AttemptReport {
            progress: word.progress,
            message: word.message.clone(),
            ..report_of(word.state, Some(word.version.clone()))
        };
        self.take_attempt_report(known, attempt, &report, Numbering::Arrival)
            .await?;
        Ok(())
    }

    /// Returns the device as one of a model, which is what its firmware says that it is.
    async fn with_model(
        &self,
        known: &Arc<KnownDevice>,
        model: &Model,
    ) -> Result<Arc<KnownDevice>> {
        let id = &known.device.id;
        if known.device.model == *model {
            return Ok(known.clone());
        }
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        let row = locked(&tx, device::Entity::find_by_id(id.as_str()))
            .one(&tx)
            .await?;
        let Some(row) = row else {
            return Ok(known.clone());
        };
        let change = device::ActiveModel {
            id: Set(row.id),
            model: Set(model.to_string()),
            updated_at: Set(now.0),
            ..Default::default()
        };
        device::Entity::update(change).exec(&tx).await?;
        let actor = Actor::Device(id.clone());
        let happening = Happening::new(&actor, "device.change_model", "device", id)
            .before(json!({ "model": row.model }))
            .after(json!({ "model": model }));
        audit::record(&tx, now, happening).await?;
        tx.commit().await?;
        self.device_changed(id);
        Ok(self
            .device_by_name(id)
            .await?
            .unwrap_or_else(|| known.clone()))
    }

    /// Takes it as the success of the attempt under way where the device runs what that was to bring: it came up on it, and
    /// says so itself.
    async fn arrived(
        &self,
        known: &Arc<KnownDevice>,
        version: &Version,
    ) -> Result<Arc<KnownDevice>> {
        let Some(open) = &known.device.attempt else {
            return Ok(known.clone());
        };
        let plan = self.plan();
        let release = plan.release(open.release);
        if release.is_none_or(|release| release.version != *version) {
            return Ok(known.clone());
        }
        let report = report_of(AttemptState::Succeeded, Some(version.clone()));
        self.take_attempt_report(known, open.id, &report, Numbering::Arrival)
            .await?;
        let anew = self.device_by_name(&known.device.id).await?;
        Ok(anew.unwrap_or_else(|| known.clone()))
    }
}

fn offer_of(release: &Arc<Release>, model: &Model) -> Option<FirmwareOffer> {
    let artifact = release.artifact_for(model)?;
    Some(FirmwareOffer {
        version: release.version.clone(),
        size: artifact.size,
        sha256: artifact.sha256,
        notes: release.notes.clone(),
    })
}

/// Makes a report that is numbered as it arrives.
fn report_of(state: AttemptState, version: Option<Version>) -> AttemptReport {
    AttemptReport {
        sequence: 0,
        state,
        progress: None,
        message: None,
        version,
        at: None,
    }
}

pub(crate) fn check_version(version: &Version) -> Result<()> {
    if version.as_str().trim().is_empty() {
        return Err(Error::invalid("version", "The version must not be empty."));
    }
    check_text("version", version.as_str(), MAX_VERSION)
}
