//! People and keys, and what they may do.

use serde::{Deserialize, Serialize};

use super::Scope;
use crate::time::Timestamp;

/// What a person or a key may do; each may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees.
    Viewer,
    /// Uploads, rolls out, pauses, holds.
    Operator,
    /// Lets rollouts of others begin.
    Approver,
    /// Manages people, keys, enrollment and trust.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Approver, Self::Admin];

    /// Returns the role as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// Returns the role that the API writes so.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    /// A person's name or a key's.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// An account, to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewAccount {
    /// The name to log in with.
    pub name: String,
    /// What the person may do.
    pub role: Role,
}

/// What to change of an account; what isn't there stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountPatch {
    /// What the person may do from now on.
    #[serde(default)]
    pub role: Option<Role>,
    /// Whether the account is closed; closing it ends its sessions.
    #[serde(default)]
    pub disabled: Option<bool>,
}

/// A person's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Account {
    /// Its number.
    pub id: i64,
    /// The name to log in with.
    pub name: String,
    /// What the person may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was closed.
    pub disabled_at: Option<Timestamp>,
    /// When the person logged in last.
    pub last_login_at: Option<Timestamp>,
    /// Whether the person has chosen a password yet.
    pub has_password: bool,
    /// Whether a code is asked for after the password.
    pub has_second_factor: bool,
    /// Until when a one-time link lets the person choose a password.
    pub link_expires_at: Option<Timestamp>,
}

/// Something made, with a link that works once and is shown only now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WithLink<T> {
    /// What was made.
    #[serde(flatten)]
    pub made: T,
    /// The link's address.
    pub link: String,
}

/// A new password of one's own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordChange {
    /// The password until now.
    pub current: String,
    /// The one from now on.
    pub new: String,
}

impl std::fmt::Debug for PasswordChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordChange(secret)")
    }
}

/// Somewhere that a person is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenSession {
    /// Names it; no secret.
    pub id: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When the person logged in.
    pub created_at: Timestamp,
    /// When it was used last, give or take a minute.
    pub seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// The address that the person logged in from.
    pub address: Option<String>,
    /// What the browser said it is.
    pub agent: Option<String>,
}

/// How many sessions were ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionsEnded {
    /// How many.
    pub ended: u64,
}

/// A key for programs, to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewApiKey {
    /// What it is for, to people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it ends.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// What of the fleet it reaches; everything where absent.
    #[serde(default, skip_serializing_if = "Scope::is_everything")]
    pub scope: Scope,
}

/// A key for programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKey {
    /// Its number.
    pub id: i64,
    /// What it is and may do.
    #[serde(flatten)]
    pub spec: NewApiKey,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, give or take a minute.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
}

/// Something made whose secret is shown only now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WithSecret<T> {
    /// What was made.
    #[serde(flatten)]
    pub made: T,
    /// Its secret.
    pub secret: String,
}
