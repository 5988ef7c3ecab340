//! One rollout, as it goes.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use otter_protocol::RolloutId;
use otter_protocol::admin::{ChangeKind, ReasonCount, Role, RolloutDetail, RolloutSummary};
use otter_protocol::gate::Tally;
use otter_protocol::rollout::{CohortKind, OnBreach, RolloutState};

use crate::api::ApiError;
use crate::api::rollouts::{SteerRollout, get_rollout};
use crate::clock::exact_span;
use crate::components::badge::rollout_badge;
use crate::components::loaded::loaded;
use crate::components::page_head::PageHead;
use crate::components::phases::{Phases, TallyBar, TallyLegend, sentence};
use crate::components::problem::action_problem;
use crate::components::when::When;
use crate::live::live;
use crate::pages::overview::FailureTable;
use crate::pages::rollout_gates::gates;
use crate::pages::rollout_steering::steering;

/// One rollout's page.
#[component]
pub(crate) fn Rollout() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    let steer = ServerAction::<SteerRollout>::new();
    let changed = live()
        .on(move |change| change.kind == ChangeKind::Rollout && change.id == id.get_untracked());
    let loading = Resource::new_blocking(
        move || (id.get(), changed.get(), steer.version().get()),
        |(id, ..)| async move {
            match id.parse::<RolloutId>() {
                Ok(id) => get_rollout(id).await,
                Err(_) => Err(ApiError::new(
                    otter_protocol::ProblemCode::NotFound,
                    format!("There is no rollout {id}."),
                )),
            }
        },
    );
    loaded(loading, move |detail, role| {
        page(detail, role, steer).into_any()
    })
    .into_any()
}

fn page(detail: RolloutDetail, role: Role, steer: ServerAction<SteerRollout>) -> impl IntoView {
    let summary = detail.summary;
    let rollout = &summary.rollout;
    let hint = view! {
        <a href=format!("/releases/{}", rollout.spec.release)>{format!("Release {}", summary.version)}</a>
        {format!(" to {}, by {}, ", rollout.spec.audience, rollout.created_by)}
        <When at=rollout.started_at.unwrap_or(rollout.created_at) />
    };
    let announcement = format!(
        "{} is {}: {}",
        rollout.spec.name,
        rollout.state,
        sentence(&summary.total)
    );
    view! {
        <div class="page">
            <PageHead
                title=rollout.spec.name.clone()
                above=("/rollouts", "Rollouts")
                badge=rollout_badge(rollout.state).into_any()
                hint=hint.into_any()
            />
            <p class="visually-hidden" role="status">{announcement}</p>
            {rollout.state_reason.clone().map(|reason| state_notice(rollout.state, reason))}
            {action_problem(move || steer.value().get())}
            <section class="card" aria-labelledby="progress">
                <div class="card-head"><h2 id="progress">"Progress"</h2></div>
                <div class="card-body">
                    <TallyBar tally=summary.total label="All phases" is_large=true />
                    <TallyLegend tally=summary.total />
                    {summary.way_back.map(way_back)}
                </div>
            </section>
            <section class="card" aria-labelledby="phases">
                <div class="card-head"><h2 id="phases">"Phases"</h2></div>
                <div class="card-body"><Phases rollout=summary.clone() is_full=true /></div>
            </section>
            <div class="columns">
                <div class="stack">
                    {gates(&detail.gates)}
                    {reasons(detail.failure_reasons)}
                    {failures(detail.failures)}
                </div>
                <div class="stack">
                    {(role >= Role::Operator).then(|| steering(&summary, role, steer))}
                    {facts(&summary)}
                </div>
            </div>
        </div>
    }
}

/// How far the way back is.
fn way_back(tally: Tally) -> impl IntoView {
    view! {
        <h3 class="section-title">"Way back"</h3>
        <TallyBar tally label="Way back" is_large=true />
        <TallyLegend tally />
    }
}

/// Why the rollout is where it is.
fn state_notice(state: RolloutState, reason: String) -> impl IntoView {
    let (what, tone) = match state {
        RolloutState::Paused => ("Paused: ", "warning"),
        RolloutState::Aborted => ("Aborted: ", "danger"),
        RolloutState::RollingBack => ("Rolling back: ", "warning"),
        RolloutState::RolledBack => ("Rolled back: ", "danger"),
        _ => ("", "info"),
    };
    view! {
        <div class="notice" data-tone=tone>
            <p><strong>{what}</strong> {reason}</p>
        </div>
    }
}

fn reasons(reasons: Vec<ReasonCount>) -> impl IntoView {
    (!reasons.is_empty()).then(|| view! {
        <section class="card" aria-labelledby="reasons">
            <div class="card-head"><h2 id="reasons">"Reasons of failures"</h2></div>
            <div class="card-body">
                <ul class="reasons">
                    {reasons.into_iter().map(|reason| view! {
                        <li><strong>{format!("{} ×", reason.count)}</strong> <span>{reason.reason}</span></li>
                    }).collect_view()}
                </ul>
            </div>
        </section>
    })
}

fn failures(failures: Vec<otter_protocol::admin::AttemptSummary>) -> impl IntoView {
    let is_empty = failures.is_empty();
    view! {
        <section class="card" data-flush aria-labelledby="failures">
            <div class="card-head">
                <h2 id="failures">"Failures"</h2>
                {is_empty.then(|| view! { <span class="hint">"No attempt has failed."</span> })}
            </div>
            {(!is_empty).then(|| view! { <FailureTable failures /> })}
        </section>
    }
}

fn facts(summary: &RolloutSummary) -> impl IntoView + use<> {
    let spec = &summary.rollout.spec;
    let models: Vec<_> = summary.models.iter().map(ToString::to_string).collect();
    let facts = [
        ("Audience", spec.audience.to_string()),
        ("Models", models.join(", ")),
        (
            "In flight at once",
            spec.max_in_flight
                .map_or_else(|| "no limit".to_owned(), |most| format!("at most {most}")),
        ),
        ("Attempts of a device", spec.max_attempts.to_string()),
        ("Silence allowed", exact_span(spec.attempt_deadline_sec)),
        (
            "On a breach",
            match spec.on_breach {
                OnBreach::Pause => "pause".to_owned(),
                OnBreach::Abort => "abort".to_owned(),
                OnBreach::RollBack => "roll back".to_owned(),
            },
        ),
        (
            "Devices go first",
            match spec.cohort {
                CohortKind::Fixed => "the same every time".to_owned(),
                CohortKind::Spread => "others every time".to_owned(),
            },
        ),
        (
            "Downgrades",
            if spec.allow_downgrade {
                "allowed"
            } else {
                "not allowed"
            }
            .to_owned(),
        ),
    ];
    let approval = match &summary.rollout.approved_by {
        Some(by) => Some(format!("by {by}")),
        None => spec.needs_approval.then(|| "not yet".to_owned()),
    };
    let start = spec
        .starts_at
        .filter(|_| summary.rollout.started_at.is_none());
    view! {
        <section class="card" aria-labelledby="facts">
            <div class="card-head"><h2 id="facts">"Facts"</h2></div>
            <div class="card-body">
                <dl class="facts">
                    {start.map(|at| view! { <div><dt>"Starts"</dt><dd><When at /></dd></div> })}
                    {facts.map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> }).collect_view()}
                    {approval.map(|approval| view! { <div><dt>"Approved"</dt><dd>{approval}</dd></div> })}
                    {summary.rollout.finished_at.map(|at| view! { <div><dt>"Ended"</dt><dd><When at /></dd></div> })}
                </dl>
            </div>
        </section>
    }
}
