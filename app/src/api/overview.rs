//! The fleet at a glance.

use leptos::prelude::*;
use otter_protocol::admin::{Attention, Overview, TrustStatus, TrustWarning};
use otter_protocol::timeline::Timeline;
use serde::{Deserialize, Serialize};

use super::ApiError;

/// What the first page shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Glance {
    /// The fleet.
    pub(crate) overview: Overview,
    /// What it ran when.
    pub(crate) timeline: Timeline,
    /// Devices that a person should look at.
    pub(crate) attention: Attention,
    /// How its trust stands.
    pub(crate) trust: TrustStatus,
    /// What publishers have to do about it, the most urgent first.
    pub(crate) warnings: Vec<TrustWarning>,
    /// Tells whether there is any release yet.
    pub(crate) has_releases: bool,
}

/// Returns what the first page shows; `span` says how far its timeline looks back.
#[server(prefix = "/ui", endpoint = "overview", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn get_overview(#[server(default)] span: String) -> Result<Glance, ApiError> {
    use otter_protocol::timeline::Span;
    let fleet = super::auth::viewer().await?.fleet;
    Ok(Glance {
        overview: fleet.overview().await?,
        timeline: timeline(&fleet, Span::named(&span)).await?,
        attention: fleet.attention().await?,
        trust: fleet.trust_status().await?,
        warnings: fleet.trust_warnings().await?,
        has_releases: !fleet.releases().await?.is_empty(),
    })
}

/// Returns the timeline that was asked for; else that of a day, or of an hour where nothing older was counted.
#[cfg(feature = "ssr")]
async fn timeline(
    fleet: &otter_fleet::Fleet,
    asked: Option<otter_protocol::timeline::Span>,
) -> Result<Timeline, ApiError> {
    use otter_protocol::timeline::Span;
    let timeline = fleet.timeline(asked.unwrap_or_default()).await?;
    let hour_ago = timeline.until.minus_sec(Span::Hour.sec());
    let is_young = timeline
        .samples
        .first()
        .is_none_or(|first| first.at >= hour_ago);
    if asked.is_none() && is_young {
        return Ok(fleet.timeline(Span::Hour).await?);
    }
    Ok(timeline)
}
