//! Whether the server can work.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::failure::Result;
use crate::server::Server;

/// How the server is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    /// `healthy`; a server that isn't answers 503.
    status: &'static str,
}

/// Tells whether the server and its database answer.
#[utoipa::path(get, path = "/health", tag = "Server", operation_id = "health",
    responses((status = 200, description = "It works", body = Health)))]
pub(crate) async fn health(State(server): State<Server>) -> Result<Json<Health>> {
    server.fleet().check_health().await?;
    Ok(Json(Health { status: "healthy" }))
}
