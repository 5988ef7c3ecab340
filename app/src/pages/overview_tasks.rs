//! What needs a person now: each line says what it is, and leads to where to act.

use leptos::prelude::*;
use otter_protocol::admin::{Attention, Overview, RolloutSummary, TrustWarning};
use otter_protocol::gate::Verdict;
use otter_protocol::rollout::RolloutState;

use crate::clock::{Now, relative};
use crate::next::encode_segment;

/// Something that a person should do.
#[derive(Debug, Clone, PartialEq)]
struct Task {
    tone: &'static str,
    /// What it is about, and where that is.
    name: String,
    path: String,
    /// What is the matter.
    what: String,
    /// Devices that it is about, by name, with a word on each.
    devices: Vec<(String, String)>,
}

/// The card.
pub(crate) fn tasks(
    fleet: &Overview,
    attention: &Attention,
    warnings: &[TrustWarning],
) -> impl IntoView + use<> {
    let now = untrack(|| expect_context::<Now>().get());
    let tasks = all(fleet, attention, |at| relative(at, now));
    let is_quiet = tasks.is_empty() && warnings.is_empty();
    let line = |task: Task| {
        let devices = task.devices.into_iter().map(|(id, word)| {
            let path = format!("/devices/{}", encode_segment(&id));
            view! { <li><a href=path>{id}</a> " " <span class="hint">{word}</span></li> }
        });
        let devices: Vec<_> = devices.collect();
        view! {
            <li class="task" data-tone=task.tone>
                <span class="dot" aria-hidden="true"></span>
                <div>
                    <p><a href=task.path>{task.name}</a> " " {task.what}</p>
                    {(!devices.is_empty()).then(|| view! { <ul class="task-devices">{devices}</ul> })}
                </div>
            </li>
        }
    };
    view! {
        <section class="card" aria-labelledby="tasks">
            <div class="card-head"><h2 id="tasks">"What needs you"</h2></div>
            <div class="card-body">
                {is_quiet.then(|| view! { <p class="hint">"Nothing now: no rollout is held, no device waits, fails or is silent."</p> })}
                <ul class="tasks">{tasks.into_iter().map(line).collect_view()}</ul>
            </div>
        </section>
    }
}

fn all(
    fleet: &Overview,
    attention: &Attention,
    ago: impl Fn(otter_protocol::Timestamp) -> String,
) -> Vec<Task> {
    let task = |tone, name: String, path: String, what: String| Task {
        tone,
        name,
        path,
        what,
        devices: Vec::new(),
    };
    let mut tasks = Vec::new();
    for rollout in &fleet.rollouts {
        if let Some((tone, what)) = held(rollout) {
            let name = rollout.rollout.spec.name.clone();
            tasks.push(task(
                tone,
                name,
                format!("/rollouts/{}", rollout.rollout.id),
                what,
            ));
        }
    }
    for release in &fleet.drafts {
        let name = format!("Release {}", release.version);
        let what = "waits for its signature.".to_owned();
        tasks.push(task(
            "warning",
            name,
            format!("/releases/{}", release.id),
            what,
        ));
    }
    let pending = fleet.devices_by_state.get("pending").copied().unwrap_or(0);
    if pending > 0 {
        let what = if pending == 1 { "waits" } else { "wait" };
        let what = format!("{what} to be accepted.");
        tasks.push(task(
            "info",
            devices(pending, false),
            "/devices?state=pending".to_owned(),
            what,
        ));
    }
    if attention.failing_count > 0 {
        let is_more = attention.failing_count >= attention.counted;
        let name = devices(attention.failing_count, is_more);
        let what = "failed at the newest update.".to_owned();
        let mut task = task("danger", name, "#failures".to_owned(), what);
        let named = attention.failing.iter();
        task.devices = named
            .map(|device| (device.id.to_string(), times(device.failures)))
            .collect();
        tasks.push(task);
    }
    if attention.silent_count > 0 {
        let is_more = attention.silent_count >= attention.counted;
        let name = devices(attention.silent_count, is_more);
        let what = "silent for more than a day; those seen last:".to_owned();
        let mut task = task("warning", name, "/devices?state=accepted".to_owned(), what);
        let named = attention.silent.iter();
        task.devices = named
            .map(|device| (device.id.to_string(), ago(device.last_seen_at)))
            .collect();
        tasks.push(task);
    }
    tasks
}

/// Says why a rollout doesn't go on by itself, where it doesn't.
fn held(rollout: &RolloutSummary) -> Option<(&'static str, String)> {
    let reason = || rollout.rollout.state_reason.clone();
    let phase = rollout.rollout.current_phase;
    let verdict = usize::try_from(phase)
        .ok()
        .and_then(|place| rollout.progress.get(place))
        .and_then(|progress| progress.verdict);
    match (rollout.rollout.state, verdict) {
        (RolloutState::AwaitingApproval, _) => Some(("warning", "waits for approval.".to_owned())),
        (RolloutState::Paused, _) => {
            let why = reason().map_or_else(|| ".".to_owned(), |reason| format!(": {reason}"));
            Some(("danger", format!("is paused{why}")))
        }
        (RolloutState::Running, Some(Verdict::AwaitingApproval)) => Some((
            "warning",
            format!("waits for approval after phase {}.", phase + 1),
        )),
        (RolloutState::Running, Some(Verdict::Breached(breach))) => {
            Some(("danger", format!("is held: {breach}")))
        }
        _ => None,
    }
}

fn devices(count: u64, is_more: bool) -> String {
    match count {
        1 => "1 device".to_owned(),
        _ if is_more => format!("{count} devices or more"),
        _ => format!("{count} devices"),
    }
}

fn times(failures: u32) -> String {
    match failures {
        1 => "once".to_owned(),
        _ => format!("{failures} times in a row"),
    }
}

#[cfg(test)]
mod tests {
    use otter_protocol::Timestamp;
    use serde_json::json;

    use super::*;

    fn fleet(devices: serde_json::Value) -> Overview {
        serde_json::from_value(json!({"devices_by_state": devices, "versions": [], "online": 0,
            "last_day": {"succeeded": 0, "failed": 0, "rolled_back": 0, "timed_out": 0, "cancelled": 0, "under_way": 0,
                "waiting": null},
            "rollouts": [], "failures": [], "drafts": []}))
        .unwrap()
    }

    #[test]
    fn a_quiet_fleet_needs_nobody() {
        let quiet = fleet(json!({"accepted": 12}));
        assert_eq!(all(&quiet, &Attention::default(), |_| String::new()), []);
    }

    #[test]
    fn each_task_leads_to_where_to_act() {
        let attention: Attention = serde_json::from_value(json!({
            "failing": [{"id": "site/1", "failures": 3}], "failing_count": 1,
            "silent": [{"id": "b", "last_seen_at": "2030-01-01T00:00:00Z"}], "silent_count": 1000, "counted": 1000,
        }))
        .unwrap();
        let found = all(&fleet(json!({"pending": 2})), &attention, |_: Timestamp| {
            "2 d ago".to_owned()
        });
        let said: Vec<_> = found
            .iter()
            .map(|task| (task.name.as_str(), task.path.as_str(), task.devices.clone()))
            .collect();
        let named = |id: &str, word: &str| vec![(id.to_owned(), word.to_owned())];
        assert_eq!(
            said,
            [
                ("2 devices", "/devices?state=pending", vec![]),
                ("1 device", "#failures", named("site/1", "3 times in a row")),
                (
                    "1000 devices or more",
                    "/devices?state=accepted",
                    named("b", "2 d ago")
                ),
            ]
        );
    }
}
