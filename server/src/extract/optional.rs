//! Bodies that may be left out.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::json;
use crate::body;
use crate::failure::{Failure, Result};
use crate::server::Server;

/// Most bytes of such a body.
const LIMIT: usize = 16 << 10;

/// A body that is JSON, or its default where there is none.
pub(crate) struct Optional<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<Server> for Optional<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Server) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let bytes = body::read(&parts.headers, body, LIMIT).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        json::check_media_type(&parts.headers)?;
        json::parse::<T>(&bytes).map(Self)
    }
}
