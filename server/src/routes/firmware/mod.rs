//! The plain firmware API, a dialect of the device API for microcontrollers, as their fleets speak it already: names and
//! versions in the address, JSON of flat fields, SHA-256 as the only check.
//!
//! Handlers translate: the poll, the reports and the artifacts are `fleet`'s, and so is every rule. Devices' side is here with
//! `check`, `download` and `report`; publishers' side with `upload`, `rollout` and `lists`; `failure`, `caller` and `statuses`
//! are how it says no, whom it believes, and what it calls an attempt's states.

pub(crate) mod caller;
pub(crate) mod check;
pub(crate) mod download;
mod failure;
pub(crate) mod lists;
pub(crate) mod metrics;
pub(crate) mod report;
pub(crate) mod rollout;
mod statuses;
pub(crate) mod upload;

use axum::Json;

use failure::Plain;

/// What a handler answers.
type Answer<T> = std::result::Result<Json<T>, Plain>;

/// What is answered where there is nothing to say but that it was done.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Done {
    /// `ok`.
    status: &'static str,
    /// The same, to people.
    message: &'static str,
    /// The number of what was made, where something was.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
}
