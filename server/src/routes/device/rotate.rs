//! Devices that change their key and token.

use axum::Json as Answer;
use axum::extract::State;
use otter_protocol::check_in::{RotateReply, RotateRequest};

use super::BODY_LIMIT;
use crate::extract::{Device, Json};
use crate::failure::Result;
use crate::server::Server;

/// Changes the device's key and token; the former ones count no more.
#[utoipa::path(post, path = "/device/v1/rotate", tag = "Device", operation_id = "rotate",
    request_body = RotateRequest,
    responses((status = 200, description = "Changed; the token is shown only here", body = RotateReply)))]
pub(crate) async fn rotate(
    State(server): State<Server>,
    Device(device): Device,
    Json(request): Json<RotateRequest, BODY_LIMIT>,
) -> Result<Answer<RotateReply>> {
    Ok(Answer(
        server.fleet().rotate_device(&device, &request).await?,
    ))
}
