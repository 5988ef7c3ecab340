//! Errors as RFC 9457 problem documents (`application/problem+json`).

use serde::{Deserialize, Serialize};

/// What went wrong, for programs to branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// The request's body or parameters don't make sense.
    InvalidRequest,
    /// No credentials, or ones that don't count (any more).
    Unauthenticated,
    /// Known, but not allowed to do this.
    Forbidden,
    /// Allowed, but only to a person who logged in, or confirmed who he is, a moment ago.
    ReauthenticationNeeded,
    /// The thing named doesn't exist.
    NotFound,
    /// The address exists, not for this method.
    MethodNotAllowed,
    /// Something with this name exists already.
    AlreadyExists,
    /// The thing is in a state in which this can't be done.
    Conflict,
    /// The body is larger than allowed.
    TooLarge,
    /// The body's media type is not the one expected.
    UnsupportedMediaType,
    /// A range that the artifact doesn't have.
    RangeNotSatisfiable,
    /// Signed metadata that doesn't verify, or doesn't match what is on the server.
    Untrusted,
    /// Bytes whose SHA-256 or length is not the one named.
    DigestMismatch,
    /// Too many requests: keep to `Retry-After`.
    TooManyRequests,
    /// The server can't now: keep to `Retry-After`.
    Unavailable,
    /// A fault of the server's own; its log has the details.
    Internal,
}

impl ProblemCode {
    /// Returns the HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::Untrusted | Self::DigestMismatch => 422,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::ReauthenticationNeeded => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::RangeNotSatisfiable => 416,
            Self::TooManyRequests => 429,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }

    /// Returns a short summary that is the same for every occurrence.
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::Unauthenticated => "Not authenticated",
            Self::Forbidden => "Not allowed",
            Self::ReauthenticationNeeded => "Confirm that it is you",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::AlreadyExists => "Already exists",
            Self::Conflict => "Not possible in this state",
            Self::TooLarge => "Too large",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::RangeNotSatisfiable => "No such range",
            Self::Untrusted => "Not trusted",
            Self::DigestMismatch => "The bytes differ from what was named",
            Self::TooManyRequests => "Too many requests",
            Self::Unavailable => "Not available now",
            Self::Internal => "Internal error",
        }
    }
}

/// An RFC 9457 problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[error("{detail}")]
pub struct Problem {
    /// What went wrong, for programs.
    pub code: ProblemCode,
    /// A short summary.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here and what to do.
    pub detail: String,
    /// The field or parameter that is wrong, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    /// Makes a problem of a kind; `detail` says what happened here and what to do.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            field: None,
        }
    }

    /// Makes a problem with one field of a request.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(ProblemCode::InvalidRequest, detail)
        }
    }
}
