//! Rollouts, as operators make and steer them.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use otter_protocol::RolloutId;
use otter_protocol::admin::{RolloutDetail, RolloutSummary, WithReason};
use otter_protocol::rollout::{Rollout, RolloutSpec};

use crate::extract::{Json, Operator, Path, Reason, Viewer};
use crate::failure::Result;
use crate::server::Server;

/// Lists rollouts, the newest first, at most 200.
#[utoipa::path(get, path = "/api/v1/rollouts", tag = "Rollouts", operation_id = "list_rollouts",
    responses((status = 200, description = "Rollouts", body = Vec<RolloutSummary>)))]
pub(crate) async fn list(
    _: Viewer,
    State(server): State<Server>,
) -> Result<Answer<Vec<RolloutSummary>>> {
    Ok(Answer(server.fleet().rollouts().await?))
}

/// Makes a rollout of a published release; it begins at once, or at its `starts_at`.
#[utoipa::path(post, path = "/api/v1/rollouts", tag = "Rollouts", operation_id = "create_rollout",
    request_body = RolloutSpec,
    responses((status = 201, description = "The rollout", body = Rollout)))]
pub(crate) async fn create(
    caller: Operator,
    State(server): State<Server>,
    Json(spec): Json<RolloutSpec>,
) -> Result<(StatusCode, Answer<Rollout>)> {
    let rollout = server.fleet().create_rollout(&caller.actor, &spec).await?;
    Ok((StatusCode::CREATED, Answer(rollout)))
}

/// Returns a rollout with its phases and failures.
#[utoipa::path(get, path = "/api/v1/rollouts/{id}", tag = "Rollouts", operation_id = "get_rollout",
    params(("id" = RolloutId, Path, description = "The rollout")),
    responses((status = 200, description = "The rollout", body = RolloutDetail)))]
pub(crate) async fn get(
    _: Viewer,
    State(server): State<Server>,
    Path(id): Path<RolloutId>,
) -> Result<Answer<RolloutDetail>> {
    Ok(Answer(server.fleet().rollout(id).await?))
}

/// Stops offers; what is under way goes on.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/pause", tag = "Rollouts", operation_id = "pause_rollout",
    params(("id" = RolloutId, Path, description = "The rollout")),
    request_body = Option<WithReason>,
    responses((status = 200, description = "The rollout as it is now", body = Rollout)))]
pub(crate) async fn pause(
    caller: Operator,
    State(server): State<Server>,
    Path(id): Path<RolloutId>,
    Reason(reason): Reason,
) -> Result<Answer<Rollout>> {
    let fleet = server.fleet();
    Ok(Answer(
        fleet.pause_rollout(&caller.actor, id, &reason).await?,
    ))
}

/// Goes on; failures that are known by now no longer stop it.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/resume", tag = "Rollouts", operation_id = "resume_rollout",
    params(("id" = RolloutId, Path, description = "The rollout")),
    request_body = Option<WithReason>,
    responses((status = 200, description = "The rollout as it is now", body = Rollout)))]
pub(crate) async fn resume(
    caller: Operator,
    State(server): State<Server>,
    Path(id): Path<RolloutId>,
    Reason(reason): Reason,
) -> Result<Answer<Rollout>> {
    let fleet = server.fleet();
    Ok(Answer(
        fleet.resume_rollout(&caller.actor, id, &reason).await?,
    ))
}

/// Stops for good; what wasn't applied yet is taken back.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/abort", tag = "Rollouts", operation_id = "abort_rollout",
    params(("id" = RolloutId, Path, description = "The rollout")),
    request_body = Option<WithReason>,
    responses((status = 200, description = "The rollout as it is now", body = Rollout)))]
pub(crate) async fn abort(
    caller: Operator,
    State(server): State<Server>,
    Path(id): Path<RolloutId>,
    Reason(reason): Reason,
) -> Result<Answer<Rollout>> {
    let fleet = server.fleet();
    Ok(Answer(
        fleet.abort_rollout(&caller.actor, id, &reason).await?,
    ))
}
