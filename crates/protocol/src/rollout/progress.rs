//! What a rollout does next, by its gates: the engine's decision, without its database.

use super::{Rollout, RolloutState};
use crate::gate::{Breach, Tally, Verdict};
use crate::time::Timestamp;

/// What the engine does with a rollout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Nothing yet.
    Stay,
    /// The open phase's sample became complete at that time, or is no longer.
    Sample(Option<Timestamp>),
    /// Its time has come.
    Start,
    /// The gate opened.
    NextPhase,
    /// The last gate opened.
    Complete,
    /// A rate is over its limit.
    Breach(Breach),
    /// Nobody is left to go back.
    RolledBack,
}

/// A step, and what the open phase's gate said, where one was asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// What to do.
    pub step: Step,
    /// What the gate said of which counts.
    pub verdict: Option<(Verdict, Tally)>,
}

impl Judged {
    fn without_gate(step: Step) -> Self {
        Self {
            step,
            verdict: None,
        }
    }
}

impl Rollout {
    /// Returns what comes next. `tallies` are the phases' in order and after them, where it rolls back, that of the way
    /// back; `forgiven` the failures of the open phase that somebody has seen and gone on.
    pub fn next_step(&self, tallies: &[Tally], forgiven: &Tally, now: Timestamp) -> Judged {
        let has_begun = self.spec.starts_at.is_none_or(|start| start <= now);
        match self.state {
            RolloutState::Scheduled if has_begun => Judged::without_gate(Step::Start),
            RolloutState::RollingBack => {
                let way_back = tallies.get(self.spec.phases.len());
                // What is still on its way forth may yet come up on what is taken back.
                let is_over = way_back.is_some_and(Tally::is_exhausted)
                    && tallies.iter().all(|tally| tally.under_way == 0);
                Judged::without_gate(if is_over {
                    Step::RolledBack
                } else {
                    Step::Stay
                })
            }
            RolloutState::Running => self.judge_open_phase(tallies, forgiven, now),
            _ => Judged::without_gate(Step::Stay),
        }
    }

    fn judge_open_phase(&self, tallies: &[Tally], forgiven: &Tally, now: Timestamp) -> Judged {
        let place = self.current_phase as usize;
        let Some(phase) = self.spec.phases.get(place) else {
            return Judged::without_gate(Step::Complete);
        };
        let Some(counted) = tallies.get(place) else {
            return Judged::without_gate(Step::Stay);
        };
        let tally = counted.without(forgiven);
        let is_approved = self.gate_approved_by.is_some();
        let is_last = place + 1 >= self.spec.phases.len();
        let verdict = match phase.gate.judge(&tally, self.sampled_at, is_approved, now) {
            verdict @ (Verdict::Breached(_) | Verdict::Sampling { .. }) => verdict,
            // The last phase is over when nobody is left, whatever its sample says: until then it goes on offering.
            _ if is_last && !tally.is_exhausted() => Verdict::Sampling {
                finished: tally.finished(),
                needed: None,
            },
            verdict => verdict,
        };
        let step = match verdict {
            Verdict::Breached(breach) => Step::Breach(breach),
            Verdict::Sampling { .. } if self.sampled_at.is_some() => Step::Sample(None),
            Verdict::Sampling { .. } => Step::Stay,
            Verdict::Soaking { .. } | Verdict::AwaitingApproval | Verdict::Open
                if self.sampled_at.is_none() =>
            {
                Step::Sample(Some(now))
            }
            Verdict::Soaking { .. } | Verdict::AwaitingApproval => Step::Stay,
            Verdict::Open if is_last => Step::Complete,
            Verdict::Open => Step::NextPhase,
        };
        Judged {
            step,
            verdict: Some((verdict, tally)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Gate;
    use crate::id::AttemptId;
    use crate::rollout::RolloutSpec;
    use crate::share::Share;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    /// A rollout of two phases whose gates wait for two attempts.
    fn rollout(state: RolloutState) -> Rollout {
        let gate =
            serde_json::json!({"min_finished": 2, "max_failure_rate": 40, "judgement": "point"});
        let phase = |share: u8| serde_json::json!({"name": "p", "scope": {"kind": "share", "share": share}, "gate": gate});
        let spec =
            serde_json::json!({"name": "r", "release": 1, "phases": [phase(10), phase(100)]});
        let rest = serde_json::json!({
            "id": 1, "state": state, "state_reason": null, "current_phase": 0, "sampled_at": null,
            "created_at": NOW, "created_by": "user:a", "started_at": NOW, "finished_at": null,
        });
        let spec: RolloutSpec = serde_json::from_value(spec).unwrap();
        let mut whole = serde_json::to_value(&spec).unwrap();
        let parts = rest.as_object().unwrap().clone();
        whole.as_object_mut().unwrap().extend(parts);
        serde_json::from_value(whole).unwrap()
    }

    fn tally(succeeded: u64, failed: u64, waiting: u64) -> Tally {
        Tally {
            succeeded,
            failed,
            waiting: Some(waiting),
            ..Tally::default()
        }
    }

    fn step(rollout: &Rollout, tallies: &[Tally]) -> Step {
        rollout.next_step(tallies, &Tally::default(), NOW).step
    }

    #[test]
    fn only_what_is_scheduled_starts_and_not_before_its_time() {
        for state in RolloutState::ALL {
            let mut one = rollout(state);
            let starts = |one: &Rollout| step(one, &[tally(0, 0, 5); 3]) == Step::Start;
            assert_eq!(starts(&one), state == RolloutState::Scheduled, "{state}");
            one.spec.starts_at = Some(NOW);
            assert_eq!(starts(&one), state == RolloutState::Scheduled, "{state}");
            one.spec.starts_at = Some(NOW.plus_sec(1));
            assert!(!starts(&one), "{state}");
        }
    }

    #[test]
    fn nothing_moves_unless_it_runs_or_rolls_back() {
        for state in RolloutState::ALL {
            let moves = step(&rollout(state), &[tally(5, 0, 0); 3]) != Step::Stay;
            let expected = matches!(
                state,
                RolloutState::Scheduled | RolloutState::Running | RolloutState::RollingBack
            );
            assert_eq!(moves, expected, "{state}");
        }
    }

    #[test]
    fn a_sample_is_kept_before_the_gate_opens_and_let_go_when_it_shrinks() {
        let mut one = rollout(RolloutState::Running);
        one.spec.phases[0].gate.soak_sec = 60;
        let full = [tally(2, 0, 5), tally(0, 0, 9)];
        assert_eq!(step(&one, &[tally(1, 0, 5), tally(0, 0, 9)]), Step::Stay);
        assert_eq!(step(&one, &full), Step::Sample(Some(NOW)));
        one.sampled_at = Some(NOW);
        assert_eq!(step(&one, &full), Step::Stay, "it soaks");
        assert_eq!(
            step(&one, &[tally(1, 0, 5), tally(0, 0, 9)]),
            Step::Sample(None)
        );
        one.sampled_at = Some(NOW.minus_sec(60));
        assert_eq!(step(&one, &full), Step::NextPhase);
        one.spec.phases[0].gate.needs_approval = true;
        assert_eq!(step(&one, &full), Step::Stay);
        one.gate_approved_by = Some("user:b".into());
        assert_eq!(step(&one, &full), Step::NextPhase);
    }

    #[test]
    fn the_last_phase_ends_when_nobody_is_left() {
        let mut one = rollout(RolloutState::Running);
        (one.current_phase, one.sampled_at) = (1, Some(NOW));
        let last = |tally| [Tally::default(), tally];
        let judged = one.next_step(&last(tally(9, 0, 1)), &Tally::default(), NOW);
        assert_eq!(judged.step, Step::Sample(None), "one waits");
        let (verdict, _) = judged.verdict.unwrap();
        assert_eq!(
            verdict.to_string(),
            "9 finished, all devices must",
            "it doesn't soak before nobody is left"
        );
        let under_way = Tally {
            under_way: 1,
            ..tally(9, 0, 0)
        };
        assert_eq!(
            step(&one, &last(under_way)),
            Step::Sample(None),
            "one is under way"
        );
        assert_eq!(step(&one, &last(tally(9, 0, 0))), Step::Complete);
        let uncounted = Tally {
            waiting: None,
            ..tally(9, 0, 0)
        };
        assert_eq!(
            step(&one, &last(uncounted)),
            Step::Sample(None),
            "nobody has counted"
        );
        assert_eq!(
            step(&one, &last(tally(0, 0, 0))),
            Step::Complete,
            "nobody ever was"
        );
    }

    /// What nobody has counted is not over.
    #[test]
    fn a_phase_without_a_tally_stays() {
        assert_eq!(step(&rollout(RolloutState::Running), &[]), Step::Stay);
        assert_eq!(step(&rollout(RolloutState::RollingBack), &[]), Step::Stay);
    }

    #[test]
    fn a_breach_stops_until_its_failures_are_forgiven() {
        let one = rollout(RolloutState::Running);
        let tallies = [tally(1, 1, 5), tally(0, 0, 9)];
        let judge = |forgiven| one.next_step(&tallies, &forgiven, NOW);
        let Step::Breach(breach) = judge(Tally::default()).step else {
            panic!("one of two is over 40 %")
        };
        assert_eq!(breach.to_string(), "1 of 2 failed, 50.0 %, limit 40 %");
        let seen = judge(tally(0, 1, 0));
        assert_eq!(seen.step, Step::Sample(Some(NOW)));
        let (verdict, counted) = seen.verdict.unwrap();
        assert_eq!((verdict, counted.succeeded), (Verdict::Open, 2));
    }

    #[test]
    fn a_rollback_is_over_when_nobody_is_left_on_either_way() {
        let one = rollout(RolloutState::RollingBack);
        let forth = |under_way| Tally {
            under_way,
            ..tally(3, 1, 4)
        };
        let back = |waiting, under_way| Tally {
            under_way,
            waiting,
            ..Tally::default()
        };
        let over = |tallies: [Tally; 3]| step(&one, &tallies) == Step::RolledBack;
        assert!(over([forth(0), forth(0), back(Some(0), 0)]));
        assert!(!over([forth(0), forth(0), back(Some(1), 0)]));
        assert!(!over([forth(0), forth(0), back(Some(0), 1)]));
        assert!(
            !over([forth(0), forth(0), back(None, 0)]),
            "nobody has counted"
        );
        assert!(
            !over([forth(0), forth(1), back(Some(0), 0)]),
            "one that is on its way forth may yet come up on what is taken back"
        );
    }

    #[test]
    fn retrying_and_forgiving_leave_the_rest_of_a_rollout_alone() {
        let mut one = rollout(RolloutState::Running);
        one.retried_upto = Some(AttemptId(9));
        one.spec.phases[0].gate = Gate {
            max_failure_rate: Some(Share::NONE),
            ..Gate::default()
        };
        let tallies = [tally(3, 0, 0), tally(0, 7, 9)];
        assert_eq!(
            step(&one, &tallies),
            Step::Sample(Some(NOW)),
            "another phase's failures"
        );
    }
}
