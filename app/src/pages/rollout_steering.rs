//! What a person may do to a rollout: plain forms, one a step.

use leptos::prelude::*;
use otter_protocol::admin::{Role, RolloutSummary};
use otter_protocol::gate::Verdict;
use otter_protocol::rollout::UnderWay;

use crate::api::rollouts::{SteerRollout, Step};
use crate::components::field::{Field, options};

/// One step's form, in a person's words.
struct Form {
    step: Step,
    reason_id: &'static str,
    reason_label: &'static str,
    button: &'static str,
    hint: &'static str,
    /// `primary` or `danger`, where it is either.
    kind: Option<&'static str>,
    needs_reason: bool,
    /// What opens the form, where it isn't open from the start.
    summary: Option<&'static str>,
}

/// What can be done with the rollout as it is, by somebody of this role.
pub(crate) fn steering(
    summary: &RolloutSummary,
    role: Role,
    steer: ServerAction<SteerRollout>,
) -> impl IntoView + use<> {
    let id = summary.rollout.id.to_string();
    let forms: Vec<Form> = Step::ALL
        .into_iter()
        .filter(|step| role >= step.role() && makes_sense(*step, summary))
        .map(form_of)
        .collect();
    (!forms.is_empty()).then(|| {
        let forms = forms.into_iter().map(|form| shown(form, id.clone(), steer));
        view! {
            <section class="card" aria-labelledby="steer">
                <div class="card-head"><h2 id="steer">"Steer"</h2></div>
                <div class="card-body">{forms.collect_view()}</div>
            </section>
        }
    })
}

/// Tells whether a step is possible now, and would change something.
fn makes_sense(step: Step, summary: &RolloutSummary) -> bool {
    let rollout = &summary.rollout;
    let steering = step.steering(UnderWay::default());
    if !steering.possible_in().contains(&rollout.state) {
        return false;
    }
    let open = summary.progress.get(rollout.current_phase as usize);
    match step {
        Step::ApproveGate => {
            let waits = open.is_some_and(|open| {
                open.phase.gate.needs_approval || open.verdict == Some(Verdict::AwaitingApproval)
            });
            waits && rollout.gate_approved_by.is_none()
        }
        Step::RollBack => summary.total.succeeded + summary.total.under_way > 0,
        Step::RetryFailed => summary.total.failures() > 0,
        _ => true,
    }
}

fn shown(form: Form, id: String, steer: ServerAction<SteerRollout>) -> AnyView {
    let summary = form.summary;
    let inside = inside(form, id, steer);
    match summary {
        None => inside,
        Some(summary) => view! {
            <details>
                <summary>{summary}</summary>
                {inside}
            </details>
        }
        .into_any(),
    }
}

fn inside(form: Form, id: String, steer: ServerAction<SteerRollout>) -> AnyView {
    let Form {
        step,
        reason_id,
        reason_label,
        button,
        hint,
        kind,
        needs_reason,
        ..
    } = form;
    let under_way = (step == Step::Abort).then(|| {
        let choices = [
            ("cancel", "Take back what wasn't applied yet"),
            ("finish", "Let it go on to its end"),
        ];
        let choices = choices.map(|(value, text)| (value.to_owned(), text.to_owned()));
        view! {
            <Field id="abort-under-way" label="What is under way">
                <select id="abort-under-way" name="under_way">{options(choices, "cancel")}</select>
            </Field>
        }
    });
    view! {
        <ActionForm action=steer>
            <div class="form">
                <input type="hidden" name="id" value=id />
                {under_way}
                <Field id=reason_id label=reason_label>
                    <input id=reason_id name="reason" required=needs_reason maxlength="500" />
                </Field>
                <div class="row">
                    <button class="button" data-kind=kind type="submit" name="steering" value=step.as_str()>{button}</button>
                    <span class="hint">{hint}</span>
                </div>
            </div>
        </ActionForm>
    }
    .into_any()
}

/// Returns a step's form; what is done every day is open, what is rare opens on demand.
fn form_of(step: Step) -> Form {
    let (reason_id, reason_label, button, hint) = words(step);
    let (kind, needs_reason, summary) = match step {
        Step::Start | Step::Approve | Step::Resume | Step::ApproveGate => {
            (Some("primary"), false, None)
        }
        Step::Pause => (None, false, None),
        Step::RetryFailed => (None, false, Some("Retry failed devices")),
        Step::SkipGate => (Some("danger"), true, Some("Skip the gate of this phase")),
        Step::RollBack => (Some("danger"), true, Some("Roll this rollout back")),
        Step::Abort => (Some("danger"), true, Some("Abort this rollout")),
    };
    Form {
        step,
        reason_id,
        reason_label,
        button,
        hint,
        kind,
        needs_reason,
        summary,
    }
}

/// Returns the reason's id and label, the button, and the hint beside it.
fn words(step: Step) -> (&'static str, &'static str, &'static str, &'static str) {
    match step {
        Step::Start => (
            "start-reason",
            "Reason to start",
            "Start rollout",
            "It begins, waits for its time, or for its approval.",
        ),
        Step::Approve => (
            "approve-reason",
            "Reason to approve",
            "Approve rollout",
            "By somebody other than who made it.",
        ),
        Step::Pause => (
            "pause-reason",
            "Reason to pause",
            "Pause rollout",
            "What is under way goes on.",
        ),
        Step::Resume => (
            "resume-reason",
            "Reason to resume",
            "Resume rollout",
            "Failures known by now no longer stop it.",
        ),
        Step::ApproveGate => (
            "approve-gate-reason",
            "Reason to open the gate",
            "Approve gate",
            "The next phase begins once the gate's other conditions hold.",
        ),
        Step::SkipGate => (
            "skip-gate-reason",
            "Reason to skip the gate",
            "Skip gate",
            "The next phase begins whatever the gate says.",
        ),
        Step::RetryFailed => (
            "retry-reason",
            "Reason to retry",
            "Retry failed devices",
            "Devices that failed are offered the release again.",
        ),
        Step::RollBack => (
            "roll-back-reason",
            "Reason to roll back",
            "Roll back",
            "Devices that it updated are offered what they ran before.",
        ),
        Step::Abort => (
            "abort-reason",
            "Reason to abort",
            "Abort rollout",
            "It stops for good.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use otter_protocol::rollout::RolloutState;
    use serde_json::json;

    use super::*;

    fn summary(state: RolloutState) -> RolloutSummary {
        let tally = json!({"succeeded": 5, "failed": 1, "rolled_back": 0, "timed_out": 0,
            "cancelled": 0, "under_way": 0, "waiting": 0});
        let phase = json!({"name": "all", "scope": {"kind": "share", "share": 100},
            "gate": {"needs_approval": true}});
        serde_json::from_value(json!({
            "id": 7, "name": "n", "release": 1, "phases": [phase], "state": state,
            "state_reason": null, "current_phase": 0, "sampled_at": null,
            "created_at": "2026-03-01T08:00:00Z", "created_by": "user:ann", "started_at": null,
            "finished_at": null, "version": "1.1.0", "models": [], "total": tally,
            "progress": [{"phase": phase, "tally": tally, "verdict": null}],
        }))
        .unwrap()
    }

    #[test]
    fn every_step_is_offered_in_some_state_and_never_where_it_is_impossible() {
        let mut offered = BTreeSet::new();
        for state in RolloutState::ALL {
            for step in Step::ALL {
                let steering = step.steering(UnderWay::default());
                if makes_sense(step, &summary(state)) {
                    assert!(
                        steering.possible_in().contains(&state),
                        "{step:?} in {state}"
                    );
                    offered.insert(step.as_str());
                }
            }
        }
        assert_eq!(offered.len(), Step::ALL.len());
    }

    #[test]
    fn a_gate_is_approved_once() {
        let mut running = summary(RolloutState::Running);
        assert!(makes_sense(Step::ApproveGate, &running));
        running.rollout.gate_approved_by = Some("user:eve".to_owned());
        assert!(!makes_sense(Step::ApproveGate, &running));
    }

    #[test]
    fn what_needs_a_reason_by_the_rules_asks_for_one() {
        for step in Step::ALL {
            let steering = step.steering(UnderWay::default());
            assert!(
                form_of(step).needs_reason || !steering.needs_reason(),
                "{step:?}"
            );
        }
    }

    #[test]
    fn each_forms_field_has_an_id_of_its_own() {
        let ids: BTreeSet<_> = Step::ALL.map(|step| words(step).0).into();
        assert_eq!(ids.len(), Step::ALL.len());
    }
}
