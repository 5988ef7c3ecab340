//! What can go wrong, for people, programs and the log.

use otter_protocol::{Problem, ProblemCode};
use sea_orm::{DbErr, RuntimeErr, SqlErr};

/// What can go wrong in a fleet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked for something that can't be; the problem says what and why.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The database didn't do it.
    #[error("the database: {0}")]
    Database(#[from] DbErr),
    /// The artifact store didn't do it.
    #[error("the artifact store: {0}")]
    Store(#[from] std::io::Error),
    /// The S3-compatible store didn't do it.
    #[error("the artifact store: {0}")]
    Objects(#[from] object_store::Error),
    /// Signed metadata that doesn't verify.
    #[error(transparent)]
    Trust(#[from] otter_trust::TrustError),
    /// Something in the database that this server doesn't understand.
    #[error("the database holds what this server doesn't understand: {0}")]
    Corrupt(String),
}

/// A result of the fleet's.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes a problem of a kind.
    pub(crate) fn problem(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self::Problem(Problem::new(code, detail))
    }

    /// Makes a problem with one field.
    pub(crate) fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Problem(Problem::invalid(field, detail))
    }

    /// Says that a thing doesn't exist.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::problem(ProblemCode::NotFound, format!("There is no {what}."))
    }

    /// Returns what to tell the caller; faults of the server's own tell nothing of their inside.
    pub fn to_problem(&self) -> Problem {
        match self {
            Self::Problem(problem) => problem.clone(),
            Self::Trust(error) => Problem::new(ProblemCode::Untrusted, error.to_string()),
            Self::Database(error) if is_away(error) => Problem::new(
                ProblemCode::Unavailable,
                "The database doesn't answer now; try again in a moment.",
            ),
            Self::Store(error) if error.kind() == std::io::ErrorKind::StorageFull => Problem::new(
                ProblemCode::Unavailable,
                "The server's disk is full; its operator has to make room.",
            ),
            Self::Objects(object_store::Error::Generic { .. }) => Problem::new(
                ProblemCode::Unavailable,
                "The artifact store doesn't answer now; try again in a moment.",
            ),
            Self::Database(_) | Self::Store(_) | Self::Objects(_) | Self::Corrupt(_) => {
                Problem::new(
                    ProblemCode::Internal,
                    "The server failed; its log has the details.",
                )
            }
        }
    }
}

/// Tells whether the database can't be reached or is too busy, so that trying again makes sense.
pub(crate) fn is_away(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner)) => {
            let text = inner.to_string();
            [
                "database is locked",
                "connection",
                "Connection",
                "pool timed out",
                "broken pipe",
                "shutting down",
            ]
            .iter()
            .any(|sign| text.contains(sign))
        }
        _ => false,
    }
}

/// Tells whether a row with the same key exists already.
pub(crate) fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
