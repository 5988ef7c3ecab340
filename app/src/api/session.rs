//! Logging in and out, the first account, and who is there.

use leptos::prelude::*;
use otter_protocol::admin::Me;

use super::ApiError;

/// Returns who is logged in.
#[server(prefix = "/ui", endpoint = "me", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn get_me() -> Result<Me, ApiError> {
    let caller = super::auth::viewer().await?;
    Ok(Me {
        name: caller.person.name,
        role: caller.person.role,
    })
}

/// Tells whether there is any account to log in with.
#[server(prefix = "/ui", endpoint = "is-set-up", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn is_set_up() -> Result<bool, ApiError> {
    Ok(super::auth::fleet()?.has_people().await?)
}

/// Logs in, and goes on to `next`; where the account has a second factor, to the page that asks for it.
#[server(prefix = "/ui", endpoint = "log-in")]
pub(crate) async fn log_in(
    name: String,
    password: String,
    #[server(default)] next: String,
) -> Result<(), ApiError> {
    use super::auth;
    let fleet = auth::fleet()?;
    let found = fleet
        .log_in(name.trim(), &password, &auth::address())
        .await
        .map_err(|error| auth::fail(error.into()))?;
    let next = crate::next::safe_next(&next).unwrap_or_else(|| "/".to_owned());
    if found.needs_code {
        auth::begin_second_step(&found.person).await?;
        let page = crate::next::with_query("/login/code", &[("next", &next)]);
        leptos_axum::redirect(&page);
    } else {
        auth::begin_session(&found.person).await?;
        leptos_axum::redirect(&next);
    }
    Ok(())
}

/// Goes on logging in, with the second factor's code.
#[server(prefix = "/ui", endpoint = "log-in-code")]
pub(crate) async fn enter_code(
    code: String,
    #[server(default)] next: String,
) -> Result<(), ApiError> {
    use super::auth;
    let (id, since) = auth::second_step().await?;
    let person = auth::fleet()?
        .check_code(id, &code, since, &auth::address())
        .await
        .map_err(|error| auth::fail(error.into()))?;
    auth::begin_session(&person).await?;
    leptos_axum::redirect(&crate::next::safe_next(&next).unwrap_or_else(|| "/".to_owned()));
    Ok(())
}

/// Shows anew that it is still the person himself, and goes on to `next`.
#[server(prefix = "/ui", endpoint = "confirm")]
pub(crate) async fn confirm(
    current: String,
    #[server(default)] code: String,
    #[server(default)] next: String,
) -> Result<(), ApiError> {
    use super::auth;
    let caller = auth::viewer().await?;
    let (fleet, address) = (&caller.fleet, auth::address());
    let since = fleet.now();
    let found = fleet
        .confirm_password(&caller.person, &current, &address)
        .await
        .map_err(|error| auth::fail(error.into()))?;
    if found.needs_code {
        let checked = fleet
            .check_code(caller.person.id, &code, since, &address)
            .await;
        checked.map_err(|error| {
            let problem = error.to_problem();
            auth::fail(match problem.code {
                otter_protocol::ProblemCode::Unauthenticated => {
                    ApiError::invalid("code", problem.detail)
                }
                _ => error.into(),
            })
        })?;
    }
    auth::begin_session(&caller.person).await?;
    leptos_axum::redirect(&crate::next::safe_next(&next).unwrap_or_else(|| "/".to_owned()));
    Ok(())
}

/// Tells whose one-time link this is.
#[server(prefix = "/ui", endpoint = "link-owner", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn get_link_owner(secret: String) -> Result<String, ApiError> {
    let owner = super::auth::fleet()?.link_owner(&secret).await?;
    Ok(owner.name)
}

/// Chooses a password by a one-time link; then the person logs in with it.
#[server(prefix = "/ui", endpoint = "use-link")]
pub(crate) async fn use_link(secret: String, password: String) -> Result<(), ApiError> {
    use super::auth;
    auth::fleet()?
        .use_link(&secret, &password)
        .await
        .map_err(|error| auth::fail(error.into()))?;
    leptos_axum::redirect("/login");
    Ok(())
}

/// Logs out.
#[server(prefix = "/ui", endpoint = "log-out")]
pub(crate) async fn log_out() -> Result<(), ApiError> {
    super::auth::end_session().await?;
    leptos_axum::redirect("/login");
    Ok(())
}

/// Makes the first account, an admin's, and logs in with it.
#[server(prefix = "/ui", endpoint = "set-up")]
pub(crate) async fn set_up(secret: String, name: String, password: String) -> Result<(), ApiError> {
    use super::auth;
    let fleet = auth::fleet()?;
    let person = fleet
        .set_up(&secret, name.trim(), &password)
        .await
        .map_err(|error| auth::fail(error.into()))?;
    auth::begin_session(&person).await?;
    leptos_axum::redirect("/");
    Ok(())
}

/// Keeps the theme that was chosen; anything but `light` and `dark` follows the system.
#[server(prefix = "/ui", endpoint = "theme")]
pub(crate) async fn set_theme(theme: String) -> Result<(), ApiError> {
    match theme.as_str() {
        "light" | "dark" => {
            super::auth::set_cookie(crate::theme::COOKIE, &theme, "; Max-Age=31536000")
        }
        _ => super::auth::set_cookie(crate::theme::COOKIE, "", "; Max-Age=0"),
    }
    Ok(())
}
