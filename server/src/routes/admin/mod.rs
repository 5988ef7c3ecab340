//! The admin API, `/api/v1`.

pub(crate) mod api_keys;
pub(crate) mod artifacts;
pub(crate) mod attempts;
pub(crate) mod audit;
pub(crate) mod audit_download;
pub(crate) mod comparison;
pub(crate) mod device_keys;
pub(crate) mod devices;
pub(crate) mod enrollment_tokens;
pub(crate) mod groups;
pub(crate) mod import;
pub(crate) mod live;
pub(crate) mod me;
pub(crate) mod overview;
pub(crate) mod people;
pub(crate) mod preview;
pub(crate) mod releases;
pub(crate) mod rollouts;
pub(crate) mod templates;
pub(crate) mod trust;
pub(crate) mod webhooks;
