//! What publishers of firmware look at: releases, devices, updates.

use axum::Json;
use axum::extract::State;
use otter_fleet::UpdateFilter;
use otter_protocol::{DeviceId, Model, Timestamp, Version};
use serde::{Deserialize, Serialize};

use super::Answer;
use super::caller::Reader;
use super::failure::Said;
use super::statuses::Status;
use crate::extract::Query;
use crate::failure::Failure;
use crate::server::Server;

/// Which releases.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReleaseFilter {
    /// For this model.
    #[param(value_type = Option<String>, min_length = 1, max_length = 64)]
    device_model: Option<Model>,
    /// At most so many, 1 to 100; 10 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// Releases, the newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FirmwareReleases {
    /// Each for one model.
    releases: Vec<FirmwareRelease>,
}

/// Firmware for one model.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FirmwareRelease {
    version: String,
    device_model: String,
    file_size: u64,
    checksum_sha256: String,
    /// Whether its publisher says so, or signed metadata names it.
    is_signed: bool,
    created_at: Timestamp,
    release_notes: String,
}

/// Lists firmware, the newest first.
#[utoipa::path(get, path = "/api/admin/firmware/releases", tag = "Plain firmware API", operation_id = "firmware_releases",
    params(ReleaseFilter),
    responses((status = 200, description = "The newest first", body = FirmwareReleases)))]
pub(crate) async fn releases(
    State(server): State<Server>,
    _: Reader,
    Said(Query(filter)): Said<Query<ReleaseFilter>>,
) -> Answer<FirmwareReleases> {
    let most = limit(filter.limit, 10, 100)?;
    let mut published = server.fleet().published_firmware();
    published.retain(|one| {
        let model = filter.device_model.as_ref();
        model.is_none_or(|model| one.model == *model)
    });
    published.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let releases = published.into_iter().map(|one| FirmwareRelease {
        version: one.release.version.to_string(),
        device_model: one.model.to_string(),
        file_size: one.artifact.size,
        checksum_sha256: one.artifact.sha256.to_string(),
        is_signed: one.release.says_signed || one.release.is_signed(),
        created_at: one.release.created_at,
        release_notes: one.release.notes.clone(),
    });
    Ok(Json(FirmwareReleases {
        releases: releases.collect(),
    }))
}

/// Which devices.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SeenFilter {
    /// Of this model.
    #[param(value_type = Option<String>, min_length = 1, max_length = 64)]
    device_model: Option<Model>,
    /// At most so many, 1 to 500; 50 where absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u64>,
}

/// Devices, those that were seen last first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SeenDevices {
    devices: Vec<SeenDevice>,
}

/// A device.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SeenDevice {
    device_id: String,
    device_model: String,
    current_firmware_version: String,
    last_seen: Option<Timestamp>,
    created_at: Timestamp,
}

/// Lists devices, those that were seen last first.
#[utoipa::path(get, path = "/api/admin/devices", tag = "Plain firmware API", operation_id = "firmware_devices",
    params(SeenFilter),
    responses((status = 200, description = "Seen last first", body = SeenDevices)))]
pub(crate) async fn devices(
    State(server): State<Server>,
    _: Reader,
    Said(Query(filter)): Said<Query<SeenFilter>>,
) -> Answer<SeenDevices> {
    let most = limit(filter.limit, 50, 500)?;
    let model = filter.device_model.as_ref();
    let devices = server.fleet().devices_seen_last(model, most).await?;
    let devices = devices.into_iter().map(|device| SeenDevice {
        device_id: device.id.to_string(),
        device_model: device.model.to_string(),
        current_firmware_version: device.version.to_string(),
        last_seen: device.last_seen_at,
        created_at: device.enrolled_at,
    });
    Ok(Json(SeenDevices {
        devices: devices.collect(),
    }))
}

/// Which updates.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UpdatesFilter {
    /// Of this device.
    #[param(value_type = Option<String>, min_length = 1, max_length = 128)]
    device_id: Option<DeviceId>,
    /// To this version.
    #[param(value_type = Option<String>, max_length = 100)]
    firmware_version: Option<Version>,
    /// At most so many, 1 to 500; 50 where absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u64>,
}

/// Updates, the newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Updates {
    updates: Vec<Update>,
}

/// The last word on a device's update to a version.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Update {
    device_id: String,
    firmware_version: String,
    status: Status,
    error_message: Option<String>,
    progress_percent: Option<i32>,
    started_at: Timestamp,
    completed_at: Option<Timestamp>,
    reported_at: Timestamp,
}

/// Lists updates, the newest first.
#[utoipa::path(get, path = "/api/admin/update-status", tag = "Plain firmware API", operation_id = "firmware_updates",
    params(UpdatesFilter),
    responses((status = 200, description = "The newest first", body = Updates)))]
pub(crate) async fn updates(
    State(server): State<Server>,
    _: Reader,
    Said(Query(filter)): Said<Query<UpdatesFilter>>,
) -> Answer<Updates> {
    let filter = UpdateFilter {
        limit: limit(filter.limit, 50, 500)?,
        device: filter.device_id,
        version: filter.firmware_version,
    };
    let words = server.fleet().update_words(&filter).await?;
    let updates = words.into_iter().map(|word| Update {
        device_id: word.device,
        firmware_version: word.version,
        status: Status::of(word.state),
        error_message: word.message,
        progress_percent: word.progress,
        started_at: word.started_at,
        completed_at: word.finished_at,
        reported_at: word.reported_at,
    });
    Ok(Json(Updates {
        updates: updates.collect(),
    }))
}

fn limit(given: Option<u64>, usual: u64, most: u64) -> Result<u64, Failure> {
    match given.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        limit => Err(Failure::invalid(
            "limit",
            format!("Give a number from 1 to {most}, not {limit}."),
        )),
    }
}
