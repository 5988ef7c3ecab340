//! `otter rollout list` and `show`: rollouts as people read them.

use otter_protocol::Timestamp;
use otter_protocol::admin::{GateEvaluation, PhaseProgress, RolloutDetail, RolloutSummary};
use otter_protocol::gate::{Tally, Verdict};
use otter_protocol::rollout::Rollout;

use crate::output::Table;
use crate::text::{ago, count, now};
use crate::{Failure, Output};

/// Most gate evaluations that are printed; `--json` has more.
const GATES_SHOWN: usize = 20;

/// Prints rollouts, a line each.
pub(super) fn show_list(output: Output, rollouts: &Vec<RolloutSummary>) -> Result<(), Failure> {
    output.value(rollouts, |output| {
        let mut table = Table::new([
            "id",
            "name",
            "release",
            "state",
            "phase",
            "succeeded",
            "failed",
            "under way",
            "made",
        ]);
        for summary in rollouts {
            let rollout = &summary.rollout;
            table.row([
                rollout.id.to_string(),
                rollout.spec.name.clone(),
                summary.version.to_string(),
                rollout.state.to_string(),
                format!(
                    "{} of {}",
                    rollout.current_phase + 1,
                    summary.progress.len()
                ),
                summary.total.succeeded.to_string(),
                summary.total.failures().to_string(),
                summary.total.under_way.to_string(),
                ago(rollout.created_at, now()),
            ]);
        }
        output.table(table, "No rollouts. Make one with `otter rollout create`.")
    })
}

/// Prints a rollout: its phases, the way back, what its gates said, its failures' reasons.
pub(super) fn show_detail(output: Output, detail: &RolloutDetail) -> Result<(), Failure> {
    let summary = &detail.summary;
    for line in head(summary) {
        output.line(line)?;
    }
    let mut table = Table::new([
        "phase",
        "share",
        "succeeded",
        "failed",
        "under way",
        "waiting",
        "gate",
    ]);
    for one in &summary.progress {
        table.row(phase_row(one));
    }
    if let Some(tally) = &summary.way_back {
        table.row(row_of("way back", "", tally, String::new()));
    }
    output.table(table, "No phases.")?;
    for gate in detail.gates.iter().take(GATES_SHOWN).rev() {
        output.line(gate_text(gate, now()))?;
    }
    for reason in &detail.failure_reasons {
        let times = count(reason.count, "failure");
        output.line(format!("{times}: {}", reason.reason))?;
    }
    Ok(())
}

/// Returns what stands over the phases.
fn head(summary: &RolloutSummary) -> Vec<String> {
    let rollout = &summary.rollout;
    let spec = &rollout.spec;
    let mut lines = vec![
        format!("rollout   {} {}", rollout.id, spec.name),
        format!("release   {} for {}", summary.version, spec.audience),
        format!("state     {}", state_text(rollout)),
        format!(
            "made      by {} at {}",
            rollout.created_by, rollout.created_at
        ),
    ];
    let approved = match (&rollout.approved_by, spec.needs_approval) {
        (Some(by), _) => Some(format!("by {by}")),
        (None, true) => Some("not yet".to_owned()),
        (None, false) => None,
    };
    lines.extend(approved.map(|approved| format!("approved  {approved}")));
    if let Some(by) = &rollout.gate_approved_by {
        lines.push(format!(
            "gate      of phase {} approved by {by}",
            rollout.current_phase + 1
        ));
    }
    if let Some(upto) = rollout.retried_upto {
        lines.push(format!(
            "retries   failures up to attempt {upto} don't count any more"
        ));
    }
    lines
}

fn phase_row(progress: &PhaseProgress) -> [String; 7] {
    let PhaseProgress {
        phase,
        tally,
        verdict,
    } = progress;
    let verdict = verdict.map_or_else(String::new, |verdict| verdict.to_string());
    row_of(&phase.name, &phase.scope.to_string(), tally, verdict)
}

fn row_of(name: &str, scope: &str, tally: &Tally, verdict: String) -> [String; 7] {
    let or_unknown = |number: Option<u64>| number.map_or("?".to_owned(), |n| n.to_string());
    [
        name.to_owned(),
        scope.to_owned(),
        tally.succeeded.to_string(),
        tally.failures().to_string(),
        tally.under_way.to_string(),
        or_unknown(tally.waiting),
        verdict,
    ]
}

/// Returns what a gate said in a sentence, such as `phase 2 held at 14:02 UTC: 3 of 41 failed, 7.3 %, limit 1 %`.
fn gate_text(gate: &GateEvaluation, now: Timestamp) -> String {
    let (did, since) = match gate.verdict {
        Verdict::Breached(_) => ("held at", gate.since),
        Verdict::Open => ("opened at", gate.since),
        Verdict::Sampling { .. } => ("sampled until", gate.at),
        Verdict::Soaking { .. } => ("soaked from", gate.since),
        Verdict::AwaitingApproval => ("waited for approval from", gate.since),
    };
    let said = match gate.verdict {
        Verdict::Open | Verdict::AwaitingApproval => tally_text(&gate.tally),
        verdict => verdict.to_string(),
    };
    let place = gate.phase + 1;
    format!("phase {place} {did} {}: {said}", clock(since, now))
}

/// Returns a time in UTC, as `14:02 UTC` on the same day and with its date else.
fn clock(at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (at.to_jiff(), now.to_jiff());
    let day = |time: jiff::Timestamp| time.strftime("%F").to_string();
    let format = if day(at) == day(now) {
        "%H:%M UTC"
    } else {
        "%F %H:%M UTC"
    };
    at.strftime(format).to_string()
}

/// Returns a rollout's state with the reason for it.
pub(super) fn state_text(rollout: &Rollout) -> String {
    let state = rollout.state.as_str().replace('_', " ");
    match rollout.state_reason.as_deref() {
        None | Some("") => state,
        Some(reason) => format!("{state}: {reason}"),
    }
}

/// Returns a tally in a few words.
pub(super) fn tally_text(tally: &Tally) -> String {
    let mut words = vec![format!("{} succeeded", tally.succeeded)];
    for (number, word) in [
        (tally.failed, "failed"),
        (tally.rolled_back, "rolled back"),
        (tally.timed_out, "timed out"),
        (tally.unhealthy, "unhealthy since"),
        (tally.stepped, "stepped on the way"),
        (tally.cancelled, "cancelled"),
        (tally.under_way, "under way"),
        (tally.waiting.unwrap_or(0), "waiting"),
    ] {
        if number > 0 {
            words.push(format!("{number} {word}"));
        }
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn gate(verdict: Value) -> GateEvaluation {
        let tally = json!({"succeeded": 38, "failed": 3, "rolled_back": 0, "timed_out": 0,
            "cancelled": 0, "under_way": 0, "waiting": 4});
        serde_json::from_value(json!({"phase": 1, "verdict": verdict, "tally": tally,
            "since": "2026-03-01T14:02:09Z", "at": "2026-03-01T14:03:00Z"}))
        .unwrap()
    }

    #[test]
    fn a_gate_tells_when_and_of_which_numbers() {
        let now: Timestamp = "2026-03-01T20:00:00Z".parse().unwrap();
        let breached = json!({"verdict": "breached", "rate": "failure", "count": 3,
            "finished": 41, "limit": 1});
        assert_eq!(
            gate_text(&gate(breached), now),
            "phase 2 held at 14:02 UTC: 3 of 41 failed, 7.3 %, limit 1 %"
        );
        let opened = gate_text(&gate(json!({"verdict": "open"})), now.plus_sec(86_400));
        assert_eq!(
            opened,
            "phase 2 opened at 2026-03-01 14:02 UTC: 38 succeeded, 3 failed, 4 waiting"
        );
    }

    #[test]
    fn the_head_says_who_let_it_begin() {
        let mut summary: RolloutSummary = serde_json::from_value(json!({
            "id": 7, "name": "to 1.1.0", "release": 1, "phases": [], "state": "awaiting_approval",
            "state_reason": null, "current_phase": 0, "sampled_at": null, "needs_approval": true,
            "created_at": "2026-03-01T08:00:00Z", "created_by": "key:ci", "started_at": null,
            "finished_at": null, "version": "1.1.0", "models": [], "progress": [],
            "total": {"succeeded": 0, "failed": 0, "rolled_back": 0, "timed_out": 0,
                "cancelled": 0, "under_way": 0, "waiting": null},
        }))
        .unwrap();
        let lines = head(&summary);
        assert!(
            lines.contains(&"state     awaiting approval".to_owned()),
            "{lines:?}"
        );
        assert!(lines.contains(&"approved  not yet".to_owned()), "{lines:?}");
        summary.rollout.approved_by = Some("user:eve".to_owned());
        let lines = head(&summary);
        assert!(
            lines.contains(&"approved  by user:eve".to_owned()),
            "{lines:?}"
        );
    }
}
