//! Tokens that let devices in.

use axum::Json as Answer;
use axum::http::StatusCode;
use otter_protocol::admin::{EnrollmentToken, NewEnrollmentToken, WithSecret};

use crate::extract::{Admin, Json, Path, Recent, Scoped};
use crate::failure::Result;

/// Lists tokens, the newest first.
#[utoipa::path(get, path = "/api/v1/enrollment-tokens", tag = "Enrollment", operation_id = "list_enrollment_tokens",
    responses((status = 200, description = "Every token, without its secret", body = Vec<EnrollmentToken>)))]
pub(crate) async fn list(Scoped(_, fleet): Scoped<Admin>) -> Result<Answer<Vec<EnrollmentToken>>> {
    Ok(Answer(fleet.enrollment_tokens().await?))
}

/// Makes a token; its secret is shown only in the answer.
#[utoipa::path(post, path = "/api/v1/enrollment-tokens", tag = "Enrollment", operation_id = "create_enrollment_token",
    request_body = NewEnrollmentToken,
    responses((status = 201, description = "The token and its secret", body = WithSecret<EnrollmentToken>)))]
pub(crate) async fn create(
    Recent(Scoped(caller, fleet)): Recent<Scoped<Admin>>,
    Json(new): Json<NewEnrollmentToken>,
) -> Result<(StatusCode, Answer<WithSecret<EnrollmentToken>>)> {
    let made = fleet.create_enrollment_token(&caller.actor, &new).await?;
    Ok((StatusCode::CREATED, Answer(made)))
}

/// Takes a token back; devices that it let in stay.
#[utoipa::path(delete, path = "/api/v1/enrollment-tokens/{id}", tag = "Enrollment",
    operation_id = "revoke_enrollment_token",
    params(("id" = i64, Path, description = "The token's number")),
    responses((status = 204, description = "Taken back")))]
pub(crate) async fn revoke(
    Scoped(caller, fleet): Scoped<Admin>,
    Path(id): Path<i64>,
) -> Result<StatusCode> {
    fleet.revoke_enrollment_token(&caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
