//! Webhooks, and what they are told.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::admin::AttemptSummary;
use crate::attempt::AttemptState;
use crate::audit_chain::SignedHead;
use crate::id::ReleaseId;
use crate::id::RolloutId;
use crate::rollout::RolloutState;
use crate::time::Timestamp;
use crate::version::Version;

/// Tells where the audit log ends, once a day.
pub const AUDIT_HEAD: &str = "audit.head";

/// Says that a webhook is reached.
pub const PING: &str = "ping";

/// What happens to a rollout beside coming into a state.
const ROLLOUT_EVENTS: [&str; 12] = [
    "created",
    "updated",
    "approved",
    "next_phase",
    "gate_sampling",
    "gate_soaking",
    "gate_awaiting_approval",
    "gate_breached",
    "gate_open",
    "gate_approved",
    "gate_skipped",
    "retried",
];

/// What happens to an attempt beside coming into a state: what a device says of its health after it succeeded.
const ATTEMPT_EVENTS: [&str; 2] = ["unhealthy", "healthy"];

/// Returns the names of everything that webhooks can be told: `rollout.` or `attempt.` and a state or a happening, and
/// `audit.head`.
pub fn notice_events() -> Vec<String> {
    let rollouts = ROLLOUT_EVENTS.into_iter();
    let rollouts = rollouts.chain(RolloutState::ALL.into_iter().map(RolloutState::as_str));
    let attempts = ATTEMPT_EVENTS.into_iter();
    let attempts = attempts.chain(AttemptState::ALL.into_iter().map(AttemptState::as_str));
    rollouts
        // None comes into it: it is made as one.
        .filter(|event| *event != RolloutState::Draft.as_str())
        .map(|event| format!("rollout.{event}"))
        .chain(attempts.map(|event| format!("attempt.{event}")))
        .chain([AUDIT_HEAD.to_owned()])
        .collect()
}

/// Tells whether a filter takes an event: its name, or its beginning and a `*`.
pub fn takes_event(filter: &str, event: &str) -> bool {
    match filter.strip_suffix('*') {
        Some(begin) => event.starts_with(begin),
        None => filter == event,
    }
}

/// An address that is to hear of rollouts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewWebhook {
    /// What it is for, to people.
    pub name: String,
    /// Where notices go, by POST: `https://…` or `http://…`.
    pub url: String,
    /// What it hears of: names of events, or beginnings with a `*`, such as `rollout.*` and `attempt.failed`.
    pub events: Vec<String>,
    /// Whether it is told anything now.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

/// Without the address, which may hold a secret.
impl fmt::Debug for NewWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewWebhook")
            .field("name", &self.name)
            .field("events", &self.events)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

/// An address that hears of rollouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Webhook {
    /// Its number.
    pub id: i64,
    /// What it is and hears.
    #[serde(flatten)]
    pub spec: NewWebhook,
    /// Until when the secret before this one signs, too.
    pub former_secret_until: Option<Timestamp>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

/// A change to a webhook; what is absent stays.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct WebhookPatch {
    /// What it is for, to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where notices go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it hears of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Whether it is told anything now; what waits is kept for its 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Without the address, which may hold a secret.
impl fmt::Debug for WebhookPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookPatch")
            .field("name", &self.name)
            .field("events", &self.events)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

/// Where a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be tried, for the first time or again.
    Waiting,
    /// The receiver answered 2xx.
    Delivered,
    /// It failed for 24 hours; only a person has it tried again.
    GivenUp,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::GivenUp];

    /// Returns the state as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
        }
    }

    /// Returns the state that the API writes so.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A notice on its way to a webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookDelivery {
    /// Its number, which `Otter-Delivery` has: the same for every try. In the order in which things happened.
    pub id: i64,
    /// The webhook.
    pub webhook: i64,
    /// What happened.
    pub event: String,
    /// The rollout that it is about.
    pub rollout: Option<RolloutId>,
    /// Where it is.
    pub state: DeliveryState,
    /// When it happened.
    pub created_at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// When it was last tried.
    pub tried_at: Option<Timestamp>,
    /// When it is tried next, at the earliest: those before it of the same rollout go first.
    pub next_at: Option<Timestamp>,
    /// When it was delivered or given up.
    pub finished_at: Option<Timestamp>,
    /// The HTTP status of the last answer.
    pub status: Option<u16>,
    /// How long the last try took, in milliseconds.
    pub took_ms: Option<u64>,
    /// Why the last try failed.
    pub error: Option<String>,
    /// The beginning of the last answer, at most 1 KiB.
    pub answer: Option<String>,
    /// What is sent.
    pub body: serde_json::Value,
}

/// Which deliveries of a webhook to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default)]
pub struct DeliveryFilter {
    /// Where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<DeliveryState>,
    /// The rollout that they are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
    /// The `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Most items, 1 to 500; 50 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What a webhook is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookNotice {
    /// The version of this form, 1; fields may be added to it.
    pub version: u32,
    /// Its own name, the same however often and to however many webhooks it is sent.
    pub id: uuid::Uuid,
    /// What happened, such as `rollout.paused` or `attempt.failed`.
    pub event: String,
    /// When.
    pub at: Timestamp,
    /// What there is to say beside the event's name: a gate's numbers, a person's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The rollout; absent in a `ping`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<NoticeRollout>,
    /// The attempt, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptSummary>,
    /// The audit log's end, in an `audit.head`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_head: Option<SignedHead>,
}

/// A rollout, as a notice tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NoticeRollout {
    /// Its number.
    pub id: RolloutId,
    /// Its name, to people.
    pub name: String,
    /// What it brings.
    pub release: ReleaseId,
    /// That release's version.
    pub version: Version,
    /// Where it is in its life.
    pub state: RolloutState,
    /// Why it is there, where the engine or a person said so.
    pub state_reason: Option<String>,
    /// The open phase, from 0.
    pub current_phase: u32,
    /// How many phases it has.
    pub phases: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_take_names_and_beginnings() {
        for (filter, event, takes) in [
            ("*", "rollout.paused", true),
            ("rollout.*", "rollout.paused", true),
            ("rollout.gate_*", "rollout.paused", false),
            ("rollout.gate_*", "rollout.gate_open", true),
            ("attempt.failed", "attempt.failed", true),
            ("attempt.fail", "attempt.failed", false),
            ("attempt.failed.more", "attempt.failed", false),
        ] {
            assert_eq!(takes_event(filter, event), takes, "{filter} {event}");
        }
    }

    #[test]
    fn every_event_has_a_name_of_its_own() {
        let mut names = notice_events();
        assert!(names.contains(&"rollout.rolling_back".to_owned()));
        assert!(names.contains(&"attempt.timed_out".to_owned()));
        assert!(!names.contains(&"rollout.draft".to_owned()));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn an_address_is_not_in_the_debug_print() {
        let hook: NewWebhook =
            serde_json::from_str(r#"{"name": "n", "url": "https://h/token-1", "events": ["*"]}"#)
                .unwrap();
        assert!(hook.enabled);
        assert!(!format!("{hook:?}").contains("token-1"));
    }
}
