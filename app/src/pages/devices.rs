//! All devices, a page at a time; the filter is in the address.

use leptos::prelude::*;
use leptos_router::components::Form;
use leptos_router::hooks::use_query_map;
use otter_protocol::admin::{ChangeKind, DeviceSummary, Role};
use otter_protocol::device::DeviceState;

use crate::api::DeviceQuery;
use crate::api::devices::{DeviceList, list_devices};
use crate::components::badge::{attempt_badge, device_badge};
use crate::components::empty::Empty;
use crate::components::field::{Field, options};
use crate::components::icon::Shape;
use crate::components::loaded::loaded;
use crate::components::page_head::PageHead;
use crate::components::pager::Pager;
use crate::components::when::when_or;
use crate::live::live;
use crate::next::encode_segment;

/// The list of devices.
#[component]
pub(crate) fn Devices() -> impl IntoView {
    let map = use_query_map();
    let query = Memo::new(move |_| {
        let map = map.read();
        let get = |key: &str| map.get(key).unwrap_or_default();
        DeviceQuery {
            search: get("search"),
            model: get("model"),
            version: get("version"),
            state: get("state"),
            group: get("group"),
            cursor: get("cursor"),
        }
    });
    let changed = live().on_kinds(&[ChangeKind::Device]);
    let loading = Resource::new_blocking(
        move || (query.get(), changed.get()),
        |(query, _)| list_devices(query),
    );
    loaded(loading, move |list, role| {
        page(list, query.get_untracked(), role).into_any()
    })
    .into_any()
}

fn page(list: DeviceList, query: DeviceQuery, role: Role) -> impl IntoView {
    let is_empty = list.page.items.is_empty();
    let is_filtered = query.is_filtered();
    let shown = list.page.items.len();
    let is_first = query.cursor.is_empty();
    let pairs = query
        .pairs()
        .into_iter()
        .map(|(key, value)| (key, value.to_owned()))
        .collect::<Vec<_>>();
    let filter = filter(&list, query);
    view! {
        <div class="page">
            <PageHead title="Devices" hint="Everything that polls this server.".into_any() />
            {filter}
            <div class="card" data-flush>
                {if is_empty && is_filtered {
                    view! {
                        <Empty shape=Shape::Device title="No device fits" text="Nothing in the fleet has all that the filter asks for.">
                            <a class="button" href="/devices">"Clear the filter"</a>
                        </Empty>
                    }
                    .into_any()
                } else if is_empty {
                    no_devices(role).into_any()
                } else {
                    table(list.page.items).into_any()
                }}
                {(!is_empty).then(|| view! {
                    <Pager path="/devices" pairs shown what="devices" is_first next=list.page.next />
                })}
            </div>
        </div>
    }
}

fn no_devices(role: Role) -> impl IntoView {
    view! {
        <Empty
            shape=Shape::Device
            title="No devices yet"
            text="Start the agent on a device: it enrolls with a token, or waits here until you accept its key. To look around first, simulate some."
            command="otter simulate --devices 20"
        >
            {(role >= Role::Admin).then(|| view! { <a class="button" href="/settings">"Make an enrollment token"</a> })}
        </Empty>
    }
}

fn filter(list: &DeviceList, query: DeviceQuery) -> impl IntoView + use<> {
    let any = |what: &str| std::iter::once((String::new(), what.to_owned()));
    let named = |names: &[String]| {
        names
            .iter()
            .map(|name| (name.clone(), name.clone()))
            .collect::<Vec<_>>()
    };
    let states =
        DeviceState::ALL.map(|state| (state.as_str().to_owned(), state.as_str().to_owned()));
    let models = options(any("Any model").chain(named(&list.models)), &query.model);
    let states = options(any("Any state").chain(states), &query.state);
    let groups = options(any("Any group").chain(named(&list.groups)), &query.group);
    let is_filtered = query.is_filtered();
    view! {
        <search aria-label="Filter devices">
            <Form method="GET" action="/devices">
                <div class="filters">
                    <Field id="search" label="Search">
                        <input id="search" name="search" type="search" placeholder="Part of the id" value=query.search />
                    </Field>
                    <Field id="model" label="Model">
                        <select id="model" name="model">{models}</select>
                    </Field>
                    <Field id="version" label="Version">
                        <input id="version" name="version" placeholder="Any version" value=query.version />
                    </Field>
                    <Field id="state" label="State">
                        <select id="state" name="state">{states}</select>
                    </Field>
                    <Field id="group" label="Group">
                        <select id="group" name="group">{groups}</select>
                    </Field>
                    <button class="button" type="submit">"Filter"</button>
                    {is_filtered.then(|| view! { <a class="button" data-kind="ghost" href="/devices">"Clear"</a> })}
                </div>
            </Form>
        </search>
    }
}

fn table(devices: Vec<DeviceSummary>) -> impl IntoView {
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Devices">
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"Device"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Model"</th>
                        <th scope="col">"Version"</th>
                        <th scope="col">"Last seen"</th>
                        <th scope="col">"Newest attempt"</th>
                        <th scope="col">"Group"</th>
                    </tr>
                </thead>
                <tbody>{devices.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}

fn row(device: DeviceSummary) -> impl IntoView {
    let attempt = device.attempt.as_ref().map(|attempt| {
        view! {
            <span class="cell-attempt">
                {attempt_badge(attempt.state, attempt.progress)}
                <span class="hint cell-target">{format!("to {}", attempt.version)}</span>
            </span>
        }
    });
    let badge = device_badge(&device);
    let version = device.version.to_string();
    let whole = version.clone();
    view! {
        <tr>
            <th scope="row"><a href=format!("/devices/{}", encode_segment(device.id.as_str()))>{device.id.to_string()}</a></th>
            <td>{badge}</td>
            <td>{device.model.to_string()}</td>
            <td class="cell-version" title=whole>{version}</td>
            <td>{when_or(device.last_seen_at, "never")}</td>
            <td>{attempt}</td>
            <td>{device.group.map(|group| group.to_string())}</td>
        </tr>
    }
}
