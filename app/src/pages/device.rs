//! One device: what it is, its story, and why it updates or doesn't.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use otter_protocol::admin::{ChangeKind, DeviceDetail, Role};
use otter_protocol::clock_off::clock_off_words;
use otter_protocol::device::{Conditions, DeviceState, Dialect, Pairs};

use crate::api::devices::{
    AcceptDevice, DevicePage, RejectDevice, RevokeDevice, SetHold, SetLabels, get_device,
};
use crate::components::badge::device_badge;
use crate::components::loaded::loaded;
use crate::components::page_head::PageHead;
use crate::components::problem::action_problem;
use crate::components::when::{When, when_or};
use crate::live::live;
use crate::pages::device_edit::{accept, held_key, hold, labels, revoke};
use crate::pages::device_rules::Rules;
use crate::pages::device_story::Story;

/// What can be done to a device.
#[derive(Clone, Copy)]
pub(crate) struct Actions {
    pub(crate) labels: ServerAction<SetLabels>,
    pub(crate) hold: ServerAction<SetHold>,
    pub(crate) accept: ServerAction<AcceptDevice>,
    pub(crate) reject: ServerAction<RejectDevice>,
    pub(crate) revoke: ServerAction<RevokeDevice>,
}

/// One device's page.
#[component]
pub(crate) fn Device() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    let actions = Actions {
        labels: ServerAction::new(),
        hold: ServerAction::new(),
        accept: ServerAction::new(),
        reject: ServerAction::new(),
        revoke: ServerAction::new(),
    };
    // A rollout that goes on changes what holds the device back.
    let changed = live().on(move |change| match change.kind {
        ChangeKind::Device => change.id == id.get_untracked(),
        ChangeKind::Rollout => true,
        _ => false,
    });
    let done = move || {
        let Actions {
            labels,
            hold,
            accept,
            reject,
            revoke,
        } = actions;
        (
            labels.version().get(),
            hold.version().get(),
            accept.version().get(),
            reject.version().get(),
            revoke.version().get(),
        )
    };
    let loading = Resource::new_blocking(
        move || (id.get(), changed.get(), done()),
        |(id, ..)| get_device(id),
    );
    loaded(loading, move |page, role| {
        show(page, role, actions).into_any()
    })
    .into_any()
}

fn show(page: DevicePage, role: Role, actions: Actions) -> impl IntoView {
    let DevicePage { device, groups } = page;
    let summary = device.summary.clone();
    let state = summary.state;
    let may_operate = role >= Role::Operator && summary.state != DeviceState::Decommissioned;
    let hint = view! { {summary.model.to_string()} " on " {summary.version.to_string()} ", last seen " {when_or(summary.last_seen_at, "never")} };
    let (id, badge) = (summary.id.to_string(), device_badge(&summary).into_any());
    let own_key = device
        .fingerprint
        .filter(|_| may_operate && state == DeviceState::Pending);
    let acceptance = own_key.map(|key| accept(id.clone(), key.to_string(), actions));
    let held = device.held_key.as_ref().filter(|_| may_operate);
    let held = held.map(|held| held_key(id.clone(), held, actions));
    view! {
        <div class="page">
            <PageHead title=id above=("/devices", "Devices") badge hint=hint.into_any()>
                {acceptance}
            </PageHead>
            {action_problem(move || actions.accept.value().get())}
            {action_problem(move || actions.reject.value().get())}
            {held}
            {summary.hold.clone().map(|reason| view! {
                <div class="notice" data-tone="warning"><p><strong>"Held back: "</strong> {reason}</p></div>
            })}
            {device.clock_off_sec.map(|off| view! {
                <div class="notice" data-tone="warning">
                    <p><strong>"Its clock is "{clock_off_words(off)}"."</strong>" Times that it reports may be wrong."</p>
                </div>
            })}
            <div class="columns">
                <div class="stack">
                    <Rules device=device.clone() />
                    <Story device=device.clone() />
                </div>
                <div class="stack">
                    {facts(&device)}
                    {may_operate.then(|| labels(&summary, &groups, actions))}
                    {may_operate.then(|| hold(&summary, actions))}
                    {(role >= Role::Admin && matches!(state, DeviceState::Accepted | DeviceState::Pending)).then(|| revoke(summary.id.to_string(), actions))}
                </div>
            </div>
        </div>
    }
}

fn fact(name: &'static str, value: impl IntoView) -> impl IntoView {
    view! { <div><dt>{name}</dt><dd>{value.into_any()}</dd></div> }
}

fn facts(device: &DeviceDetail) -> impl IntoView + use<> {
    let summary = &device.summary;
    let fingerprint = match device.fingerprint {
        Some(fingerprint) => fingerprint.to_string(),
        None if device.dialect.verifies_signatures() => "none until it enrolls".to_owned(),
        None => "none: it is known by its name".to_owned(),
    };
    view! {
        <section class="card" aria-labelledby="identity">
            <div class="card-head"><h2 id="identity">"Identity"</h2></div>
            <div class="card-body">
                <dl class="facts">
                    {fact("Model", summary.model.to_string())}
                    {fact("Version", summary.version.to_string())}
                    {device.bootloader_version.as_ref().map(|version| fact("Boot loader", version.to_string()))}
                    {summary.group.as_ref().map(|group| fact("Group", group.to_string()))}
                    {fact("Enrolled", view! { <When at=summary.enrolled_at /> })}
                    {fact("Installs", installs(device.dialect))}
                    {fact("Key fingerprint", view! { <span class="mono">{fingerprint}</span> })}
                    {conditions(&device.conditions).into_iter().map(|(name, value)| fact(name, value)).collect_view()}
                </dl>
                {pairs("Labels", "given by operators", &summary.labels)}
                {pairs("Metadata", "said by the device", &device.metadata)}
            </div>
        </section>
    }
}

/// What a device checks before it installs anything.
fn installs(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Native => "only what publishers signed (TUF)",
        Dialect::Firmware => {
            "what this server offers: no TUF, but SHA-256 over its connection, as good as that is authenticated"
        }
    }
}

/// What a device says of its circumstances, as far as it says it.
fn conditions(conditions: &Conditions) -> Vec<(&'static str, String)> {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let facts = [
        (
            "Battery",
            conditions
                .battery_percent
                .map(|percent| format!("{percent} %")),
        ),
        ("On mains", conditions.on_mains.map(yes_no)),
        ("Metered link", conditions.is_metered.map(yes_no)),
        (
            "Free storage",
            conditions.free_bytes.map(crate::components::size::size),
        ),
        (
            "Crashes since boot",
            conditions.crashes_since_boot.map(|count| count.to_string()),
        ),
        ("Time zone", conditions.time_zone.clone()),
    ];
    facts
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect()
}

fn pairs(title: &'static str, whose: &'static str, pairs: &Pairs) -> impl IntoView + use<> {
    let tags: Vec<_> = pairs
        .iter()
        .map(|(key, value)| view! { <li class="tag" title=format!("{key}={value}")>{format!("{key}={value}")}</li> })
        .collect();
    (!tags.is_empty()).then(|| {
        view! {
            <div class="stack" style="--gap:var(--s2)">
                <h3>{title} " " <span class="hint">{whose}</span></h3>
                <ul class="row">{tags}</ul>
            </div>
        }
    })
}
