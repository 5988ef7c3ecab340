//! What rollouts would do, and have yet to do.

use axum::Json as Answer;
use otter_protocol::RolloutId;
use otter_protocol::admin::{Making, RolloutPreview};
use otter_protocol::rollout::RolloutSpec;
use serde_json::{Map, Value};

use crate::extract::{Json, Path, Query, Scoped, Viewer, from_fields};
use crate::failure::Result;

/// Foresees a rollout without making it: devices by phase, what holds which back, and when each phase will end.
#[utoipa::path(post, path = "/api/v1/rollouts/preview", tag = "Rollouts", operation_id = "preview_new_rollout",
    params(Making),
    request_body = RolloutSpec,
    responses((status = 200, description = "What it would do", body = RolloutPreview)))]
pub(crate) async fn preview_new(
    Scoped(_, fleet): Scoped<Viewer>,
    Query(making): Query<Making>,
    Json(mut fields): Json<Map<String, Value>>,
) -> Result<Answer<RolloutPreview>> {
    if let Some(name) = &making.template {
        fields = fleet.template(name).await?.spec.under(fields);
    }
    let spec: RolloutSpec = from_fields(fields, "")?;
    Ok(Answer(fleet.preview_new_rollout(&spec).await?))
}

/// Foresees what a rollout has yet to do: what is left, who is held back, and when it will be done.
#[utoipa::path(get, path = "/api/v1/rollouts/{id}/preview", tag = "Rollouts", operation_id = "preview_rollout",
    params(("id" = RolloutId, Path, description = "The rollout")),
    responses((status = 200, description = "What it has yet to do", body = RolloutPreview)))]
pub(crate) async fn preview(
    Scoped(_, fleet): Scoped<Viewer>,
    Path(id): Path<RolloutId>,
) -> Result<Answer<RolloutPreview>> {
    Ok(Answer(fleet.preview_rollout(id).await?))
}
