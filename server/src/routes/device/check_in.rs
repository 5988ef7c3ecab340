//! The device's poll. Idle, it costs neither a write nor a query, so nothing stands around it that would.

use axum::Json as Answer;
use axum::extract::State;
use otter_protocol::check_in::{CheckIn, CheckInReply};

use super::BODY_LIMIT;
use crate::extract::{Device, Json};
use crate::failure::Result;
use crate::server::Server;

/// Takes a device's report and answers what to do.
#[utoipa::path(post, path = "/device/v1/check-in", tag = "Device", operation_id = "check_in",
    request_body = CheckIn,
    responses((status = 200, description = "What to do, and when to ask again", body = CheckInReply)))]
pub(crate) async fn check_in(
    State(server): State<Server>,
    Device(device): Device,
    Json(check_in): Json<CheckIn, BODY_LIMIT>,
) -> Result<Answer<CheckInReply>> {
    Ok(Answer(server.fleet().check_in(&device, check_in).await?))
}
