//! Keys for programs.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use otter_protocol::admin::{ApiKey, NewApiKey, WithSecret};

use crate::extract::{Admin, Json, Path, Recent};
use crate::failure::Result;
use crate::server::Server;

/// Lists keys, the newest first.
#[utoipa::path(get, path = "/api/v1/api-keys", tag = "People", operation_id = "list_api_keys",
    responses((status = 200, description = "Every key, without its secret", body = Vec<ApiKey>)))]
pub(crate) async fn list(_: Admin, State(server): State<Server>) -> Result<Answer<Vec<ApiKey>>> {
    Ok(Answer(server.fleet().api_keys().await?))
}

/// Makes a key; its secret is shown only in the answer.
#[utoipa::path(post, path = "/api/v1/api-keys", tag = "People", operation_id = "create_api_key",
    request_body = NewApiKey,
    responses((status = 201, description = "The key and its secret", body = WithSecret<ApiKey>)))]
pub(crate) async fn create(
    Recent(caller): Recent<Admin>,
    State(server): State<Server>,
    Json(new): Json<NewApiKey>,
) -> Result<(StatusCode, Answer<WithSecret<ApiKey>>)> {
    let made = server.fleet().create_api_key(&caller.actor, &new).await?;
    Ok((StatusCode::CREATED, Answer(made)))
}

/// Takes a key back, at once.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", tag = "People", operation_id = "revoke_api_key",
    params(("id" = i64, Path, description = "The key's number")),
    responses((status = 204, description = "Taken back")))]
pub(crate) async fn revoke(
    caller: Admin,
    State(server): State<Server>,
    Path(id): Path<i64>,
) -> Result<StatusCode> {
    server.fleet().revoke_api_key(&caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
