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

/// Logs in, and goes on to `next`.
#[server(prefix = "/ui", endpoint = "log-in")]
pub(crate) async fn log_in(
    name: String,
    password: String,
    #[server(default)] next: String,
) -> Result<(), ApiError> {
    use super::auth;
    let fleet = auth::fleet()?;
    let person = fleet
        .log_in(name.trim(), &password, &auth::address())
        .await
        .map_err(|error| auth::fail(error.into()))?;
    auth::begin_session(&person).await?;
    leptos_axum::redirect(&crate::next::safe_next(&next).unwrap_or_else(|| "/".to_owned()));
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
