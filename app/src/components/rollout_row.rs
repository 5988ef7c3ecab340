//! A rollout in a list: what it brings, how far it is.

use leptos::prelude::*;
use otter_protocol::admin::RolloutSummary;

use crate::components::badge::rollout_badge;
use crate::components::phases::{Phases, TallyLegend, steps};
use crate::components::when::When;

/// A rollout as a card that leads to its page.
#[component]
pub(crate) fn RolloutCard(summary: RolloutSummary) -> impl IntoView {
    let rollout = &summary.rollout;
    let models: Vec<_> = summary.models.iter().map(ToString::to_string).collect();
    let heading = format!("rollout-{}", rollout.id);
    let labelled_by = heading.clone();
    let line = format!(
        "{} to {} · {} · {}",
        summary.version,
        rollout.spec.audience,
        models.join(", "),
        steps(&summary)
    );
    view! {
        <article class="card" aria-labelledby=labelled_by>
            <div class="card-head">
                <h2 id=heading>
                    <a href=format!("/rollouts/{}", rollout.id)>{rollout.spec.name.clone()}</a>
                </h2>
                {rollout_badge(rollout.state)}
                <span class="hint end"><When at=rollout.started_at.unwrap_or(rollout.created_at) /></span>
                <p class="hint rollout-line">{line}</p>
            </div>
            <div class="card-body">
                <Phases rollout=summary.clone() />
                <TallyLegend tally=summary.total />
                {rollout.state_reason.clone().map(|reason| view! { <p class="hint">{reason}</p> })}
            </div>
        </article>
    }
}
