//! People's accounts, as an admin manages them.

use leptos::prelude::*;

use super::ApiError;
use super::settings::Secret;

/// Makes an account, and the link by which its owner chooses a password.
#[server(prefix = "/ui", endpoint = "add-person")]
pub(crate) async fn add_person(name: String, role: String) -> Result<Secret, ApiError> {
    use super::auth;
    let caller = auth::recent_admin().await?;
    let new = otter_protocol::admin::NewAccount {
        name: name.trim().to_owned(),
        role: role_named(&role)?,
    };
    let (account, secret) = caller
        .fleet
        .invite(&caller.actor, &new)
        .await
        .map_err(|error| auth::fail(error.into()))?;
    link(account.name, &secret)
}

/// Makes a link by which a person chooses another password.
#[server(prefix = "/ui", endpoint = "make-link")]
pub(crate) async fn make_link(id: i64) -> Result<Secret, ApiError> {
    use super::auth;
    let caller = auth::recent_admin().await?;
    let (account, secret) = caller
        .fleet
        .make_link(&caller.actor, id)
        .await
        .map_err(|error| auth::fail(error.into()))?;
    link(account.name, &secret)
}

/// Changes what a person may do.
#[server(prefix = "/ui", endpoint = "change-role")]
pub(crate) async fn change_role(id: i64, role: String) -> Result<(), ApiError> {
    let caller = super::auth::recent_admin().await?;
    let role = Some(role_named(&role)?);
    change(
        &caller,
        id,
        otter_protocol::admin::AccountPatch {
            role,
            disabled: None,
        },
    )
    .await
}

/// Closes an account, or opens it again.
#[server(prefix = "/ui", endpoint = "close-account")]
pub(crate) async fn close_account(id: i64, #[server(default)] open: bool) -> Result<(), ApiError> {
    let caller = super::auth::recent_admin().await?;
    let disabled = Some(!open);
    change(
        &caller,
        id,
        otter_protocol::admin::AccountPatch {
            role: None,
            disabled,
        },
    )
    .await
}

/// Ends all sessions of a person.
#[server(prefix = "/ui", endpoint = "end-sessions-of")]
pub(crate) async fn end_sessions_of(id: i64) -> Result<(), ApiError> {
    use super::auth;
    let caller = auth::recent_admin().await?;
    let Some(person) = caller.fleet.person(id).await? else {
        return Err(auth::fail(ApiError::new(
            otter_protocol::ProblemCode::NotFound,
            "There is no such person, or the account is closed.",
        )));
    };
    let ended = caller.fleet.end_sessions_of(&caller.actor, &person, None);
    ended.await.map_err(|error| auth::fail(error.into()))?;
    Ok(())
}

/// Takes a person's second factor away, for one who has lost it and the recovery codes.
#[server(prefix = "/ui", endpoint = "remove-factor-of")]
pub(crate) async fn remove_factor_of(id: i64) -> Result<(), ApiError> {
    use super::auth;
    let caller = auth::recent_admin().await?;
    let removed = caller.fleet.remove_second_factor(&caller.actor, id);
    removed.await.map_err(|error| auth::fail(error.into()))
}

#[cfg(feature = "ssr")]
async fn change(
    caller: &super::auth::Caller,
    id: i64,
    patch: otter_protocol::admin::AccountPatch,
) -> Result<(), ApiError> {
    let changed = caller.fleet.change_account(&caller.actor, id, &patch);
    changed
        .await
        .map_err(|error| super::auth::fail(error.into()))?;
    Ok(())
}

#[cfg(feature = "ssr")]
fn role_named(text: &str) -> Result<otter_protocol::admin::Role, ApiError> {
    otter_protocol::admin::Role::named(text).ok_or_else(|| {
        super::auth::fail(ApiError::invalid("role", "Choose what the person may do."))
    })
}

#[cfg(feature = "ssr")]
fn link(name: String, secret: &str) -> Result<Secret, ApiError> {
    let site = super::auth::site().ok_or_else(|| {
        ApiError::new(
            otter_protocol::ProblemCode::Internal,
            "The server gave its pages no address of its own.",
        )
    })?;
    Ok(super::settings::hand_over(Secret {
        name,
        text: site.welcome(secret),
    }))
}
