//! `otter device explain`: every rule with its numbers, what would change it, and when.

use otter_protocol::Timestamp;
use otter_protocol::admin::DeviceDetail;
use otter_protocol::decision::{Action, Decision};
use otter_protocol::rule::Outcome;

use super::rollout_name;
use crate::text::{now, until};
use crate::{Failure, Output};

/// Prints every rule of every rollout with a ✓ or ✗, the way a person would check a list.
pub(super) fn explain(output: Output, detail: &DeviceDetail) -> Result<(), Failure> {
    output.line(format!("{}: {}", detail.summary.id, action_text(detail)))?;
    for one in &detail.decision.considered {
        let name = rollout_name(detail, one.rollout);
        output.line(format!("\nrollout {} {name}", one.rollout))?;
        for line in one.outcomes.iter().flat_map(|one| lines(one, now())) {
            output.line(line)?;
        }
    }
    Ok(())
}

/// Returns a rule's outcome, and below it what would change it where it holds the device back.
fn lines(outcome: &Outcome, now: Timestamp) -> Vec<String> {
    let mark = if outcome.passes { '✓' } else { '✗' };
    let title = outcome.rule.title();
    let first = match outcome.to_string().as_str() {
        "yes" => format!("  {mark} {title}"),
        finding => format!("  {mark} {title} — {finding}"),
    };
    let when = outcome.changes_at();
    let when = when.map_or_else(String::new, |at| format!(" ({}, {at})", until(at, now)));
    let remedy = outcome
        .remedy()
        .map(|remedy| format!("      → {remedy}{when}"));
    std::iter::once(first).chain(remedy).collect()
}

/// Returns the decision in a sentence.
fn action_text(detail: &DeviceDetail) -> String {
    let Decision { action, considered } = &detail.decision;
    match action {
        Action::Begin { rollout, phase, .. } => format!(
            "updates at its next check-in, by rollout {rollout} {}, phase {}",
            rollout_name(detail, *rollout),
            phase + 1
        ),
        Action::Continue { attempt, .. } => format!("is at attempt {attempt}"),
        Action::Cancel { attempt } => format!("is told to give up attempt {attempt}"),
        Action::Wait if considered.is_empty() => {
            "waits; no rollout that lives is for its model".to_owned()
        }
        Action::Wait => "waits; what holds it back is marked ✗".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use otter_protocol::rule::{Finding, Rule, WhoseWindow};

    use super::*;

    #[test]
    fn what_holds_a_device_back_says_what_would_let_it_go_and_when() {
        let now: Timestamp = "2026-03-01T13:00:00Z".parse().unwrap();
        let closed = Outcome {
            rule: Rule::WindowOpen,
            passes: false,
            finding: Finding::WindowClosed {
                opens_at: Some(now.plus_sec(7 * 3600)),
                zone: "Europe/Helsinki".to_owned(),
                opens: Some("today at 22:00".to_owned()),
                whose: WhoseWindow::Rollout,
            },
        };
        assert_eq!(
            lines(&closed, now),
            [
                "  ✗ The window is open — opens today at 22:00 Europe/Helsinki",
                "      → The window opens. (in 7 h, 2026-03-01T20:00:00Z)"
            ]
        );
        let passed = Outcome {
            rule: Rule::Accepted,
            passes: true,
            finding: Finding::Passes,
        };
        assert_eq!(lines(&passed, now), ["  ✓ The device takes part"]);
        let limited = Outcome {
            rule: Rule::InFlightLimit,
            passes: false,
            finding: Finding::AtMost { got: 5, most: 5 },
        };
        assert_eq!(
            lines(&limited, now)[1],
            "      → Attempts under way come to their end."
        );
    }
}
