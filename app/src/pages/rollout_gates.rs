//! What a rollout's gates said, and when.

use leptos::prelude::*;
use otter_protocol::admin::GateEvaluation;
use otter_protocol::gate::Verdict;

use crate::components::phases::sentence;
use crate::components::when::When;

/// Most lines that are shown.
const SHOWN: usize = 20;

/// The card; none where no gate was asked yet.
pub(crate) fn gates(gates: &[GateEvaluation]) -> impl IntoView + use<> {
    let lines: Vec<_> = gates.iter().take(SHOWN).map(line).collect();
    (!lines.is_empty()).then(|| {
        view! {
            <section class="card" aria-labelledby="gates">
                <div class="card-head"><h2 id="gates">"Gates"</h2></div>
                <div class="card-body">
                    <ol class="reasons">{lines}</ol>
                </div>
            </section>
        }
    })
}

fn line(gate: &GateEvaluation) -> impl IntoView + use<> {
    let (did, said) = words(gate);
    let phase = format!("Phase {}", gate.phase + 1);
    let at = gate.since;
    view! {
        <li>
            <strong>{phase}</strong>
            <span>{did} " " <When at /> ": " {said}</span>
        </li>
    }
}

/// Returns what the gate did, and what it said of which numbers.
fn words(gate: &GateEvaluation) -> (&'static str, String) {
    let counts = sentence(&gate.tally);
    match gate.verdict {
        Verdict::Breached(breach) => ("held", breach.to_string()),
        Verdict::Open => ("opened", counts),
        Verdict::AwaitingApproval => ("waited for approval from", counts),
        Verdict::Soaking { .. } => ("soaked from", counts),
        sampling @ Verdict::Sampling { .. } => ("sampled from", sampling.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gate_that_held_says_its_numbers() {
        let tally = json!({"succeeded": 38, "failed": 3, "rolled_back": 0, "timed_out": 0,
            "cancelled": 0, "under_way": 0, "waiting": 4});
        let of = |verdict: serde_json::Value| -> GateEvaluation {
            serde_json::from_value(json!({"phase": 1, "verdict": verdict, "tally": tally,
                "since": "2026-03-01T14:02:00Z", "at": "2026-03-01T14:03:00Z"}))
            .unwrap()
        };
        let breached = json!({"verdict": "breached", "rate": "failure", "count": 3,
            "finished": 41, "limit": 1});
        let said = "3 of 41 failed, 7.3 %, limit 1 %".to_owned();
        assert_eq!(words(&of(breached)), ("held", said));
        let waits = words(&of(json!({"verdict": "awaiting_approval"})));
        assert_eq!(waits.0, "waited for approval from");
    }
}
