//! The database's tables, as sea-orm sees them. No rule lives here.

pub(crate) mod api_key;
pub(crate) mod artifact;
pub(crate) mod attempt;
pub(crate) mod attempt_log;
pub(crate) mod attempt_step;
pub(crate) mod device;
pub(crate) mod enrollment_token;
pub(crate) mod event;
pub(crate) mod event_head;
pub(crate) mod event_signature;
pub(crate) mod gate_evaluation;
pub(crate) mod group;
pub(crate) mod lease;
pub(crate) mod one_time_link;
pub(crate) mod recovery_code;
pub(crate) mod release;
pub(crate) mod release_artifact;
pub(crate) mod rollout;
pub(crate) mod rollout_phase;
pub(crate) mod rollout_template;
pub(crate) mod secret;
pub(crate) mod session;
pub(crate) mod trust_metadata;
pub(crate) mod user;
pub(crate) mod webhook;
pub(crate) mod webhook_delivery;
