//! Who calls a server function, and whether he may.

use axum::extract::ConnectInfo;
use axum::http::header::{ACCEPT, HOST, REFERER, USER_AGENT};
use axum::http::request::Parts;
use leptos::prelude::*;
use otter_fleet::{Actor, Fleet, Person};
use otter_protocol::admin::Role;
use otter_protocol::{ProblemCode, Timestamp};
use tower_sessions::Session;

use super::ApiError;
use crate::next::{encode, safe_next};
use crate::session_keys::{
    ADDRESS, AGENT, AUTHENTICATED_AT, PENDING_AT, PENDING_ID, RECENT_SEC, USER_ID,
};
use crate::site::Site;

/// Somebody who is logged in and may do what he asks for.
pub(crate) struct Caller {
    pub(crate) fleet: Fleet,
    pub(crate) person: Person,
    pub(crate) actor: Actor,
}

/// Returns the caller, who may see.
pub(crate) async fn viewer() -> Result<Caller, ApiError> {
    caller(Role::Viewer).await
}

/// Returns the caller, who may upload, roll out, pause and hold.
pub(crate) async fn operator() -> Result<Caller, ApiError> {
    caller(Role::Operator).await
}

/// Returns the caller, who may manage people, keys and enrollment.
pub(crate) async fn admin() -> Result<Caller, ApiError> {
    caller(Role::Admin).await
}

/// Returns the caller, who may manage people, keys and enrollment, and showed a moment ago that it is he.
pub(crate) async fn recent_admin() -> Result<Caller, ApiError> {
    let caller = admin().await?;
    confirmed().await?;
    Ok(caller)
}

/// Returns the caller, whoever he is, who showed a moment ago that it is he.
pub(crate) async fn recent_viewer() -> Result<Caller, ApiError> {
    let caller = viewer().await?;
    confirmed().await?;
    Ok(caller)
}

async fn confirmed() -> Result<(), ApiError> {
    if is_recent().await? {
        return Ok(());
    }
    Err(fail(ApiError::new(
        ProblemCode::ReauthenticationNeeded,
        "You logged in a while ago, and this needs to be sure that it is you. Nothing was changed yet.",
    )))
}

/// Tells whether the caller showed a moment ago that it is he.
pub(crate) async fn is_recent() -> Result<bool, ApiError> {
    let at = session().await?.get::<i64>(AUTHENTICATED_AT).await;
    let now = fleet()?.now();
    Ok(at
        .map_err(broken)?
        .is_some_and(|at| now.sec_since(Timestamp(at)) < RECENT_SEC))
}

/// Returns the caller, who may do what this role may.
pub(crate) async fn of_role(role: Role) -> Result<Caller, ApiError> {
    caller(role).await
}

async fn caller(needed: Role) -> Result<Caller, ApiError> {
    let fleet = fleet()?;
    let person = match session().await?.get::<i64>(USER_ID).await.map_err(broken)? {
        Some(id) => fleet.person(id).await?,
        None => None,
    };
    let Some(person) = person else {
        redirect_to_login();
        return Err(fail(ApiError::new(
            ProblemCode::Unauthenticated,
            "Your session has ended. Log in to go on.",
        )));
    };
    if person.role < needed {
        return Err(fail(ApiError::new(
            ProblemCode::Forbidden,
            format!(
                "This needs the role {}, and you are {}.",
                needed.as_str(),
                person.role.as_str()
            ),
        )));
    }
    let actor = Actor::User(person.name.clone());
    Ok(Caller {
        fleet,
        person,
        actor,
    })
}

/// Returns the fleet that the server put into the context.
pub(crate) fn fleet() -> Result<Fleet, ApiError> {
    use_context::<Fleet>()
        .ok_or_else(|| ApiError::new(ProblemCode::Internal, "The server gave its pages no fleet."))
}

/// Returns the request's session.
pub(crate) async fn session() -> Result<Session, ApiError> {
    leptos_axum::extract::<Session>().await.map_err(broken)
}

/// Makes the session this person's, under a new id, so that an id known before the login is worth nothing.
pub(crate) async fn begin_session(person: &Person) -> Result<(), ApiError> {
    let (fleet, address) = (fleet()?, address());
    fleet.note_log_in(person, &address).await?;
    let session = session().await?;
    session.clear().await;
    session.cycle_id().await.map_err(broken)?;
    session.insert(USER_ID, person.id).await.map_err(broken)?;
    let now = fleet.now().0;
    session
        .insert(AUTHENTICATED_AT, now)
        .await
        .map_err(broken)?;
    session.insert(ADDRESS, address).await.map_err(broken)?;
    let agent = header(&USER_AGENT).unwrap_or_default();
    session.insert(AGENT, agent).await.map_err(broken)
}

/// Notes in a session of nobody's whose password was right, until the second factor is, too.
pub(crate) async fn begin_second_step(person: &Person) -> Result<(), ApiError> {
    let session = session().await?;
    session.clear().await;
    session.cycle_id().await.map_err(broken)?;
    session
        .insert(PENDING_ID, person.id)
        .await
        .map_err(broken)?;
    let now = fleet()?.now().0;
    session.insert(PENDING_AT, now).await.map_err(broken)
}

/// Returns whose second factor is asked for, and when his password was right.
pub(crate) async fn second_step() -> Result<(i64, Timestamp), ApiError> {
    let session = session().await?;
    let id = session.get::<i64>(PENDING_ID).await.map_err(broken)?;
    let at = session.get::<i64>(PENDING_AT).await.map_err(broken)?;
    id.zip(at.map(Timestamp)).ok_or_else(|| {
        fail(ApiError::new(
            ProblemCode::Unauthenticated,
            "This took too long. Log in with your password again.",
        ))
    })
}

/// Returns the id of the caller's session.
pub(crate) async fn session_id() -> Result<Option<String>, ApiError> {
    Ok(session().await?.id().map(|id| id.to_string()))
}

/// Ends the session.
pub(crate) async fn end_session() -> Result<(), ApiError> {
    session().await?.flush().await.map_err(broken)
}

fn broken(error: impl std::fmt::Display) -> ApiError {
    tracing::error!(%error, "a session can't be read or written");
    fail(ApiError::new(
        ProblemCode::Unavailable,
        "Sessions can't be read now; try again in a moment.",
    ))
}

/// Answers with the problem's own status; a plain form instead goes back to its page, which shows the problem.
pub(crate) fn fail(error: ApiError) -> ApiError {
    if !accepts_html() {
        set_status(error.0.status);
    }
    error
}

/// Sets the answer's status.
pub(crate) fn set_status(status: u16) {
    if let (Some(response), Ok(status)) = (
        use_context::<leptos_axum::ResponseOptions>(),
        axum::http::StatusCode::from_u16(status),
    ) {
        response.set_status(status);
    }
}

/// Tells whether a browser asks on its own, for a page or with a plain form, and not the wasm.
pub(crate) fn accepts_html() -> bool {
    header(&ACCEPT).is_some_and(|accept| accept.contains("text/html"))
}

/// Returns the address that the request came from, as far as is known.
pub(crate) fn address() -> String {
    let parts = use_context::<Parts>();
    let peer = parts.and_then(|parts| {
        parts
            .extensions
            .get::<ConnectInfo<std::net::SocketAddr>>()
            .copied()
    });
    peer.map_or_else(|| "unknown".to_owned(), |peer| peer.0.ip().to_string())
}

/// Returns a cookie of the request.
pub(crate) fn cookie(name: &str) -> Option<String> {
    let name = full_name(name);
    let cookies = header(&axum::http::header::COOKIE)?;
    let pairs = cookies
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .into_iter()
        .find(|(key, _)| *key == name.as_str())
        .map(|(_, value)| value.to_owned())
}

/// Sets a cookie; `attributes` begin with a semicolon.
pub(crate) fn set_cookie(name: &str, value: &str, attributes: &str) {
    let name = full_name(name);
    let secure = if site().is_some_and(|site| site.is_secure()) {
        "; Secure"
    } else {
        ""
    };
    let text = format!("{name}={value}; Path=/; SameSite=Lax{secure}{attributes}");
    if let (Some(response), Ok(text)) = (
        use_context::<leptos_axum::ResponseOptions>(),
        axum::http::HeaderValue::from_str(&text),
    ) {
        response.append_header(axum::http::header::SET_COOKIE, text);
    }
}

/// Returns where the server is reached, as it put it into the context.
pub(crate) fn site() -> Option<Site> {
    use_context::<Site>()
}

fn full_name(name: &str) -> String {
    site().map_or_else(|| name.to_owned(), |site| site.cookie_name(name))
}

fn header(name: &axum::http::HeaderName) -> Option<String> {
    let parts = use_context::<Parts>()?;
    parts.headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Sends the browser to the login, and from there back to the page it is on.
fn redirect_to_login() {
    let page = match use_context::<Parts>() {
        Some(parts) if accepts_html() && parts.method == axum::http::Method::GET => {
            parts.uri.path_and_query().map(ToString::to_string)
        }
        _ => referring_page(),
    };
    let target = match page
        .and_then(|page| safe_next(&page))
        .filter(|page| page != "/")
    {
        Some(page) => format!("/login?next={}", encode(&page)),
        None => "/login".to_owned(),
    };
    leptos_axum::redirect(&target);
}

/// The page of this very server that a request comes from.
fn referring_page() -> Option<String> {
    let (referer, host) = (header(&REFERER)?, header(&HOST)?);
    let (_, rest) = referer.split_once("://")?;
    rest.strip_prefix(host.as_str()).map(str::to_owned)
}
