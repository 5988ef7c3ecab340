//! What a server function answers when it can't: a problem, as everywhere else.

use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use otter_protocol::{Problem, ProblemCode};
use serde::{Deserialize, Serialize};

/// A problem, on its way from a server function to a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ApiError(pub(crate) Problem);

impl ApiError {
    /// Makes an error of a kind; `detail` says what happened and what to do.
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }

    /// Makes an error about one field of a form.
    pub(crate) fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(Problem::invalid(field, detail))
    }

    /// Returns what is wrong with a field, where it is that field that is wrong.
    pub(crate) fn about(&self, field: &str) -> Option<String> {
        (self.0.field.as_deref() == Some(field)).then(|| self.0.detail.clone())
    }
}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Request(_) | ServerFnErrorErr::Response(_) => Self::new(
                ProblemCode::Unavailable,
                "The server can't be reached. Check the connection and try again.",
            ),
            ServerFnErrorErr::Args(why) | ServerFnErrorErr::MissingArg(why) => Self::new(
                ProblemCode::InvalidRequest,
                format!("The form can't be understood: {why}"),
            ),
            ServerFnErrorErr::Deserialization(_) => Self::new(
                ProblemCode::Internal,
                "The server answered something that this page doesn't understand; reload the page, it may be older than the server.",
            ),
            other => Self::new(ProblemCode::Internal, other.to_string()),
        }
    }
}

#[cfg(feature = "ssr")]
impl From<otter_fleet::Error> for ApiError {
    fn from(error: otter_fleet::Error) -> Self {
        let problem = error.to_problem();
        if matches!(
            problem.code,
            ProblemCode::Internal | ProblemCode::Unavailable
        ) {
            tracing::error!(%error, "a server function failed");
        }
        Self(problem)
    }
}
