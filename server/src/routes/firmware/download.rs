//! The bytes of firmware, by its version.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::Response;
use otter_fleet::PublishedFirmware;
use otter_protocol::{Model, ProblemCode, Version};
use serde::Deserialize;

use super::caller::Shown;
use super::failure::{Plain, Said};
use crate::extract::{Path, Query};
use crate::routes::device::artifacts::send;
use crate::server::Server;

/// Names the version of the bytes.
const FIRMWARE_VERSION: HeaderName = HeaderName::from_static("x-firmware-version");
/// Names the bytes.
const CHECKSUM: HeaderName = HeaderName::from_static("x-checksum-sha256");

/// Which of several firmwares of one version.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// The model that it is for; needed where two models' bytes have the same version.
    #[param(value_type = Option<String>, min_length = 1, max_length = 64)]
    device_model: Option<Model>,
}

/// Sends firmware, or a part of it.
#[utoipa::path(get, path = "/api/firmware/download/{version}", tag = "Plain firmware API", operation_id = "firmware_download",
    params(
        ("version" = String, Path, description = "The version"),
        Which,
        ("Range" = Option<String>, Header, description = "One range of bytes, such as `bytes=65536-`"),
    ),
    responses(
        (status = 200, description = "The bytes", content_type = "application/octet-stream"),
        (status = 206, description = "The part asked for", content_type = "application/octet-stream"),
        (status = 304, description = "The client has them"),
    ))]
pub(crate) async fn download(
    State(server): State<Server>,
    shown: Shown,
    Said(Path(version)): Said<Path<Version>>,
    Said(Query(which)): Said<Query<Which>>,
    method: Method,
    request: HeaderMap,
) -> Result<Response, Plain> {
    shown.count_nameless(&server)?;
    let model = which.device_model.as_ref();
    let found = server.fleet().find_firmware(&version, model).await?;
    let sha256 = the_one(&found, &version)?.artifact.sha256;
    let mut response = send(&server, sha256, &method, &request).await?;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(version.as_str()) {
        headers.insert(FIRMWARE_VERSION, value);
    }
    if let Ok(value) = HeaderValue::from_str(&sha256.to_string()) {
        headers.insert(CHECKSUM, value);
    }
    Ok(response)
}

/// Returns the firmware that is meant: there must be one, or all must have the same bytes.
fn the_one<'a>(
    found: &'a [PublishedFirmware],
    version: &Version,
) -> Result<&'a PublishedFirmware, Plain> {
    let Some(first) = found.first() else {
        let detail = format!("There is no firmware {version}.");
        return Err(Plain::new(ProblemCode::NotFound, detail));
    };
    if found
        .iter()
        .all(|one| one.artifact.sha256 == first.artifact.sha256)
    {
        return Ok(first);
    }
    let models: Vec<&str> = found.iter().map(|one| one.model.as_str()).collect();
    let detail = format!(
        "Firmware {version} differs between the models {}; say which by device_model.",
        models.join(", ")
    );
    Err(Plain::new(ProblemCode::Conflict, detail))
}
