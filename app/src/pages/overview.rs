//! The fleet at a glance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use otter_protocol::admin::{AttemptSummary, ChangeKind, Overview as Fleet, Role, VersionCount};
use otter_protocol::device::DeviceState;

use crate::api::overview::{Glance, get_overview};
use crate::components::badge::attempt_badge;
use crate::components::code::Code;
use crate::components::empty::Empty;
use crate::components::icon::Shape;
use crate::components::loaded::loaded;
use crate::components::page_head::PageHead;
use crate::components::phases::{TallyBar, TallyLegend};
use crate::components::rollout_row::RolloutCard;
use crate::components::timeline::{VersionTimeline, hue};
use crate::components::trust_warnings::trust_warnings;
use crate::components::when::When;
use crate::live::live;
use crate::next::with_query;
use crate::pages::overview_tasks::tasks;

/// How often the page asks anew for what changes without a word, such as how many devices check in.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// The first page.
#[component]
pub(crate) fn Overview() -> impl IntoView {
    let changed = live().on_kinds(&[
        ChangeKind::Device,
        ChangeKind::Rollout,
        ChangeKind::Release,
        ChangeKind::Settings,
    ]);
    let map = use_query_map();
    let span = Memo::new(move |_| map.read().get("span").unwrap_or_default());
    let looks = RwSignal::new(0_u32);
    Effect::new(move |_| {
        let look = move || looks.update(|looks| *looks = looks.wrapping_add(1));
        if let Ok(looking) = set_interval_with_handle(look, LOOK_EVERY) {
            on_cleanup(move || looking.clear());
        }
    });
    let loading = Resource::new_blocking(
        move || (span.get(), changed.get(), looks.get()),
        |(span, ..)| get_overview(span),
    );
    loaded(loading, |glance, role| page(glance, role).into_any()).into_any()
}

fn page(glance: Glance, role: Role) -> impl IntoView {
    let fleet = glance.overview;
    let count: u64 = fleet.devices_by_state.values().sum();
    let needs = tasks(&fleet, &glance.attention, &glance.warnings);
    let lacks_trust = glance.trust.root_version.is_none();
    view! {
        <div class="page">
            <PageHead title="Overview" />
            {fleet_numbers(&fleet, glance.timeline.check_ins_per_minute)}
            {lacks_trust.then(|| view! { <TrustNotice /> })}
            {(count == 0).then(|| view! { <NoDevices role /> })}
            {needs}
            {trust_warnings(glance.warnings)}
            <section class="stack" aria-label="Live rollouts">
                <h2 class="section-title">"Live rollouts"</h2>
                {if fleet.rollouts.is_empty() {
                    view! { <p class="hint">"Nothing is on its way. " <a href="/rollouts">"All rollouts"</a></p> }.into_any()
                } else {
                    fleet.rollouts.into_iter().map(|summary| view! { <RolloutCard summary /> }).collect_view().into_any()
                }}
            </section>
            <VersionTimeline timeline=glance.timeline />
            <div class="columns">
                {versions(fleet.versions)}
                <div class="stack">
                {states(&fleet.devices_by_state)}
                <section class="card" aria-labelledby="day">
                    <div class="card-head">
                        <h2 id="day">"Attempts that ended in the last day"</h2>
                    </div>
                    <div class="card-body">
                        <TallyBar tally=fleet.last_day label="Last day" is_large=true />
                        <TallyLegend tally=fleet.last_day />
                        {(fleet.last_day.finished() == 0).then(|| view! { <p class="hint">"None."</p> })}
                    </div>
                </section>
                </div>
            </div>
            {failures(fleet.failures)}
        </div>
    }
}

fn fleet_numbers(fleet: &Fleet, check_ins: u64) -> impl IntoView + use<> {
    let of = |state: &str| fleet.devices_by_state.get(state).copied().unwrap_or(0);
    let (accepted, pending, online) = (of("accepted"), of("pending"), fleet.online);
    let (day, failed) = (fleet.last_day.succeeded, fleet.last_day.failures());
    let live = fleet.rollouts.len();
    view! {
        <div class="stats" aria-label="The fleet in numbers" role="group" aria-live="polite">
            <a class="stat" href="/devices?state=accepted">
                <span class="stat-label">"Devices"</span>
                <span class="stat-value">{accepted}</span>
                <span class="stat-note">{if pending > 0 { format!("{pending} wait to be accepted") } else { "taking part".to_owned() }}</span>
            </a>
            <div class="stat">
                <span class="stat-label">"Online"</span>
                <span class="stat-value">
                    {online}
                    <small>{format!(" of {accepted}")}</small>
                </span>
                <span class="stat-note">"seen within ten minutes"</span>
            </div>
            <a class="stat" href="/rollouts">
                <span class="stat-label">"Live rollouts"</span>
                <span class="stat-value">{live}</span>
                <span class="stat-note">"scheduled, running or paused"</span>
            </a>
            <div class="stat">
                <span class="stat-label">"Check-ins a minute"</span>
                <span class="stat-value">{check_ins}</span>
                <span class="stat-note">"in the last whole minute"</span>
            </div>
            <div class="stat">
                <span class="stat-label">"Success in 24 hours"</span>
                <span class="stat-value">{success_rate(day, failed)}</span>
                <span class="stat-note" data-tone=(failed > 0).then_some("danger")>{format!("{day} updated, {failed} failed")}</span>
            </div>
        </div>
    }
}

/// What sets up signing keys.
const KEYS: &str = "otter key generate --role root --out root.key
otter key generate --role targets --out targets.key
otter trust init --root-key root.key --targets-key targets.key";

#[component]
fn TrustNotice() -> impl IntoView {
    view! {
        <section class="card" aria-labelledby="no-keys">
            <div class="card-head">
                <h2 id="no-keys">"No signing keys are set up yet."</h2>
                <span class="hint">"Devices install only what your own keys have signed."</span>
            </div>
            <div class="card-body">
                <p>"Make them on a machine of yours, and tell this server their public part. The keys themselves never come here."</p>
                <Code text=KEYS label="commands that set up signing keys" />
            </div>
        </section>
    }
}

#[component]
fn NoDevices(role: Role) -> impl IntoView {
    view! {
        <div class="card">
            <Empty
                shape=Shape::Device
                title="No devices yet"
                text="Start the agent on a device: it enrolls with a token, or waits here until you accept its key. To look around first, simulate some."
                command="otter simulate --devices 20"
            >
                {(role >= Role::Admin).then(|| view! { <a class="button" href="/settings">"Make an enrollment token"</a> })}
            </Empty>
        </div>
    }
}

/// Returns the share of attempts that succeeded, in percent to a tenth, never rounded up to all.
fn success_rate(succeeded: u64, failed: u64) -> String {
    let per_mille =
        (u128::from(succeeded) * 1000).checked_div(u128::from(succeeded) + u128::from(failed));
    match per_mille {
        None => "–".to_owned(),
        Some(per_mille) if per_mille % 10 == 0 => format!("{} %", per_mille / 10),
        Some(per_mille) => format!("{}.{} %", per_mille / 10, per_mille % 10),
    }
}

/// Devices by whether they take part, each a link to them.
fn states(states: &BTreeMap<String, u64>) -> impl IntoView + use<> {
    let rows: Vec<_> = DeviceState::ALL
        .into_iter()
        .map(|state| {
            let name = state.as_str();
            let devices = states.get(name).copied().unwrap_or(0);
            let path = with_query("/devices", &[("state", name)]);
            view! { <div><dt><a href=path>{name}</a></dt><dd class="num">{devices}</dd></div> }
        })
        .collect();
    view! {
        <section class="card" aria-labelledby="states">
            <div class="card-head"><h2 id="states">"Devices by state"</h2></div>
            <div class="card-body"><dl class="facts">{rows}</dl></div>
        </section>
    }
}

fn versions(versions: Vec<VersionCount>) -> impl IntoView {
    // A version has the same colour in every model's bar.
    let names: BTreeSet<_> = versions.iter().map(|count| count.version.clone()).collect();
    let hues: BTreeMap<_, _> = names.into_iter().zip((0..).map(hue)).collect();
    let mut models: BTreeMap<String, Vec<VersionCount>> = BTreeMap::new();
    for count in versions {
        models
            .entry(count.model.to_string())
            .or_default()
            .push(count);
    }
    let is_empty = models.is_empty();
    let row = |(model, mut counts): (String, Vec<VersionCount>)| {
        counts.sort_by_key(|count| std::cmp::Reverse(count.devices));
        let total: u64 = counts.iter().map(|count| count.devices).sum();
        let parts = counts.iter().map(|count| {
            let hue = hues.get(&count.version).copied().unwrap_or_default();
            view! {
                <span
                    class="spread-part"
                    style=format!("--share:{};--hue:{hue}", count.devices)
                    title=format!("{}: {}", count.version, count.devices)
                >
                    {count.version.to_string()}
                </span>
            }
        });
        let words: Vec<_> = counts
            .iter()
            .map(|count| format!("{} on {}", count.devices, count.version))
            .collect();
        let link = with_query("/devices", &[("model", &model)]);
        view! {
            <li class="version-row">
                <div class="row">
                    <a href=link><strong>{model}</strong></a>
                    <span class="hint end">{format!("{total} devices")}</span>
                </div>
                <div class="spread" aria-hidden="true">{parts.collect_view()}</div>
                <p class="hint">{words.join(" · ")}</p>
            </li>
        }
    };
    view! {
        <section class="card" aria-labelledby="versions">
            <div class="card-head">
                <h2 id="versions">"Versions in the fleet"</h2>
            </div>
            <div class="card-body">
                {is_empty.then(|| view! { <p class="hint">"No device has been accepted yet."</p> })}
                <ul class="stack">{models.into_iter().map(row).collect_view()}</ul>
            </div>
        </section>
    }
}

fn failures(failures: Vec<AttemptSummary>) -> impl IntoView {
    (!failures.is_empty()).then(|| {
        view! {
            <section class="card" data-flush aria-labelledby="failures">
                <div class="card-head">
                    <h2 id="failures">"Newest failures"</h2>
                </div>
                <FailureTable failures />
            </section>
        }
    })
}

/// Attempts that failed, each with the device's own words.
#[component]
pub(crate) fn FailureTable(failures: Vec<AttemptSummary>) -> impl IntoView {
    let row = |attempt: AttemptSummary| {
        view! {
            <tr>
                <th scope="row"><a href=format!("/devices/{}", crate::next::encode_segment(attempt.device.as_str()))>{attempt.device.to_string()}</a></th>
                <td>{attempt_badge(attempt.state, attempt.progress)}</td>
                <td class="nowrap">{format!("{} → {}", attempt.from_version, attempt.version)}</td>
                <td class="wrap">{attempt.message.unwrap_or_else(|| "the device gave no reason".to_owned())}</td>
                <td class="nowrap"><When at=attempt.finished_at.unwrap_or(attempt.updated_at) /></td>
            </tr>
        }
    };
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Failures">
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"Device"</th>
                        <th scope="col">"Ended"</th>
                        <th scope="col">"Versions"</th>
                        <th scope="col">"Reason"</th>
                        <th scope="col">"When"</th>
                    </tr>
                </thead>
                <tbody>{failures.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_day_without_failures_is_a_whole_success() {
        assert_eq!(success_rate(0, 0), "–");
        assert_eq!(success_rate(12, 0), "100 %");
        assert_eq!(success_rate(9999, 1), "99.9 %");
        assert_eq!(success_rate(1, 2), "33.3 %");
        assert_eq!(success_rate(0, 3), "0 %");
    }
}
