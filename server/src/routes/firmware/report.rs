//! What devices say of their updates.

use axum::Json;
use axum::extract::State;
use otter_fleet::FirmwareReport;
use otter_protocol::{DeviceId, ProblemCode, Version};
use serde::Deserialize;

use super::caller::Shown;
use super::failure::{Plain, Said, SaidIn};
use super::statuses::Status;
use super::{Answer, Done};
use crate::extract::{Path, Raw, parse_json};
use crate::failure::Failure;
use crate::routes::device::BODY_LIMIT;
use crate::server::Server;

/// A device's word on its update.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(crate) struct Report {
    /// The device's own name, as in the address.
    device_id: DeviceId,
    /// The version that it is about.
    #[schema(value_type = String, min_length = 1, max_length = 100)]
    firmware_version: Version,
    /// Where the update is.
    status: Status,
    /// How much of that is done, 0 to 100.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100)]
    progress_percent: Option<u8>,
    /// On a failure, why.
    #[serde(default)]
    error_message: Option<String>,
}

/// Takes a device's word on its update.
#[utoipa::path(post, path = "/api/device/{device_id}/update-status", tag = "Plain firmware API", operation_id = "firmware_report",
    params(("device_id" = DeviceId, Path, description = "The device's own name")),
    request_body = Report,
    responses((status = 200, description = "Taken", body = Done)))]
pub(crate) async fn report(
    State(server): State<Server>,
    shown: Shown,
    Said(Path(device)): Said<Path<DeviceId>>,
    SaidIn(raw): SaidIn<Raw<BODY_LIMIT>>,
) -> Answer<Done> {
    // These devices don't always say that what they send is JSON.
    let said: Report = parse_json(&raw.bytes)?;
    check(&said, &device)?;
    let Some(known) = shown.device(&server, &device).await? else {
        shown.count_nameless(&server)?;
        let detail = format!("There is no device `{device}`; it is registered when it checks.");
        return Err(Plain::new(ProblemCode::NotFound, detail));
    };
    let word = FirmwareReport {
        version: said.firmware_version,
        state: said.status.state(),
        progress: said.progress_percent,
        message: said.error_message,
    };
    server.fleet().firmware_report(&known, &word).await?;
    Ok(Json(Done {
        status: "ok",
        message: "Status reported successfully",
        id: None,
    }))
}

fn check(said: &Report, device: &DeviceId) -> Result<(), Failure> {
    if said.device_id != *device {
        let detail = format!("The address names `{device}`, the body another device.");
        return Err(Failure::invalid("device_id", detail));
    }
    if said.progress_percent.is_some_and(|percent| percent > 100) {
        let detail = "Progress goes from 0 to 100.";
        return Err(Failure::invalid("progress_percent", detail));
    }
    if said.firmware_version.as_str().trim().is_empty() {
        let detail = "The version must not be empty.";
        return Err(Failure::invalid("firmware_version", detail));
    }
    Ok(())
}
