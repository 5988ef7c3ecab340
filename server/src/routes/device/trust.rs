//! Signed metadata, for whoever wants to verify: there is nothing secret in it.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use otter_protocol::ProblemCode;

use crate::extract::Path;
use crate::failure::{Failure, Result};
use crate::server::Server;

/// Sends a metadata file by TUF's name for it: `1.root.json`, `timestamp.json`, `7.snapshot.json`, `9.targets.json`, and
/// `4.team-a.json` for a delegated role.
#[utoipa::path(get, path = "/device/v1/trust/{name}", tag = "Device", operation_id = "get_metadata",
    params(("name" = String, Path, description = "The file's name")),
    responses((status = 200, description = "Signed metadata", content_type = "application/json", body = Object)))]
pub(crate) async fn get_metadata(
    State(server): State<Server>,
    Path(name): Path<String>,
) -> Result<Response> {
    let bytes = server.fleet().trust_metadata(&name).await?.ok_or_else(|| {
        Failure::new(
            ProblemCode::NotFound,
            format!("There is no metadata {name}."),
        )
    })?;
    // Only the timestamp has one name for all its versions.
    let cache = if name == "timestamp.json" {
        "no-cache"
    } else {
        "public, max-age=31536000, immutable"
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    Ok((headers, bytes).into_response())
}
