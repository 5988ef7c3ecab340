//! Rollouts: lists, one rollout, making and steering them.

use leptos::prelude::*;
use otter_protocol::RolloutId;
use otter_protocol::admin::{Role, RolloutDetail, RolloutSummary};
use otter_protocol::rollout::{Steering, UnderWay};
use serde::{Deserialize, Serialize};

use super::{ApiError, RolloutForm};

/// What a rollout's form offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RolloutChoices {
    /// Published releases, the newest first: number and text.
    pub(crate) releases: Vec<(i64, String)>,
    /// Groups.
    pub(crate) groups: Vec<String>,
}

/// What a person may do with a rollout, as its forms write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Ends the writing of a draft.
    Start,
    /// Lets a rollout of somebody else's begin.
    Approve,
    /// Opens a gate that waits for a person.
    ApproveGate,
    /// Goes on.
    Resume,
    /// Stops offers.
    Pause,
    /// Lets devices that failed try again.
    RetryFailed,
    /// Goes on to the next phase whatever the gate says.
    SkipGate,
    /// Offers devices what they ran before.
    RollBack,
    /// Stops for good.
    Abort,
}

impl Step {
    /// Every step, in the order in which a page offers them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Start,
        Self::Approve,
        Self::ApproveGate,
        Self::Resume,
        Self::Pause,
        Self::RetryFailed,
        Self::SkipGate,
        Self::RollBack,
        Self::Abort,
    ];

    /// Returns the step as forms write it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Approve => "approve",
            Self::ApproveGate => "approve_gate",
            Self::Resume => "resume",
            Self::Pause => "pause",
            Self::RetryFailed => "retry_failed",
            Self::SkipGate => "skip_gate",
            Self::RollBack => "roll_back",
            Self::Abort => "abort",
        }
    }

    /// Returns who may take it.
    pub(crate) fn role(self) -> Role {
        match self {
            Self::Approve | Self::ApproveGate => Role::Approver,
            _ => Role::Operator,
        }
    }

    /// Returns the step with what becomes of attempts under way, where it asks for that.
    pub(crate) fn steering(self, under_way: UnderWay) -> Steering {
        match self {
            Self::Start => Steering::Start,
            Self::Approve => Steering::Approve,
            Self::ApproveGate => Steering::ApproveGate,
            Self::Resume => Steering::Resume,
            Self::Pause => Steering::Pause,
            Self::RetryFailed => Steering::RetryFailed,
            Self::SkipGate => Steering::SkipGate,
            Self::RollBack => Steering::RollBack,
            Self::Abort => Steering::Abort(under_way),
        }
    }
}

/// Lists rollouts.
#[server(prefix = "/ui", endpoint = "rollouts", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn list_rollouts() -> Result<Vec<RolloutSummary>, ApiError> {
    Ok(super::auth::viewer().await?.fleet.rollouts().await?)
}

/// Returns a rollout with its failures.
#[server(prefix = "/ui", endpoint = "rollout", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn get_rollout(id: RolloutId) -> Result<RolloutDetail, ApiError> {
    Ok(super::auth::viewer().await?.fleet.rollout(id).await?)
}

/// Returns what a rollout's form offers.
#[server(prefix = "/ui", endpoint = "rollout-choices", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn get_rollout_choices() -> Result<RolloutChoices, ApiError> {
    let fleet = super::auth::viewer().await?.fleet;
    let published = fleet
        .releases()
        .await?
        .into_iter()
        .filter(|release| release.state == otter_protocol::release::ReleaseState::Published);
    let releases = published.map(|release| {
        let models: Vec<_> = release.models().iter().map(ToString::to_string).collect();
        (
            release.id.0,
            format!("{} for {}", release.version, models.join(", ")),
        )
    });
    Ok(RolloutChoices {
        releases: releases.collect(),
        groups: super::devices::group_names(&fleet).await?,
    })
}

/// Makes a rollout, and goes on to its page.
#[server(prefix = "/ui", endpoint = "create-rollout")]
pub(crate) async fn create_rollout(
    #[server(default)] form: RolloutForm,
) -> Result<RolloutId, ApiError> {
    use super::auth;
    let caller = auth::operator().await?;
    let spec = form.spec().map_err(auth::fail)?;
    let rollout = caller
        .fleet
        .create_rollout(&caller.actor, &spec, false)
        .await
        .map_err(|error| auth::fail(error.into()))?;
    leptos_axum::redirect(&format!("/rollouts/{}", rollout.id));
    Ok(rollout.id)
}

/// Takes a step with a rollout.
#[server(prefix = "/ui", endpoint = "steer-rollout")]
pub(crate) async fn steer_rollout(
    id: RolloutId,
    steering: Step,
    #[server(default)] reason: String,
    #[server(default)] under_way: UnderWay,
) -> Result<(), ApiError> {
    use super::auth;
    let caller = auth::of_role(steering.role()).await?;
    let (fleet, actor, reason) = (&caller.fleet, &caller.actor, reason.trim());
    let steering = steering.steering(under_way);
    let steered = fleet.steer_rollout(actor, id, steering, reason).await;
    steered.map(drop).map_err(|error| auth::fail(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_write_steps_as_they_are_read() {
        for step in Step::ALL {
            assert_eq!(serde_json::to_value(step).unwrap(), step.as_str());
        }
    }
}
