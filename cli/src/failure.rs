//! What can go wrong, in words that say what to do, and the exit code that goes with it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use otter_protocol::rollout::SpecError;
use otter_protocol::{Problem, ProblemCode};
use otter_trust::TrustError;
use serde_json::{Value, json};

/// Why a command didn't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line doesn't make sense.
    #[error("{0}")]
    Usage(String),
    /// Something stands in the way, and nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// The server refused.
    #[error("{}", ProblemText(.0))]
    Problem(Box<Problem>),
    /// The server can't be reached, or broke off.
    #[error(
        "{server} can't be reached: {reason}.\n\
         Check that otter-server runs and that --server (or OTTER_SERVER) is its address."
    )]
    Unreachable {
        /// Its address.
        server: String,
        /// What the network said.
        reason: String,
    },
    /// Keys or signed metadata are not as they should be.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A rollout came to a bad end.
    #[error("{0}")]
    Rollout(String),
}

impl Failure {
    /// Wraps what the system says of a file; made for `map_err`.
    pub fn file(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { path, source }
    }

    /// Returns the exit code, 1 to 4.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Rollout(_) => 3,
            Self::Unreachable { .. } => 4,
            Self::Problem(problem) if is_about_access(problem.code) => 4,
            Self::Refused(_) | Self::Problem(_) | Self::Trust(_) | Self::File { .. } => 1,
        }
    }

    /// Returns the failure as programs read it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Problem(problem) => json!({ "error": problem }),
            other => json!({ "error": { "detail": other.to_string() } }),
        }
    }

    /// Returns what kind of problem the server named, where it named one.
    pub fn code(&self) -> Option<ProblemCode> {
        match self {
            Self::Problem(problem) => Some(problem.code),
            _ => None,
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        Self::Refused(format!("the rollout can't work as written: {error}"))
    }
}

fn is_about_access(code: ProblemCode) -> bool {
    use ProblemCode as Code;
    matches!(
        code,
        Code::Unauthenticated | Code::Forbidden | Code::TooManyRequests | Code::Unavailable
    )
}

/// A problem document as a person reads it: title, detail, field, and what to do where the detail can't know.
struct ProblemText<'a>(&'a Problem);

impl fmt::Display for ProblemText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            code,
            title,
            detail,
            field,
            ..
        } = self.0;
        f.write_str(title)?;
        if !detail.is_empty() && detail != title {
            write!(f, ": {detail}")?;
        }
        if let Some(field) = field {
            write!(f, "\n  field: {field}")?;
        }
        match code {
            ProblemCode::Unauthenticated => {
                f.write_str("\nGive an API key that counts, in OTTER_API_KEY or with --api-key.")
            }
            ProblemCode::Forbidden => {
                f.write_str("\nUse an API key whose role allows it, or ask an admin for one.")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_its_title_detail_and_field() {
        let problem = Problem::invalid("phases[1].scope.share", "shares must rise");
        assert_eq!(
            Failure::from(problem).to_string(),
            "The request is not valid: shares must rise\n  field: phases[1].scope.share"
        );
    }

    #[test]
    fn a_missing_key_says_how_to_give_one() {
        let problem = Problem::new(ProblemCode::Unauthenticated, "no credentials came along");
        let text = Failure::from(problem).to_string();
        assert!(text.contains("OTTER_API_KEY"), "{text}");
    }

    #[test]
    fn exit_codes_mean_what_the_help_says() {
        let unreachable = Failure::Unreachable {
            server: "http://127.0.0.1:8080/".to_owned(),
            reason: "connection refused".to_owned(),
        };
        let of = |code| Failure::from(Problem::new(code, "")).exit_code();
        assert_eq!(Failure::Refused(String::new()).exit_code(), 1);
        assert_eq!(Failure::Usage(String::new()).exit_code(), 2);
        assert_eq!(Failure::Rollout(String::new()).exit_code(), 3);
        assert_eq!(unreachable.exit_code(), 4);
        assert_eq!(of(ProblemCode::Unauthenticated), 4);
        assert_eq!(of(ProblemCode::Forbidden), 4);
        assert_eq!(of(ProblemCode::Conflict), 1);
        assert_eq!(of(ProblemCode::NotFound), 1);
    }

    #[test]
    fn programs_get_the_whole_problem() {
        let problem = Problem::new(ProblemCode::NotFound, "no release 7");
        let json = Failure::from(problem).to_json();
        assert_eq!(json["error"]["code"], "not_found");
        assert_eq!(json["error"]["detail"], "no release 7");
    }
}
