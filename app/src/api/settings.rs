//! Keys for programs and tokens for devices.

use leptos::prelude::*;
use otter_protocol::admin::{Account, ApiKey, EnrollmentToken, TrustStatus, TrustWarning};
use serde::{Deserialize, Serialize};

use super::ApiError;

/// What the settings show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Accounts by name, those that are closed last.
    pub(crate) people: Vec<Account>,
    /// Keys for programs, the newest first.
    pub(crate) keys: Vec<ApiKey>,
    /// Tokens that let devices in, the newest first.
    pub(crate) tokens: Vec<EnrollmentToken>,
    /// Groups that a token may put devices in.
    pub(crate) groups: Vec<String>,
    /// How the fleet's trust stands.
    pub(crate) trust: TrustStatus,
    /// What publishers have to do about it, the most urgent first.
    pub(crate) warnings: Vec<TrustWarning>,
    /// Whether the caller showed a moment ago that it is he.
    pub(crate) is_recent: bool,
    /// A secret that a plain form made just now.
    pub(crate) made: Option<Secret>,
}

/// A secret, to be shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secret {
    /// What it belongs to.
    pub(crate) name: String,
    /// The secret itself.
    pub(crate) text: String,
}

/// Returns what the settings show.
#[server(prefix = "/ui", endpoint = "settings", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn get_settings() -> Result<Settings, ApiError> {
    let fleet = super::auth::admin().await?.fleet;
    Ok(Settings {
        people: fleet.accounts().await?,
        is_recent: super::auth::is_recent().await?,
        keys: fleet.api_keys().await?,
        tokens: fleet.enrollment_tokens().await?,
        groups: super::devices::group_names(&fleet).await?,
        trust: fleet.trust_status().await?,
        warnings: fleet.trust_warnings().await?,
        made: take_secret(),
    })
}

/// Makes a key for a program.
#[server(prefix = "/ui", endpoint = "create-key")]
pub(crate) async fn create_key(
    name: String,
    role: String,
    #[server(default)] days: String,
    #[server(default)] models: String,
    #[server(default)] groups: String,
) -> Result<Secret, ApiError> {
    use otter_protocol::admin::{NewApiKey, Role, Scope};
    use otter_protocol::{GroupName, Model};
    let caller = super::auth::recent_admin().await?;
    let new = NewApiKey {
        name: given_name(&name)?,
        role: Role::named(&role).ok_or_else(|| {
            super::auth::fail(ApiError::invalid("role", "Choose what the key may do."))
        })?,
        expires_at: end(&days)?,
        scope: Scope {
            groups: listed("groups", &groups, |text| GroupName::new(text))?,
            models: listed("models", &models, |text| Model::new(text))?,
        },
    };
    let made = caller.fleet.create_api_key(&caller.actor, &new).await;
    let made = made.map_err(|error| {
        let mut error: ApiError = error.into();
        // The form has one field for all groups.
        let field = &mut error.0.field;
        if field
            .as_deref()
            .is_some_and(|name| name.starts_with("scope.groups"))
        {
            *field = Some("groups".to_owned());
        }
        super::auth::fail(error)
    })?;
    Ok(hand_over(Secret {
        name: made.made.spec.name,
        text: made.secret,
    }))
}

/// Makes a token that lets devices in.
#[server(prefix = "/ui", endpoint = "create-token")]
pub(crate) async fn create_token(
    name: String,
    #[server(default)] quota: String,
    #[server(default)] days: String,
    #[server(default)] models: String,
    #[server(default)] group: String,
) -> Result<Secret, ApiError> {
    use otter_protocol::{GroupName, Model};
    let caller = super::auth::recent_admin().await?;
    let wrong = |field: &'static str, why: String| super::auth::fail(ApiError::invalid(field, why));
    let group = Some(group.trim())
        .filter(|text| !text.is_empty())
        .map(GroupName::new)
        .transpose();
    let new = otter_protocol::admin::NewEnrollmentToken {
        name: given_name(&name)?,
        quota: count("quota", &quota)?,
        expires_at: end(&days)?,
        models: listed("models", &models, |text| Model::new(text))?,
        group: group.map_err(|error| wrong("group", error.to_string()))?,
    };
    let made = caller
        .fleet
        .create_enrollment_token(&caller.actor, &new)
        .await;
    let made = made.map_err(|error| super::auth::fail(error.into()))?;
    Ok(hand_over(Secret {
        name: made.made.spec.name,
        text: made.secret,
    }))
}

/// Takes a key back.
#[server(prefix = "/ui", endpoint = "revoke-key")]
pub(crate) async fn revoke_key(id: i64) -> Result<(), ApiError> {
    let caller = super::auth::admin().await?;
    caller
        .fleet
        .revoke_api_key(&caller.actor, id)
        .await
        .map_err(|error| super::auth::fail(error.into()))
}

/// Takes a token back.
#[server(prefix = "/ui", endpoint = "revoke-token")]
pub(crate) async fn revoke_token(id: i64) -> Result<(), ApiError> {
    let caller = super::auth::admin().await?;
    caller
        .fleet
        .revoke_enrollment_token(&caller.actor, id)
        .await
        .map_err(|error| super::auth::fail(error.into()))
}

#[cfg(feature = "ssr")]
fn given_name(name: &str) -> Result<String, ApiError> {
    match name.trim() {
        "" => Err(super::auth::fail(ApiError::invalid(
            "name",
            "Say what it is for, so that others know it again.",
        ))),
        name => Ok(name.to_owned()),
    }
}

/// Reads names with commas between them.
#[cfg(feature = "ssr")]
fn listed<T, E: std::fmt::Display>(
    field: &'static str,
    text: &str,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, ApiError> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            read(name).map_err(|error| {
                super::auth::fail(ApiError::invalid(field, format!("`{name}`: {error}")))
            })
        })
        .collect()
}

#[cfg(feature = "ssr")]
fn count(field: &'static str, text: &str) -> Result<Option<u32>, ApiError> {
    match text.trim() {
        "" => Ok(None),
        text => match text.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(super::auth::fail(ApiError::invalid(
                field,
                format!("`{text}` is no whole number above 0."),
            ))),
        },
    }
}

#[cfg(feature = "ssr")]
fn end(days: &str) -> Result<Option<otter_protocol::Timestamp>, ApiError> {
    let days = count("days", days)?;
    Ok(days.map(|days| crate::clock::now().plus_sec(u64::from(days) * 86_400)))
}

/// The cookie by which a plain form's page gets the secret that the form made: the server itself keeps none.
#[cfg(feature = "ssr")]
const SECRET_COOKIE: &str = "otter_made";

#[cfg(feature = "ssr")]
pub(crate) fn hand_over(secret: Secret) -> Secret {
    if super::auth::accepts_html() {
        let name = crate::next::encode(&secret.name);
        super::auth::set_cookie(
            SECRET_COOKIE,
            &format!("{}~{name}", secret.text),
            "; HttpOnly; Max-Age=60",
        );
    }
    secret
}

#[cfg(feature = "ssr")]
pub(crate) fn take_secret() -> Option<Secret> {
    let (text, name) = super::auth::cookie(SECRET_COOKIE)?
        .split_once('~')
        .map(|(text, name)| (text.to_owned(), name.to_owned()))?;
    super::auth::set_cookie(SECRET_COOKIE, "", "; HttpOnly; Max-Age=0");
    Some(Secret {
        name: crate::next::decode(&name),
        text,
    })
}
