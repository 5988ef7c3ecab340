//! Rollouts, as operators make and steer them.

use axum::Json as Answer;
use axum::http::StatusCode;
use otter_protocol::RolloutId;
use otter_protocol::admin::{Abort, Making, RolloutDetail, RolloutSummary, WithReason};
use otter_protocol::rollout::{Rollout, RolloutSpec, Steering};
use serde_json::{Map, Value};

use crate::extract::{
    Approver, Json, Operator, Optional, Path, Query, Scoped, Viewer, from_fields,
};
use crate::failure::Result;

/// Lists rollouts, the newest first, at most 200.
#[utoipa::path(get, path = "/api/v1/rollouts", tag = "Rollouts", operation_id = "list_rollouts",
    responses((status = 200, description = "Rollouts", body = Vec<RolloutSummary>)))]
pub(crate) async fn list(Scoped(_, fleet): Scoped<Viewer>) -> Result<Answer<Vec<RolloutSummary>>> {
    Ok(Answer(fleet.rollouts().await?))
}

/// Makes a rollout of a published release; it begins at once, at its `starts_at`, or once it is approved. A draft waits to
/// be started. With a template, a field that the body has goes over the template's whole.
#[utoipa::path(post, path = "/api/v1/rollouts", tag = "Rollouts", operation_id = "create_rollout",
    params(Making),
    request_body = RolloutSpec,
    responses((status = 201, description = "The rollout", body = Rollout)))]
pub(crate) async fn create(
    Scoped(caller, fleet): Scoped<Operator>,
    Query(making): Query<Making>,
    Json(mut fields): Json<Map<String, Value>>,
) -> Result<(StatusCode, Answer<Rollout>)> {
    if let Some(name) = &making.template {
        fields = fleet.template(name).await?.spec.under(fields);
    }
    let spec: RolloutSpec = from_fields(fields, "")?;
    let rollout = fleet
        .create_rollout(&caller.actor, &spec, making.draft)
        .await?;
    Ok((StatusCode::CREATED, Answer(rollout)))
}

/// Returns a rollout with its phases and failures.
#[utoipa::path(get, path = "/api/v1/rollouts/{id}", tag = "Rollouts", operation_id = "get_rollout",
    params(("id" = RolloutId, Path, description = "The rollout")),
    responses((status = 200, description = "The rollout", body = RolloutDetail)))]
pub(crate) async fn get(
    Scoped(_, fleet): Scoped<Viewer>,
    Path(id): Path<RolloutId>,
) -> Result<Answer<RolloutDetail>> {
    Ok(Answer(fleet.rollout(id).await?))
}

/// Writes a draft anew.
#[utoipa::path(put, path = "/api/v1/rollouts/{id}", tag = "Rollouts", operation_id = "update_rollout",
    params(("id" = RolloutId, Path, description = "The rollout")),
    request_body = RolloutSpec,
    responses((status = 200, description = "The rollout as it is now", body = Rollout)))]
pub(crate) async fn update(
    Scoped(caller, fleet): Scoped<Operator>,
    Path(id): Path<RolloutId>,
    Json(spec): Json<RolloutSpec>,
) -> Result<Answer<Rollout>> {
    Ok(Answer(
        fleet.update_rollout(&caller.actor, id, &spec).await?,
    ))
}

/// Stops for good; what wasn't applied yet is taken back, or goes on to its end, as chosen.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/abort", tag = "Rollouts", operation_id = "abort_rollout",
    params(("id" = RolloutId, Path, description = "The rollout")),
    request_body = Option<Abort>,
    responses((status = 200, description = "The rollout as it is now", body = Rollout)))]
pub(crate) async fn abort(
    Scoped(caller, fleet): Scoped<Operator>,
    Path(id): Path<RolloutId>,
    Optional(abort): Optional<Abort>,
) -> Result<Answer<Rollout>> {
    let steering = Steering::Abort(abort.under_way);
    Ok(Answer(
        fleet
            .steer_rollout(&caller.actor, id, steering, &abort.reason)
            .await?,
    ))
}

macro_rules! steering {
    ($(#[$doc:meta])* $name:ident, $role:ident, $steering:expr, $path:literal, $operation:literal) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "Rollouts", operation_id = $operation,
            params(("id" = RolloutId, Path, description = "The rollout")),
            request_body = Option<WithReason>,
            responses((status = 200, description = "The rollout as it is now", body = Rollout)))]
        pub(crate) async fn $name(
            Scoped(caller, fleet): Scoped<$role>,
            Path(id): Path<RolloutId>,
            Optional(with): Optional<WithReason>,
        ) -> Result<Answer<Rollout>> {
            Ok(Answer(
                fleet.steer_rollout(&caller.actor, id, $steering, &with.reason).await?,
            ))
        }
    };
}

steering!(
    /// Ends the writing of a draft: it begins, waits for its time, or for its approval.
    start, Operator, Steering::Start, "/api/v1/rollouts/{id}/start", "start_rollout"
);
steering!(
    /// Lets a rollout of somebody else's begin.
    approve, Approver, Steering::Approve, "/api/v1/rollouts/{id}/approve", "approve_rollout"
);
steering!(
    /// Stops offers; what is under way goes on.
    pause, Operator, Steering::Pause, "/api/v1/rollouts/{id}/pause", "pause_rollout"
);
steering!(
    /// Goes on; failures that are known by now no longer stop it.
    resume, Operator, Steering::Resume, "/api/v1/rollouts/{id}/resume", "resume_rollout"
);
steering!(
    /// Lets the open phase's gate open, where it waits for a person.
    approve_gate, Approver, Steering::ApproveGate, "/api/v1/rollouts/{id}/approve-gate", "approve_gate"
);
steering!(
    /// Goes on to the next phase whatever the gate says; needs a reason.
    skip_gate, Operator, Steering::SkipGate, "/api/v1/rollouts/{id}/skip-gate", "skip_gate"
);
steering!(
    /// Offers the devices that it updated what they ran before.
    roll_back, Operator, Steering::RollBack, "/api/v1/rollouts/{id}/roll-back", "roll_back_rollout"
);
steering!(
    /// Lets the devices that failed try again.
    retry_failed, Operator, Steering::RetryFailed, "/api/v1/rollouts/{id}/retry-failed", "retry_failed_devices"
);
