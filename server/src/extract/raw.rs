//! Bodies that are taken as they are.

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use bytes::Bytes;

use crate::body;
use crate::failure::{Failure, Result};
use crate::server::Server;

/// A body of at most `LIMIT` bytes, and the request's headers.
pub(crate) struct Raw<const LIMIT: usize> {
    /// The body.
    pub(crate) bytes: Bytes,
    /// The request's headers.
    pub(crate) headers: HeaderMap,
}

impl<const LIMIT: usize> FromRequest<Server> for Raw<LIMIT> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Server) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let bytes = body::read(&parts.headers, body, LIMIT).await?;
        Ok(Self {
            bytes,
            headers: parts.headers,
        })
    }
}
