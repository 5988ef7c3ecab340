//! Devices that ask to take part.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{Extensions, StatusCode};
use otter_protocol::check_in::{EnrollReply, EnrollRequest};

use super::BODY_LIMIT;
use crate::extract::{Json, client};
use crate::failure::Result;
use crate::server::Server;

/// Lets a device in, or notes that it waits for an operator.
#[utoipa::path(post, path = "/device/v1/enroll", tag = "Device", operation_id = "enroll",
    request_body = EnrollRequest,
    responses(
        (status = 201, description = "It takes part; the token is shown only here", body = EnrollReply),
        (status = 202, description = "An operator has to accept its key; ask again later", body = EnrollReply),
    ))]
pub(crate) async fn enroll(
    State(server): State<Server>,
    extensions: Extensions,
    Json(request): Json<EnrollRequest, BODY_LIMIT>,
) -> Result<(StatusCode, Answer<EnrollReply>)> {
    let client = client(&extensions);
    server.limits().count_enrollment(client, &request.id)?;
    let reply = server.fleet().enroll(&request).await?;
    let status = match reply {
        EnrollReply::Accepted { .. } => StatusCode::CREATED,
        EnrollReply::Pending { .. } => StatusCode::ACCEPTED,
    };
    Ok((status, Answer(reply)))
}
