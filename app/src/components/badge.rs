//! States as badges: a word and a tone, never the tone alone.

use leptos::prelude::*;
use otter_protocol::AttemptState;
use otter_protocol::admin::DeviceSummary;
use otter_protocol::device::DeviceState;
use otter_protocol::release::ReleaseState;
use otter_protocol::rollout::RolloutState;

/// A word with a tone; `is_live` makes its dot breathe.
#[component]
pub(crate) fn Badge(
    #[prop(into)] text: String,
    tone: &'static str,
    #[prop(optional)] is_live: bool,
) -> impl IntoView {
    view! {
        <span class="badge" data-tone=tone data-live=is_live.then_some("")>
            {text}
        </span>
    }
}

/// Returns the tone of an attempt's state.
pub(crate) fn attempt_tone(state: AttemptState) -> &'static str {
    match state {
        AttemptState::Succeeded => "success",
        AttemptState::Failed | AttemptState::TimedOut => "danger",
        AttemptState::RolledBack => "warning",
        AttemptState::Cancelled | AttemptState::Superseded => "neutral",
        _ => "info",
    }
}

/// Writes a state as people say it.
pub(crate) fn words(state: &str) -> String {
    state.replace('_', " ")
}

/// An attempt's state, with its progress.
pub(crate) fn attempt_badge(state: AttemptState, progress: Option<u8>) -> impl IntoView {
    let is_live = !state.is_finished();
    let text = match progress.filter(|_| is_live) {
        Some(progress) => format!("{} {progress} %", words(state.as_str())),
        None => words(state.as_str()),
    };
    view! { <Badge text tone=attempt_tone(state) is_live /> }
}

/// A rollout's state.
pub(crate) fn rollout_badge(state: RolloutState) -> impl IntoView {
    let tone = match state {
        RolloutState::Running => "info",
        RolloutState::Paused | RolloutState::AwaitingApproval | RolloutState::RollingBack => {
            "warning"
        }
        RolloutState::Completed => "success",
        RolloutState::Aborted | RolloutState::RolledBack => "danger",
        RolloutState::Draft | RolloutState::Scheduled => "neutral",
    };
    let is_live = matches!(state, RolloutState::Running | RolloutState::RollingBack);
    view! { <Badge text=words(state.as_str()) tone is_live /> }
}

/// A release's state.
pub(crate) fn release_badge(state: ReleaseState) -> impl IntoView {
    let (text, tone) = match state {
        ReleaseState::Draft => ("waits for its signature", "warning"),
        ReleaseState::Published => ("published", "success"),
        ReleaseState::Withdrawn => ("withdrawn", "neutral"),
    };
    view! { <Badge text tone /> }
}

/// Whether a device takes part, and whether it is held.
pub(crate) fn device_badge(device: &DeviceSummary) -> impl IntoView + use<> {
    let (text, tone) = match (device.state, &device.hold) {
        (DeviceState::Accepted, Some(_)) => ("held", "warning"),
        (DeviceState::Accepted, None) => ("accepted", "success"),
        (DeviceState::Pending, _) => ("pending", "info"),
        (DeviceState::Revoked, _) => ("revoked", "danger"),
        (DeviceState::Decommissioned, _) => ("decommissioned", "neutral"),
    };
    view! { <Badge text tone /> }
}
