//! What devices say of their attempts.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use otter_protocol::check_in::ReportReply;
use otter_protocol::{AttemptId, AttemptReport, ProblemCode};

use super::BODY_LIMIT;
use crate::extract::{Device, Json, Path, Raw};
use crate::failure::{Failure, Result};
use crate::server::Server;

/// Most bytes of an attempt's log.
const LOG_LIMIT: usize = 1 << 20;

/// Takes a report on one of the device's own attempts.
#[utoipa::path(post, path = "/device/v1/attempts/{id}/reports", tag = "Device", operation_id = "report",
    params(("id" = AttemptId, Path, description = "The attempt")),
    request_body = AttemptReport,
    responses((status = 200, description = "Where the attempt is now", body = ReportReply)))]
pub(crate) async fn report(
    State(server): State<Server>,
    Device(device): Device,
    Path(attempt): Path<AttemptId>,
    Json(report): Json<AttemptReport, BODY_LIMIT>,
) -> Result<Answer<ReportReply>> {
    Ok(Answer(
        server.fleet().report(&device, attempt, &report).await?,
    ))
}

/// Keeps the log of one of the device's own attempts, at most 1 MiB of text; a later one takes its place.
#[utoipa::path(put, path = "/device/v1/attempts/{id}/log", tag = "Device", operation_id = "put_log",
    params(("id" = AttemptId, Path, description = "The attempt")),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 204, description = "Kept")))]
pub(crate) async fn put_log(
    State(server): State<Server>,
    Device(device): Device,
    Path(attempt): Path<AttemptId>,
    raw: Raw<LOG_LIMIT>,
) -> Result<StatusCode> {
    check_is_text(&raw.headers)?;
    // A log that a crash cut within a character is worth as much as any.
    let log = String::from_utf8_lossy(&raw.bytes);
    server
        .fleet()
        .put_attempt_log(&device, attempt, &log)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check_is_text(headers: &HeaderMap) -> Result<()> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or("something else");
    if text.to_ascii_lowercase().starts_with("text/plain") {
        return Ok(());
    }
    let detail = format!("A log must be text (Content-Type: text/plain); it says it is {text}.");
    Err(Failure::new(ProblemCode::UnsupportedMediaType, detail))
}
