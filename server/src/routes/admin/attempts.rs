//! Logs that devices sent of their attempts.

use otter_protocol::{AttemptId, ProblemCode};

use crate::extract::{Path, Scoped, Viewer};
use crate::failure::{Failure, Result};

/// Returns an attempt's log as the device sent it.
#[utoipa::path(get, path = "/api/v1/attempts/{id}/log", tag = "Devices", operation_id = "get_log",
    params(("id" = AttemptId, Path, description = "The attempt")),
    responses((status = 200, description = "The log", content_type = "text/plain", body = String)))]
pub(crate) async fn get_log(
    Scoped(_, fleet): Scoped<Viewer>,
    Path(attempt): Path<AttemptId>,
) -> Result<String> {
    fleet.attempt_log(attempt).await?.ok_or_else(|| {
        let detail = format!("Attempt {attempt} has no log, or there is no such attempt.");
        Failure::new(ProblemCode::NotFound, detail)
    })
}
