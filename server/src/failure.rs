//! Errors as problem documents (RFC 9457): whatever goes wrong in an API, this is what is answered.

use std::any::Any;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use otter_protocol::{Problem, ProblemCode};
use uuid::Uuid;

/// Names the occurrence in the server's log that an answer speaks of.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The media type of problem documents.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Seconds to wait where the server can't now.
const RETRY_UNAVAILABLE_SEC: &str = "5";

/// Seconds to wait where there were too many requests.
const RETRY_TOO_MANY_SEC: &str = "60";

/// A result of a handler's.
pub type Result<T> = std::result::Result<T, Failure>;

/// What a handler answers where it can't do what was asked.
#[derive(Debug)]
pub struct Failure {
    problem: Box<Problem>,
    request_id: Option<Uuid>,
    retry_after_sec: Option<u64>,
}

impl Failure {
    /// Makes a failure of a kind; `detail` says what happened and what to do.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    /// Makes a failure that is one field's.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Problem::invalid(field, detail).into()
    }

    /// Makes a failure of a request whose body isn't what is expected.
    pub fn body(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidRequest, detail)
    }

    /// Says in how many seconds to ask again, where that is known better than by the kind of failure.
    pub fn retry_after(self, sec: u64) -> Self {
        Self {
            retry_after_sec: Some(sec),
            ..self
        }
    }

    /// Returns what happened and what to do.
    pub(crate) fn detail(&self) -> &str {
        &self.problem.detail
    }

    /// Notes a fault of the server's own in the log, under an id that the answer carries.
    fn logged(problem: Problem, error: &dyn std::fmt::Display) -> Self {
        let request_id = Uuid::new_v4();
        tracing::error!(%request_id, status = problem.status, "{error}");
        Self {
            problem: Box::new(problem),
            request_id: Some(request_id),
            retry_after_sec: None,
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self {
            problem: Box::new(problem),
            request_id: None,
            retry_after_sec: None,
        }
    }
}

impl From<otter_fleet::Error> for Failure {
    fn from(error: otter_fleet::Error) -> Self {
        let problem = error.to_problem();
        match (&error, problem.code) {
            (otter_fleet::Error::Problem(_), _) => problem.into(),
            (_, ProblemCode::Internal | ProblemCode::Unavailable) => Self::logged(problem, &error),
            _ => problem.into(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Json(&*self.problem).into_response();
        *response.status_mut() = axum::http::StatusCode::from_u16(self.problem.status)
            .unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let more = match self.problem.code {
            ProblemCode::Unauthenticated => Some((header::WWW_AUTHENTICATE, "Bearer")),
            ProblemCode::Unavailable => Some((header::RETRY_AFTER, RETRY_UNAVAILABLE_SEC)),
            ProblemCode::TooManyRequests => Some((header::RETRY_AFTER, RETRY_TOO_MANY_SEC)),
            _ => None,
        };
        if let Some((name, value)) = more {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Some(sec) = self.retry_after_sec {
            headers.insert(header::RETRY_AFTER, sec.into());
        }
        if let Some(id) = self.request_id
            && let Ok(value) = HeaderValue::from_str(&id.to_string())
        {
            headers.insert(REQUEST_ID, value);
        }
        response
    }
}

/// Answers for addresses of an API that don't exist.
pub(crate) async fn no_such_address(uri: Uri) -> Failure {
    let detail = format!(
        "There is nothing at {}; /api/openapi.json lists every address.",
        uri.path()
    );
    Failure::new(ProblemCode::NotFound, detail)
}

/// Answers where an address exists, but not for this method.
pub(crate) async fn no_such_method(method: Method, uri: Uri) -> Failure {
    let detail = format!(
        "{} doesn't take {method}; the Allow header lists what it takes.",
        uri.path()
    );
    Failure::new(ProblemCode::MethodNotAllowed, detail)
}

/// Answers where a handler panicked, and notes it.
pub(crate) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    let problem = Problem::new(
        ProblemCode::Internal,
        "The server failed; its log has the details.",
    );
    Failure::logged(problem, &format_args!("a handler panicked: {text}")).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn failures_are_problem_documents_with_the_headers_of_their_kind() {
        let response = Failure::new(ProblemCode::TooManyRequests, "Slowly.").into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(response.headers()[header::RETRY_AFTER], RETRY_TOO_MANY_SEC);
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (problem.code, problem.status),
            (ProblemCode::TooManyRequests, 429)
        );
    }

    #[test]
    fn faults_of_our_own_tell_nothing_but_an_id() {
        let response = panicked(Box::new("secret inside"));
        assert_eq!(response.status(), 500);
        let id = response.headers()[REQUEST_ID].to_str().unwrap();
        assert!(Uuid::parse_str(id).is_ok(), "{id}");
    }

    #[test]
    fn who_is_unknown_is_told_how_to_say_who_he_is() {
        let response = Failure::new(ProblemCode::Unauthenticated, "Who?").into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
}
