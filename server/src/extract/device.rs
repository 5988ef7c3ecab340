//! The device that asks, known by its token.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use otter_fleet::KnownDevice;
use otter_protocol::ProblemCode;

use super::bearer::bearer;
use crate::failure::Failure;
use crate::server::Server;

/// The device that asks.
pub(crate) struct Device(pub(crate) Arc<KnownDevice>);

impl FromRequestParts<Server> for Device {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        server: &Server,
    ) -> Result<Self, Self::Rejection> {
        let token = bearer(&parts.headers)?.ok_or_else(|| {
            let detail = "A device must show its token: Authorization: Bearer otd_…";
            Failure::new(ProblemCode::Unauthenticated, detail)
        })?;
        Ok(Self(server.fleet().device_by_token(token).await?))
    }
}
