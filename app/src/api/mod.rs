//! Server functions: what the pages ask of the server. Thin on `Fleet`; each begins by asking who is calling.

pub(crate) mod account;
pub(crate) mod audit;
#[cfg(feature = "ssr")]
pub(crate) mod auth;
pub(crate) mod devices;
mod error;
pub(crate) mod find;
pub(crate) mod overview;
pub(crate) mod people;
mod query;
pub(crate) mod releases;
mod rollout_form;
#[cfg(any(feature = "ssr", test))]
mod rollout_spec;
pub(crate) mod rollouts;
pub(crate) mod session;
pub(crate) mod settings;

pub(crate) use error::ApiError;
pub(crate) use query::{AuditQuery, DeviceQuery};
pub(crate) use rollout_form::RolloutForm;
