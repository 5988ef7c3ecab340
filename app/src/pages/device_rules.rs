//! "Why is this device not updating?": every rule of every live rollout for its model, with what it found.

use leptos::prelude::*;
use otter_protocol::admin::DeviceDetail;
use otter_protocol::decision::{Action, Consideration};
use otter_protocol::rule::{Finding, Outcome, Rule};

use crate::components::badge::Badge;
use crate::components::size::size;

/// The rules.
#[component]
pub(crate) fn Rules(device: DeviceDetail) -> impl IntoView {
    let name = |rollout| match device.rollout_names.get(&rollout) {
        Some(name) => name.clone(),
        None => format!("rollout {rollout}"),
    };
    let answer = match &device.decision.action {
        Action::Begin { rollout, .. } => format!(
            "It may: at its next check-in it is offered {}.",
            name(*rollout)
        ),
        Action::Continue { .. } => "It is updating now.".to_owned(),
        Action::Cancel { .. } => "Its attempt is being taken back.".to_owned(),
        Action::Wait if device.decision.considered.is_empty() => {
            "No live rollout has a release for its model.".to_owned()
        }
        Action::Wait => reason(&device.decision.considered),
    };
    let considered: Vec<_> = device
        .decision
        .considered
        .iter()
        .enumerate()
        .map(|(place, one)| consideration(one, name(one.rollout), place == 0))
        .collect();
    view! {
        <section class="card" aria-labelledby="why">
            <div class="card-head"><h2 id="why">"Why is this device not updating?"</h2></div>
            <div class="card-body">
                <p aria-live="polite">{answer}</p>
                {considered}
            </div>
        </section>
    }
}

/// What holds it back first, in one sentence.
fn reason(considered: &[Consideration]) -> String {
    let blocker = considered.first().and_then(|first| first.blockers().next());
    blocker.map_or_else(
        || "Nothing holds it back.".to_owned(),
        |outcome| format!("It waits: {}.", words(outcome)),
    )
}

/// One rollout's rules; those that hold it back come with it closed, too.
fn consideration(one: &Consideration, name: String, is_open: bool) -> impl IntoView + use<> {
    let blockers = one.blockers().count();
    let (text, tone) = match blockers {
        0 => ("may update".to_owned(), "success"),
        1 => ("1 rule holds it back".to_owned(), "danger"),
        count => (format!("{count} rules hold it back"), "danger"),
    };
    let rules: Vec<_> = one.outcomes.iter().map(rule).collect();
    let label = format!("Rules of {name}");
    view! {
        <details class="consideration" open=is_open>
            <summary>
                <span>{name}</span>
                <Badge text tone />
            </summary>
            <p class="hint"><a href=format!("/rollouts/{}", one.rollout)>"Go to the rollout"</a></p>
            <ul class="rules" aria-label=label>{rules}</ul>
        </details>
    }
}

/// Writes what a rule found; bytes as people read them.
fn words(outcome: &Outcome) -> String {
    match (outcome.rule, &outcome.finding) {
        (Rule::Storage, Finding::AtLeast { got, least }) => {
            format!("has {} free, needs {}", size(*got), size(*least))
        }
        _ => outcome.to_string(),
    }
}

fn rule(outcome: &Outcome) -> impl IntoView + use<> {
    let mark = if outcome.passes { "pass" } else { "hold" };
    view! {
        <li data-outcome=mark>
            <span class="rule-name">{outcome.rule.title()}</span>
            <span class="rule-why">{words(outcome)}</span>
        </li>
    }
}
