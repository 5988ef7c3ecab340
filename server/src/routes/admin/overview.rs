//! The fleet at a glance.

use axum::Json as Answer;
use axum::extract::State;
use otter_protocol::admin::Overview;

use crate::extract::Viewer;
use crate::failure::Result;
use crate::server::Server;

/// Returns devices by state and version, live rollouts, and what went wrong of late.
#[utoipa::path(get, path = "/api/v1/overview", tag = "Devices", operation_id = "overview",
    responses((status = 200, description = "The fleet at a glance", body = Overview)))]
pub(crate) async fn overview(_: Viewer, State(server): State<Server>) -> Result<Answer<Overview>> {
    Ok(Answer(server.fleet().overview().await?))
}
