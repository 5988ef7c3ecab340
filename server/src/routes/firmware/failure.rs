//! How this dialect says no: the status, and `{"detail": …}`.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use otter_protocol::ProblemCode;
use serde_json::json;

use crate::failure::Failure;
use crate::server::Server;

/// A failure as this dialect says it.
#[derive(Debug)]
pub(crate) struct Plain(Failure);

impl<E: Into<Failure>> From<E> for Plain {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl Plain {
    /// Makes a failure of a kind.
    pub(super) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self(Failure::new(code, detail))
    }
}

impl IntoResponse for Plain {
    fn into_response(self) -> Response {
        let body = Json(json!({ "detail": self.0.detail() }));
        // The status and the headers of its kind are those of every other failure.
        let (mut parts, _) = self.0.into_response().into_parts();
        // Here everything that is wrong with a body is.
        if parts.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            parts.status = StatusCode::UNPROCESSABLE_ENTITY;
        }
        let json = HeaderValue::from_static("application/json");
        parts.headers.insert(header::CONTENT_TYPE, json);
        Response::from_parts(parts, body.into_response().into_body())
    }
}

/// What a handler asks for, refused in this dialect's words.
pub(crate) struct Said<T>(pub(crate) T);

impl<T> FromRequestParts<Server> for Said<T>
where
    T: FromRequestParts<Server, Rejection = Failure> + Send,
{
    type Rejection = Plain;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Plain> {
        Ok(Self(T::from_request_parts(parts, server).await?))
    }
}

/// A body, refused in this dialect's words.
pub(crate) struct SaidIn<T>(pub(crate) T);

impl<T> FromRequest<Server> for SaidIn<T>
where
    T: FromRequest<Server, Rejection = Failure>,
{
    type Rejection = Plain;

    async fn from_request(request: Request, server: &Server) -> Result<Self, Plain> {
        Ok(Self(T::from_request(request, server).await?))
    }
}
