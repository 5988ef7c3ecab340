//! The fleet in a few numbers, at the address where this dialect's publishers look for them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use otter_fleet::Figures;
use otter_protocol::ProblemCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;

use super::caller::Reader;
use super::failure::Plain;
use super::statuses::Status;
use crate::failure::Failure;
use crate::server::Server;

/// The text format of OpenMetrics, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Models that are named.
const MOST_MODELS: usize = 50;

/// The fleet in a few numbers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Metrics {
    /// Devices that take part.
    total_devices: u64,
    /// The same, by model.
    devices_by_model: BTreeMap<String, u64>,
    /// Updates that something was heard of in the last 24 hours, by where they are.
    recent_updates_24h: BTreeMap<&'static str, u64>,
    /// Rollouts that offer something now.
    active_rollouts: u64,
}

/// Tells the fleet's numbers, as JSON where that is asked for, else as Prometheus reads them.
#[utoipa::path(get, path = "/metrics", tag = "Server", operation_id = "metrics",
    params(("Accept" = Option<String>, Header, description = "`application/json` for JSON")),
    responses((status = 200, description = "The fleet's numbers",
        content((Metrics = "application/json"), (String = "application/openmetrics-text")))))]
pub(crate) async fn metrics(
    State(server): State<Server>,
    _: Reader,
    headers: HeaderMap,
) -> Result<Response, Plain> {
    let figures = Metrics::of(&*server.fleet().figures().await?);
    let accepts = headers.get_all(header::ACCEPT).into_iter();
    let wants_json = accepts
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("application/json"));
    if wants_json {
        return Ok(Json(figures).into_response());
    }
    let text = figures.prometheus()?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// The label of devices by their model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfModel {
    model: String,
}

/// The label of updates by where they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStatus {
    status: &'static str,
}

impl Metrics {
    /// Says the numbers as Prometheus reads them. Models beyond the largest few are one: each is a series of its own, kept for
    /// as long as Prometheus keeps any.
    fn prometheus(&self) -> Result<String, Failure> {
        let devices = Family::<OfModel, Gauge>::default();
        let mut models: Vec<(&String, &u64)> = self.devices_by_model.iter().collect();
        models.sort_by_key(|(model, count)| (std::cmp::Reverse(**count), *model));
        for (place, (model, count)) in models.into_iter().enumerate() {
            let model = if place < MOST_MODELS { model } else { "other" };
            let model = model.to_owned();
            let gauge = devices.get_or_create_owned(&OfModel { model });
            gauge.inc_by(whole(*count));
        }
        let updates = Family::<OfStatus, Gauge>::default();
        for (status, count) in &self.recent_updates_24h {
            let gauge = updates.get_or_create_owned(&OfStatus { status });
            gauge.set(whole(*count));
        }
        let rollouts: Gauge = Gauge::default();
        rollouts.set(whole(self.active_rollouts));
        let mut registry = Registry::with_prefix("otter");
        registry.register("devices", "Devices that take part, by model", devices);
        let help = "Updates that something was heard of in the last 24 hours, by where they are";
        registry.register("updates_last_day", help, updates);
        let help = "Rollouts that offer something now";
        registry.register("rollouts_running", help, rollouts);
        let mut text = String::new();
        encode(&mut text, &registry)
            .map_err(|_| Failure::new(ProblemCode::Internal, "The numbers can't be written."))?;
        Ok(text)
    }

    fn of(figures: &Figures) -> Self {
        let mut recent_updates_24h = BTreeMap::new();
        for (state, count) in &figures.updates_last_day {
            let status = Status::of(*state).as_str();
            *recent_updates_24h.entry(status).or_default() += count;
        }
        Self {
            total_devices: figures.devices_by_model.values().sum(),
            devices_by_model: figures.devices_by_model.clone(),
            recent_updates_24h,
            active_rollouts: figures.running_rollouts,
        }
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
