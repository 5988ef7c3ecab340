//! People's accounts.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use otter_app::Site;
use otter_protocol::ProblemCode;
use otter_protocol::admin::{Account, AccountPatch, NewAccount, SessionsEnded, WithLink};

use crate::extract::{Admin, Json, Path, Recent};
use crate::failure::{Failure, Result};
use crate::server::Server;

/// Lists accounts by name, those that are closed last.
#[utoipa::path(get, path = "/api/v1/people", tag = "People", operation_id = "list_people",
    responses((status = 200, description = "Every account", body = Vec<Account>)))]
pub(crate) async fn list(_: Admin, State(server): State<Server>) -> Result<Answer<Vec<Account>>> {
    Ok(Answer(server.fleet().accounts().await?))
}

/// Makes an account; its owner chooses a password by the link, which works once and for a day.
#[utoipa::path(post, path = "/api/v1/people", tag = "People", operation_id = "add_person",
    request_body = NewAccount,
    responses((status = 201, description = "The account and its link", body = WithLink<Account>)))]
pub(crate) async fn invite(
    Recent(caller): Recent<Admin>,
    State(server): State<Server>,
    Json(new): Json<NewAccount>,
) -> Result<(StatusCode, Answer<WithLink<Account>>)> {
    let (made, secret) = server.fleet().invite(&caller.actor, &new).await?;
    let link = link(&server, &secret);
    Ok((StatusCode::CREATED, Answer(WithLink { made, link })))
}

/// Changes what a person may do, or closes or opens the account. The last admin stays one.
#[utoipa::path(patch, path = "/api/v1/people/{id}", tag = "People", operation_id = "change_person",
    params(("id" = i64, Path, description = "The account's number")),
    request_body = AccountPatch,
    responses((status = 200, description = "The account as it is now", body = Account)))]
pub(crate) async fn change(
    Recent(caller): Recent<Admin>,
    State(server): State<Server>,
    Path(id): Path<i64>,
    Json(patch): Json<AccountPatch>,
) -> Result<Answer<Account>> {
    let fleet = server.fleet();
    let account = fleet.change_account(&caller.actor, id, &patch).await?;
    Ok(Answer(account))
}

/// Makes a link by which the person chooses another password; one made before ends.
#[utoipa::path(post, path = "/api/v1/people/{id}/link", tag = "People", operation_id = "make_link",
    params(("id" = i64, Path, description = "The account's number")),
    responses((status = 201, description = "The account and its link", body = WithLink<Account>)))]
pub(crate) async fn make_link(
    Recent(caller): Recent<Admin>,
    State(server): State<Server>,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Answer<WithLink<Account>>)> {
    let (made, secret) = server.fleet().make_link(&caller.actor, id).await?;
    let link = link(&server, &secret);
    Ok((StatusCode::CREATED, Answer(WithLink { made, link })))
}

/// Ends every session of a person.
#[utoipa::path(post, path = "/api/v1/people/{id}/end-sessions", tag = "People", operation_id = "end_sessions",
    params(("id" = i64, Path, description = "The account's number")),
    responses((status = 200, description = "How many ended", body = SessionsEnded)))]
pub(crate) async fn end_sessions(
    Recent(caller): Recent<Admin>,
    State(server): State<Server>,
    Path(id): Path<i64>,
) -> Result<Answer<SessionsEnded>> {
    let fleet = server.fleet();
    let Some(person) = fleet.person(id).await? else {
        let detail = format!("There is no open account {id}.");
        return Err(Failure::new(ProblemCode::NotFound, detail));
    };
    let ended = fleet.end_sessions_of(&caller.actor, &person, None).await?;
    Ok(Answer(SessionsEnded { ended }))
}

/// Takes a person's second factor away, with its recovery codes.
#[utoipa::path(delete, path = "/api/v1/people/{id}/second-factor", tag = "People",
    operation_id = "remove_second_factor",
    params(("id" = i64, Path, description = "The account's number")),
    responses((status = 204, description = "It has none now")))]
pub(crate) async fn remove_second_factor(
    Recent(caller): Recent<Admin>,
    State(server): State<Server>,
    Path(id): Path<i64>,
) -> Result<StatusCode> {
    let fleet = server.fleet();
    fleet.remove_second_factor(&caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn link(server: &Server, secret: &str) -> String {
    Site::new(server.public_url().as_str()).welcome(secret)
}
