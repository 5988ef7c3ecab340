//! Who is asking, and what is his alone.

use std::net::SocketAddr;

use axum::Json as Answer;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use otter_protocol::admin::{Me, OpenSession, PasswordChange, SessionsEnded};

use crate::extract::{Json, Myself, Path, Recent, Scoped, Viewer};
use crate::failure::Result;
use crate::server::Server;

/// Tells the caller who he is and what he may do.
#[utoipa::path(get, path = "/api/v1/me", tag = "People", operation_id = "me",
    responses((status = 200, description = "The caller", body = Me)))]
pub(crate) async fn me(Scoped(caller, _): Scoped<Viewer>) -> Answer<Me> {
    Answer(caller.me)
}

/// Changes the caller's own password; every session of his ends, this one too.
#[utoipa::path(post, path = "/api/v1/me/password", tag = "People", operation_id = "change_my_password",
    request_body = PasswordChange,
    responses((status = 204, description = "Changed; log in with the new one")))]
pub(crate) async fn change_password(
    caller: Myself,
    State(server): State<Server>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode> {
    let (fleet, address) = (server.fleet(), client.ip().to_string());
    fleet
        .change_password(&caller.person, &change.current, &change.new, &address)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists where the caller is logged in, the latest first.
#[utoipa::path(get, path = "/api/v1/me/sessions", tag = "People", operation_id = "my_sessions",
    responses((status = 200, description = "His sessions", body = Vec<OpenSession>)))]
pub(crate) async fn sessions(
    caller: Myself,
    State(server): State<Server>,
) -> Result<Answer<Vec<OpenSession>>> {
    let fleet = server.fleet();
    let sessions = fleet.sessions_of(caller.person.id, Some(&caller.session));
    Ok(Answer(sessions.await?))
}

/// Ends every session of the caller but the one that asks.
#[utoipa::path(delete, path = "/api/v1/me/sessions", tag = "People", operation_id = "end_my_sessions",
    responses((status = 200, description = "How many ended", body = SessionsEnded)))]
pub(crate) async fn end_sessions(
    Recent(caller): Recent<Myself>,
    State(server): State<Server>,
) -> Result<Answer<SessionsEnded>> {
    let fleet = server.fleet();
    let ended = fleet.end_sessions_of(&caller.actor, &caller.person, Some(&caller.session));
    Ok(Answer(SessionsEnded {
        ended: ended.await?,
    }))
}

/// Ends one session of the caller.
#[utoipa::path(delete, path = "/api/v1/me/sessions/{id}", tag = "People", operation_id = "end_my_session",
    params(("id" = String, Path, description = "The session's name, as the list has it")),
    responses((status = 204, description = "Ended")))]
pub(crate) async fn end_session(
    Recent(caller): Recent<Myself>,
    State(server): State<Server>,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let fleet = server.fleet();
    fleet
        .end_session_of(&caller.actor, &caller.person, &id)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
