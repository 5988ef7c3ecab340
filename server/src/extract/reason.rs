//! A person's reason for what he does; he may leave it out, and the body with it.

use axum::extract::{FromRequest, Request};
use otter_protocol::admin::WithReason;

use super::json;
use crate::body;
use crate::failure::{Failure, Result};
use crate::server::Server;

/// Most bytes of a reason's body.
const LIMIT: usize = 16 << 10;

/// A reason, empty where none was given.
pub(crate) struct Reason(pub(crate) String);

impl FromRequest<Server> for Reason {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Server) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let bytes = body::read(&parts.headers, body, LIMIT).await?;
        if bytes.is_empty() {
            return Ok(Self(String::new()));
        }
        json::check_media_type(&parts.headers)?;
        json::parse::<WithReason>(&bytes).map(|with| Self(with.reason))
    }
}
