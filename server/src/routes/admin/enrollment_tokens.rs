//! Tokens that let devices in.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use otter_protocol::admin::{EnrollmentToken, NewEnrollmentToken, WithSecret};

use crate::extract::{Admin, Json, Path, Recent};
use crate::failure::Result;
use crate::server::Server;

/// Lists tokens, the newest first.
#[utoipa::path(get, path = "/api/v1/enrollment-tokens", tag = "Enrollment", operation_id = "list_enrollment_tokens",
    responses((status = 200, description = "Every token, without its secret", body = Vec<EnrollmentToken>)))]
pub(crate) async fn list(
    _: Admin,
    State(server): State<Server>,
) -> Result<Answer<Vec<EnrollmentToken>>> {
    Ok(Answer(server.fleet().enrollment_tokens().await?))
}

/// Makes a token; its secret is shown only in the answer.
#[utoipa::path(post, path = "/api/v1/enrollment-tokens", tag = "Enrollment", operation_id = "create_enrollment_token",
    request_body = NewEnrollmentToken,
    responses((status = 201, description = "The token and its secret", body = WithSecret<EnrollmentToken>)))]
pub(crate) async fn create(
    Recent(caller): Recent<Admin>,
    State(server): State<Server>,
    Json(new): Json<NewEnrollmentToken>,
) -> Result<(StatusCode, Answer<WithSecret<EnrollmentToken>>)> {
    let fleet = server.fleet();
    let made = fleet.create_enrollment_token(&caller.actor, &new).await?;
    Ok((StatusCode::CREATED, Answer(made)))
}

/// Takes a token back; devices that it let in stay.
#[utoipa::path(delete, path = "/api/v1/enrollment-tokens/{id}", tag = "Enrollment",
    operation_id = "revoke_enrollment_token",
    params(("id" = i64, Path, description = "The token's number")),
    responses((status = 204, description = "Taken back")))]
pub(crate) async fn revoke(
    caller: Admin,
    State(server): State<Server>,
    Path(id): Path<i64>,
) -> Result<StatusCode> {
    let fleet = server.fleet();
    fleet.revoke_enrollment_token(&caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
