//! Rollouts: lists, one rollout, making and steering them.

use leptos::prelude::*;
use otter_protocol::RolloutId;
use otter_protocol::admin::{RolloutDetail, RolloutSummary};
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

/// What a person may do with a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Steering {
    /// Stop offers.
    Pause,
    /// Go on.
    Resume,
    /// Stop for good.
    Abort,
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
        .create_rollout(&caller.actor, &spec)
        .await
        .map_err(|error| auth::fail(error.into()))?;
    leptos_axum::redirect(&format!("/rollouts/{}", rollout.id));
    Ok(rollout.id)
}

/// Pauses, resumes or aborts a rollout.
#[server(prefix = "/ui", endpoint = "steer-rollout")]
pub(crate) async fn steer_rollout(
    id: RolloutId,
    steering: Steering,
    #[server(default)] reason: String,
) -> Result<(), ApiError> {
    use super::auth;
    let caller = auth::operator().await?;
    let (fleet, actor, reason) = (&caller.fleet, &caller.actor, reason.trim());
    let steered = match steering {
        Steering::Pause => fleet.pause_rollout(actor, id, reason).await,
        Steering::Resume => fleet.resume_rollout(actor, id, reason).await,
        Steering::Abort => fleet.abort_rollout(actor, id, reason).await,
    };
    steered.map(drop).map_err(|error| auth::fail(error.into()))
}
