//! Versions of software.

use axum::Json as Answer;
use axum::http::StatusCode;
use otter_protocol::ReleaseId;
use otter_protocol::admin::{NewRelease, ReleaseDetail, WithReason};
use otter_protocol::release::Release;
use serde::Deserialize;

use crate::extract::{Json, Operator, Optional, Path, Query, Scoped, Viewer};
use crate::failure::Result;

/// How many releases to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Limit {
    /// Most items; all where absent.
    limit: Option<usize>,
}

/// Lists releases, the newest first.
#[utoipa::path(get, path = "/api/v1/releases", tag = "Releases", operation_id = "list_releases",
    params(Limit),
    responses((status = 200, description = "Releases", body = Vec<Release>)))]
pub(crate) async fn list(
    Scoped(_, fleet): Scoped<Viewer>,
    Query(limit): Query<Limit>,
) -> Result<Answer<Vec<Release>>> {
    let mut releases = fleet.releases().await?;
    releases.truncate(limit.limit.unwrap_or(usize::MAX));
    Ok(Answer(releases))
}

/// Makes a draft of artifacts that are in the store; its signature, given to `/api/v1/trust/targets`, publishes it.
#[utoipa::path(post, path = "/api/v1/releases", tag = "Releases", operation_id = "create_release",
    request_body = NewRelease,
    responses((status = 201, description = "The draft", body = Release)))]
pub(crate) async fn create(
    Scoped(caller, fleet): Scoped<Operator>,
    Json(new): Json<NewRelease>,
) -> Result<(StatusCode, Answer<Release>)> {
    let release = fleet.create_release(&caller.actor, &new).await?;
    Ok((StatusCode::CREATED, Answer(release)))
}

/// Returns a release with where it runs and its rollouts.
#[utoipa::path(get, path = "/api/v1/releases/{id}", tag = "Releases", operation_id = "get_release",
    params(("id" = ReleaseId, Path, description = "The release")),
    responses((status = 200, description = "The release", body = ReleaseDetail)))]
pub(crate) async fn get(
    Scoped(_, fleet): Scoped<Viewer>,
    Path(id): Path<ReleaseId>,
) -> Result<Answer<ReleaseDetail>> {
    Ok(Answer(fleet.release(id).await?))
}

/// Takes a release back: live rollouts of it are aborted, no device gets it any more.
#[utoipa::path(post, path = "/api/v1/releases/{id}/withdraw", tag = "Releases", operation_id = "withdraw_release",
    params(("id" = ReleaseId, Path, description = "The release")),
    request_body = Option<WithReason>,
    responses((status = 200, description = "The release as it is now", body = Release)))]
pub(crate) async fn withdraw(
    Scoped(caller, fleet): Scoped<Operator>,
    Path(id): Path<ReleaseId>,
    Optional(with): Optional<WithReason>,
) -> Result<Answer<Release>> {
    let release = fleet
        .withdraw_release(&caller.actor, id, &with.reason)
        .await?;
    Ok(Answer(release))
}
