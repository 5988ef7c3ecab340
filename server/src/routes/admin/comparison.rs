//! Releases compared, and which is recommended.

use std::str::FromStr;

use axum::Json as Answer;
use axum::extract::State;
use otter_protocol::comparison::{Comparison, Recommendation};
use otter_protocol::{Model, ReleaseId, RolloutId};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::extract::{Query, Viewer};
use crate::failure::{Failure, Result};
use crate::server::Server;

/// What to compare.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Compared {
    /// Releases by number, 1 to 10, with commas between them.
    releases: String,
    /// Only on this model.
    model: Option<Model>,
    /// Only attempts in these rollouts, by number, with commas between them.
    #[serde(default)]
    rollouts: String,
}

/// Which recommendations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Recommended {
    /// Only for this model.
    model: Option<Model>,
}

/// Compares releases by what became of the attempts at them, by model.
#[utoipa::path(get, path = "/api/v1/releases/compare", tag = "Releases", operation_id = "compare_releases",
    params(Compared),
    responses((status = 200, description = "Each release's record, and each pair's difference", body = Comparison)))]
pub(crate) async fn compare(
    _: Viewer,
    State(server): State<Server>,
    Query(asked): Query<Compared>,
) -> Result<Answer<Comparison>> {
    let releases: Vec<ReleaseId> = numbers("releases", &asked.releases)?;
    let rollouts: Vec<RolloutId> = numbers("rollouts", &asked.rollouts)?;
    let fleet = server.fleet();
    let comparison = fleet.compare_releases(&releases, asked.model.as_ref(), &rollouts);
    Ok(Answer(comparison.await?))
}

/// Names for each model the published release that does best, with the numbers that it rests on, or why there is none.
#[utoipa::path(get, path = "/api/v1/recommended", tag = "Releases", operation_id = "recommended_releases",
    params(Recommended),
    responses((status = 200, description = "One recommendation a model", body = Vec<Recommendation>)))]
pub(crate) async fn recommended(
    _: Viewer,
    State(server): State<Server>,
    Query(asked): Query<Recommended>,
) -> Result<Answer<Vec<Recommendation>>> {
    Ok(Answer(
        server.fleet().recommended(asked.model.as_ref()).await?,
    ))
}

/// Reads numbers with commas between them; an empty text is none.
fn numbers<T: FromStr>(field: &str, text: &str) -> Result<Vec<T>> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts
        .map(|part| {
            part.parse().map_err(|_| {
                let detail = format!("`{part}` is no number; write 7,8");
                Failure::invalid(field, detail)
            })
        })
        .collect()
}
