//! Firmware that publishers upload: stored as it comes, and published at once.

use std::time::Duration;

use axum::Json;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request, State};
use otter_fleet::{NewFirmware, Upload};
use otter_protocol::admin::StoredArtifact;
use otter_protocol::{Model, ProblemCode, Version};
use serde::{Deserialize, Serialize};

use super::Answer;
use super::caller::Publisher;
use super::failure::{Plain, Said};
use crate::body;
use crate::extract::Query;
use crate::failure::Failure;
use crate::server::Server;

/// How long an upload may stand still.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of what is refused that are still read, so that the client is listening when the answer comes.
const COURTESY: usize = 4 << 20;
/// Most parts of a form that are passed over in search of the file.
const MOST_PARTS: usize = 16;

/// What the firmware is.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Facts {
    /// Its version.
    #[param(value_type = String, min_length = 1, max_length = 100)]
    version: Version,
    /// The model that it is for.
    #[param(value_type = String, min_length = 1, max_length = 64)]
    device_model: Model,
    /// The lowest version that can update to it directly.
    #[param(value_type = Option<String>, max_length = 100)]
    min_version: Option<String>,
    /// What changed, in detail; added to the notes.
    changelog: Option<String>,
    /// What changed, to people.
    release_notes: Option<String>,
    /// Whether the bytes carry a signature that the device's boot loader checks; this server doesn't.
    #[serde(default, deserialize_with = "yes_or_no")]
    is_signed: bool,
}

/// Reads what publishers' scripts write for yes and no.
fn yes_or_no<'de, D: serde::Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let text = String::deserialize(from)?;
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" | "" => Ok(false),
        _ => Err(serde::de::Error::custom(format!(
            "give true or false, not `{text}`"
        ))),
    }
}

/// The form that the file comes in.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes what is read part by part")]
pub(crate) struct Form {
    /// The bytes.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// What was stored.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Uploaded {
    /// `ok`.
    status: &'static str,
    /// The same, to people.
    message: String,
    /// Its version.
    version: String,
    /// How many bytes it has.
    file_size: u64,
    /// Their SHA-256 in 64 hex digits.
    checksum_sha256: String,
}

/// Stores firmware and publishes it; devices get it once a rollout takes them in.
#[utoipa::path(post, path = "/api/admin/firmware/upload", tag = "Plain firmware API", operation_id = "firmware_upload",
    params(Facts),
    request_body(content = Form, content_type = "multipart/form-data"),
    responses((status = 200, description = "Published", body = Uploaded)))]
pub(crate) async fn upload(
    State(server): State<Server>,
    publisher: Publisher,
    Said(Query(facts)): Said<Query<Facts>>,
    request: Request,
) -> Answer<Uploaded> {
    let fleet = server.fleet();
    let (parts, body) = request.into_parts();
    let is_new = fleet.check_firmware_is_new(&facts.version, &facts.device_model);
    if let Err(error) = is_new.await {
        // Nothing is kept of it; the client hears why once it has sent it.
        body::drain(&parts.headers, &mut body.into_data_stream()).await;
        return Err(error.into());
    }
    let form = Multipart::from_request(Request::from_parts(parts, body), &server).await;
    let form = form.map_err(|error| Failure::body(error.body_text()))?;
    let upload = fleet.begin_upload(&publisher.actor, None, None).await?;
    let stored = receive(form, upload).await?;
    let new = NewFirmware {
        version: facts.version.clone(),
        model: facts.device_model.clone(),
        sha256: stored.sha256,
        notes: notes(&facts),
        min_version: facts
            .min_version
            .filter(|version| !version.trim().is_empty())
            .map(Version::from),
        says_signed: facts.is_signed,
    };
    let release = fleet.publish_firmware(&publisher.actor, &new).await?;
    Ok(Json(Uploaded {
        status: "ok",
        message: format!(
            "Firmware {} for {} uploaded successfully",
            release.version, new.model
        ),
        version: release.version.to_string(),
        file_size: stored.size,
        checksum_sha256: stored.sha256.to_string(),
    }))
}

/// Puts what changed into one text.
fn notes(facts: &Facts) -> String {
    let texts = [&facts.release_notes, &facts.changelog];
    let mut texts: Vec<&str> = texts
        .into_iter()
        .flatten()
        .map(String::as_str)
        .filter(|text| !text.trim().is_empty())
        .collect();
    texts.dedup();
    texts.join("\n\n")
}

/// Takes the form's file as it comes; one that ends early is dropped, and leaves nothing.
async fn receive(mut form: Multipart, upload: Upload) -> Result<StoredArtifact, Plain> {
    for _ in 0..MOST_PARTS {
        let part = in_time(form.next_field()).await?;
        match part {
            Some(part) if part.name() == Some("file") => return store(part, upload).await,
            Some(_) => {}
            None => break,
        }
    }
    let detail = "The form has no part `file` with the firmware's bytes.";
    Err(Failure::invalid("file", detail).into())
}

async fn store(mut part: Field<'_>, mut upload: Upload) -> Result<StoredArtifact, Plain> {
    let mut is_empty = true;
    while let Some(chunk) = in_time(part.chunk()).await? {
        is_empty &= chunk.is_empty();
        if let Err(error) = upload.write(&chunk).await {
            drain(&mut part).await;
            return Err(error.into());
        }
    }
    if is_empty {
        return Err(Failure::invalid("file", "The file is empty.").into());
    }
    Ok(upload.finish().await?)
}

/// Reads and drops what still comes of a part, within reason.
async fn drain(part: &mut Field<'_>) {
    let mut left = COURTESY;
    while let Ok(Some(chunk)) = in_time(part.chunk()).await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            break;
        }
    }
}

/// Waits for the next of a form, for as long as one may stand still.
async fn in_time<T>(next: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, next).await {
        Ok(Ok(next)) => Ok(next),
        Ok(Err(error)) => Err(Failure::body(error.body_text())),
        Err(_) => Err(Failure::new(
            ProblemCode::InvalidRequest,
            format!(
                "Nothing came for {} seconds; send the firmware again.",
                PATIENCE.as_secs()
            ),
        )),
    }
}
