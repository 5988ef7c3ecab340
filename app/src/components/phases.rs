//! Phases as bars that fill, with the gate's numbers.

use leptos::prelude::*;
use otter_protocol::Timestamp;
use otter_protocol::admin::{PhaseProgress, RolloutSummary};
use otter_protocol::gate::{Gate, Tally, Verdict};
use otter_protocol::rollout::{PhaseScope, RolloutState};

use crate::clock::{Now, exact_span, relative};

/// A tally's parts: count, word and tone.
fn all_parts(tally: &Tally) -> [(u64, &'static str, &'static str); 6] {
    [
        (tally.succeeded, "succeeded", "success"),
        (tally.under_way, "under way", "info"),
        (tally.failed, "failed", "danger"),
        (tally.timed_out, "timed out", "danger"),
        (tally.rolled_back, "rolled back", "warning"),
        (tally.waiting.unwrap_or(0), "waiting", "neutral"),
    ]
}

/// A tally's parts that are not empty.
pub(crate) fn parts(tally: &Tally) -> Vec<(u64, &'static str, &'static str)> {
    let mut parts = all_parts(tally).to_vec();
    parts.retain(|(count, ..)| *count > 0);
    parts
}

/// Writes a tally in words.
pub(crate) fn sentence(tally: &Tally) -> String {
    let words: Vec<_> = parts(tally)
        .iter()
        .map(|(count, word, _)| format!("{count} {word}"))
        .collect();
    if words.is_empty() {
        "nothing yet".to_owned()
    } else {
        words.join(", ")
    }
}

/// A tally as a bar: each part as wide as its share.
#[component]
pub(crate) fn TallyBar(
    tally: Tally,
    /// What the bar is of.
    #[prop(into)]
    label: String,
    #[prop(optional)] is_large: bool,
) -> impl IntoView {
    let segment = |(count, word, tone): (u64, &'static str, &'static str)| {
        let state = match word {
            "under way" => Some("active"),
            "waiting" => Some("waiting"),
            _ => None,
        };
        view! {
            <span
                class="bar-segment"
                data-tone=tone
                data-state=state
                style=format!("--share:{count}")
                title=format!("{count} {word}")
                hidden=count == 0
            ></span>
        }
    };
    // Empty ones are there, too: each keeps its place, so that its width and no other's moves when the numbers change.
    let segments = all_parts(&tally).map(segment);
    let is_empty = parts(&tally).is_empty();
    view! {
        <div class="bar" data-size=is_large.then_some("large") role="img" aria-label=format!("{label}: {}", sentence(&tally))>
            {segments}
            {is_empty.then(|| view! { <span class="bar-segment" data-state="waiting"></span> })}
        </div>
    }
}

/// What the parts of a tally's bar are.
#[component]
pub(crate) fn TallyLegend(tally: Tally) -> impl IntoView {
    let key = |(count, word, tone): (u64, &'static str, &'static str)| {
        view! {
            <li class="bar-key" data-tone=tone data-state=(word == "waiting").then_some("waiting")>
                {format!("{count} {word}")}
            </li>
        }
    };
    view! { <ul class="bar-legend">{parts(&tally).into_iter().map(key).collect_view()}</ul> }
}

/// Returns where a phase is in its rollout's life.
fn place_of(place: usize, rollout: &RolloutSummary) -> &'static str {
    let current = usize::try_from(rollout.rollout.current_phase).unwrap_or(usize::MAX);
    match rollout.rollout.state {
        RolloutState::Completed => "done",
        _ if place < current => "done",
        RolloutState::Aborted | RolloutState::RollingBack | RolloutState::RolledBack => "stopped",
        RolloutState::Paused if place == current => "stopped",
        RolloutState::Running if place == current => "active",
        _ => "waiting",
    }
}

/// All phases of a rollout.
#[component]
pub(crate) fn Phases(
    rollout: RolloutSummary,
    /// Shows what the gates ask for and say, too.
    #[prop(optional)]
    is_full: bool,
) -> impl IntoView {
    let phases = rollout
        .progress
        .iter()
        .enumerate()
        .map(|(place, progress)| {
            let state = place_of(place, &rollout);
            let said = progress
                .verdict
                .filter(|_| is_full)
                .and_then(|verdict| settled(verdict, rollout.rollout.sampled_at));
            phase(place, progress, state, said, is_full)
        });
    view! { <ol class="phases">{phases.collect_view()}</ol> }
}

/// Returns a verdict that is worth saying: the end of a soak that the engine has yet to begin still moves.
fn settled(verdict: Verdict, sampled_at: Option<Timestamp>) -> Option<Verdict> {
    match verdict {
        Verdict::Soaking { .. } if sampled_at.is_none() => None,
        verdict => Some(verdict),
    }
}

fn phase(
    place: usize,
    progress: &PhaseProgress,
    state: &'static str,
    said: Option<Verdict>,
    is_full: bool,
) -> impl IntoView + use<> {
    let tally = progress.tally;
    let name = progress.phase.name.clone();
    let scope = progress.phase.scope.to_string();
    let has_scope = scope != name;
    let word = match state {
        "done" => "done",
        "active" => "open",
        "stopped" => "stopped",
        _ => "not yet open",
    };
    view! {
        <li class="phase" data-state=state aria-current=(state == "active").then_some("step")>
            <div class="phase-name">
                <span class="truncate">{format!("{}. {name}", place + 1)}</span>
                {has_scope.then(|| view! { <span class="hint nowrap">{scope}</span> })}
            </div>
            <TallyBar tally label=format!("Phase {name}") is_large=is_full />
            <p class="phase-note">
                {match is_full {
                    true => format!("{word} · {}", sentence(&tally)),
                    false => format!("{} of {}", tally.finished(), total(&tally)),
                }}
            </p>
            {is_full.then(|| gate(&progress.phase.gate))}
            {said.map(verdict)}
        </li>
    }
}

/// Writes how many devices a phase has, as far as they have been counted.
fn total(tally: &Tally) -> String {
    let known = tally.finished() + tally.under_way;
    match tally.waiting {
        Some(waiting) => (known + waiting).to_string(),
        None if known == 0 => "?".to_owned(),
        None => format!("{known}+"),
    }
}

/// What a gate asks for.
fn gate(gate: &Gate) -> impl IntoView + use<> {
    let sample = gate.min_finished.map_or_else(
        || "all finished".to_owned(),
        |count| format!("{count} finished"),
    );
    let soak = (gate.soak_sec > 0).then(|| format!("{} soak", exact_span(gate.soak_sec)));
    let failures = gate
        .max_failure_rate
        .map(|rate| format!("at most {rate} failed"));
    let rollbacks = gate
        .max_rollback_rate
        .map(|rate| format!("at most {rate} rolled back"));
    let silences = gate
        .max_silence_rate
        .map(|rate| format!("at most {rate} silent"));
    let unhealthy = gate
        .max_unhealthy_rate
        .map(|rate| format!("at most {rate} unhealthy since"));
    let approval = gate
        .needs_approval
        .then(|| "a person's approval".to_owned());
    let rates = [failures, rollbacks, silences, unhealthy];
    let words: Vec<_> = [Some(sample), soak]
        .into_iter()
        .chain(rates)
        .chain([approval])
        .flatten()
        .collect();
    view! { <p class="phase-note">"Gate: " {words.join(", ")}</p> }
}

/// What a gate says of its phase now.
fn verdict(verdict: Verdict) -> impl IntoView {
    let now = expect_context::<Now>();
    let tone = match verdict {
        Verdict::Breached(_) => "danger",
        Verdict::Open => "success",
        _ => "info",
    };
    let text = move || match verdict {
        Verdict::Soaking { until } => format!("soaks, ends {}", relative(until, now.get())),
        Verdict::Breached(breach) => format!("breached: {breach}"),
        Verdict::Open => "the gate is open".to_owned(),
        sampling => sampling.to_string(),
    };
    view! { <p class="phase-note tone" data-tone=tone>{text}</p> }
}

/// Writes who the phases are for, in one line.
pub(crate) fn steps(rollout: &RolloutSummary) -> String {
    let scopes = rollout
        .rollout
        .spec
        .phases
        .iter()
        .map(|phase| match &phase.scope {
            PhaseScope::Share { share } => share.to_string(),
            PhaseScope::Group { group } => group.to_string(),
            scope @ PhaseScope::Count { .. } => scope.to_string(),
        });
    scopes.collect::<Vec<_>>().join(" → ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_is_shown_once_its_end_stands() {
        let soaking = Verdict::Soaking {
            until: Timestamp(60_000),
        };
        assert_eq!(settled(soaking, None), None);
        assert_eq!(settled(soaking, Some(Timestamp(0))), Some(soaking));
        assert_eq!(settled(Verdict::Open, None), Some(Verdict::Open));
    }
}
