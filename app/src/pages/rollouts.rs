//! All rollouts.

use leptos::prelude::*;
use otter_protocol::admin::{ChangeKind, Role, RolloutSummary};

use crate::api::rollouts::list_rollouts;
use crate::components::empty::Empty;
use crate::components::icon::{Icon, Shape};
use crate::components::loaded::loaded;
use crate::components::page_head::PageHead;
use crate::components::rollout_row::RolloutCard;
use crate::live::live;

/// The list of rollouts, live ones first.
#[component]
pub(crate) fn Rollouts() -> impl IntoView {
    let changed = live().on_kinds(&[ChangeKind::Rollout]);
    let loading = Resource::new_blocking(move || changed.get(), |_| list_rollouts());
    loaded(loading, |rollouts, role| page(rollouts, role).into_any()).into_any()
}

fn page(rollouts: Vec<RolloutSummary>, role: Role) -> impl IntoView {
    let may_roll_out = role >= Role::Operator;
    let (live, past): (Vec<_>, Vec<_>) = rollouts
        .into_iter()
        .partition(|summary| summary.rollout.state.is_live());
    let is_empty = live.is_empty() && past.is_empty();
    view! {
        <div class="page">
            <PageHead title="Rollouts" hint="Releases on their way to devices, in phases.".into_any()>
                {may_roll_out.then(|| view! {
                    <a class="button" data-kind="primary" href="/rollouts/new">
                        <Icon shape=Shape::Plus />
                        "New rollout"
                    </a>
                })}
            </PageHead>
            {is_empty.then(|| view! {
                <div class="card">
                    <Empty
                        shape=Shape::Rollout
                        title="No rollouts yet"
                        text="A rollout brings a published release to devices: a few first, then more, as long as all goes well."
                        command="otter rollout create --help"
                    />
                </div>
            })}
            {section("Live", live)}
            {section("Past", past)}
        </div>
    }
}

fn section(title: &'static str, rollouts: Vec<RolloutSummary>) -> impl IntoView {
    (!rollouts.is_empty()).then(|| view! {
        <section class="stack" aria-label=format!("{title} rollouts")>
            <h2 class="section-title">{title}</h2>
            {rollouts.into_iter().map(|summary| view! { <RolloutCard summary /> }).collect_view()}
        </section>
    })
}
