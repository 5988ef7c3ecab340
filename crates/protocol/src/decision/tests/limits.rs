//! How often and how many: batches, the pace, back-off and retries.

use super::*;
use crate::rollout::Pace;

fn with_load(change: impl FnOnce(&mut Rollout), phase: PhaseLoad, next: Option<Timestamp>) -> Plan {
    let mut rollout = rollout();
    change(&mut rollout);
    let load = Load {
        phases: vec![PhaseLoad::default(), phase, PhaseLoad::default()],
        next_grant_at: next,
    };
    plan_for(rollout, vec![release()], load, vec![])
}

fn load(begun: u64, under_way: u64) -> PhaseLoad {
    PhaseLoad {
        begun,
        devices: begun,
        under_way,
    }
}

/// A device with these failed tries, the last of which ended now.
fn failed_now(failures: i32) -> Device {
    let mut past = failed_times(failures);
    past.forth.last = Some((AttemptState::TimedOut, NOW));
    Device {
        past: [(RolloutId(1), past)].into(),
        ..device()
    }
}

#[test]
fn a_full_batch_waits_for_its_end() {
    let plan = |phase| with_load(|rollout| rollout.spec.batch_size = Some(3), phase, None);
    let is_held = |phase| !held_by(&device(), &plan(phase), NOW).is_empty();
    assert!(
        !is_held(load(0, 0)) && !is_held(load(2, 2)),
        "room in the first"
    );
    assert!(is_held(load(3, 3)) && is_held(load(3, 1)), "full");
    assert!(!is_held(load(3, 0)), "the second begins");
    assert!(!is_held(load(4, 1)) && is_held(load(6, 1)));
    let (outcome, said) = found(&device(), &plan(load(3, 1)), NOW, Rule::InFlightLimit);
    assert_eq!(said, "1 of the batch of 3 are still under way");
    assert_eq!(
        outcome.remedy(),
        Some("Attempts under way come to their end.")
    );
    assert_eq!((outcome.changes_at(), outcome.is_lasting()), (None, false));
}

#[test]
fn a_pace_says_when_the_next_may_begin() {
    let pace = Pace {
        per_hour: 60,
        growth: None,
    };
    let next = NOW.plus_sec(60);
    let plan = with_load(
        |rollout| rollout.spec.pace = Some(pace),
        load(1, 0),
        Some(next),
    );
    assert_eq!(held_by(&device(), &plan, NOW), [Rule::InFlightLimit]);
    let (outcome, said) = found(&device(), &plan, NOW, Rule::InFlightLimit);
    assert_eq!(said, "the pace lets the next begin at 2026-01-01T00:01:00Z");
    assert_eq!(outcome.changes_at(), Some(next));
    assert_eq!(outcome.remedy(), Some("Time passes."));
    assert!(begins(&device(), &plan, next).is_some());
    let unpaced = with_load(|_| {}, load(1, 0), Some(next));
    assert!(begins(&device(), &unpaced, NOW).is_some());
}

#[test]
fn back_off_doubles_up_to_a_day() {
    let mut spec = rollout().spec;
    let after = |spec: &RolloutSpec, failures| spec.back_off_sec(failures);
    assert_eq!(
        [1, 2, 3, 4].map(|n| after(&spec, n)),
        [300, 600, 1200, 2400]
    );
    assert_eq!(
        [9, 10, 64, usize::MAX].map(|n| after(&spec, n)),
        [76_800, 86_400, 86_400, 86_400]
    );
    spec.retry_after_sec = 100_000;
    assert_eq!(
        after(&spec, 5),
        100_000,
        "one that is longer than a day is kept"
    );
    spec.retry_after_sec = 0;
    assert_eq!(after(&spec, 5), 0);
}

#[test]
fn a_device_that_failed_waits_before_it_tries_again() {
    let plan = with_load(|rollout| rollout.spec.max_attempts = 5, load(0, 0), None);
    for (failures, sec, words) in [
        (1, 300, "failed once, tries again at 2026-01-01T00:05:00Z"),
        (
            3,
            1200,
            "failed 3 times, tries again at 2026-01-01T00:20:00Z",
        ),
    ] {
        let device = failed_now(failures);
        assert_eq!(held_by(&device, &plan, NOW), [Rule::BackedOff]);
        let (outcome, said) = found(&device, &plan, NOW, Rule::BackedOff);
        let until = NOW.plus_sec(sec);
        assert_eq!((said.as_str(), outcome.changes_at()), (words, Some(until)));
        assert_eq!(
            (outcome.remedy(), outcome.is_lasting()),
            (Some("Time passes."), false)
        );
        assert!(begins(&device, &plan, Timestamp(until.0 - 1)).is_none());
        assert!(begins(&device, &plan, until).is_some());
    }
}

/// What was taken back, and a step that succeeded, are no failures to wait after.
#[test]
fn only_a_failure_is_waited_after() {
    let plan = with_load(|rollout| rollout.spec.max_attempts = 5, load(0, 0), None);
    for end in [AttemptState::Cancelled, AttemptState::Succeeded] {
        let mut device = failed_now(1);
        let past = device.past.get_mut(&RolloutId(1)).unwrap();
        past.forth.add(AttemptId(2), end, NOW);
        assert_eq!(held_by(&device, &plan, NOW), [], "{end}");
    }
}

#[test]
fn retrying_the_failed_forgives_what_failed_up_to_then() {
    let plan = |retried: Option<i32>| {
        let change = |rollout: &mut Rollout| {
            rollout.spec.max_attempts = 2;
            rollout.retried_upto = retried.map(AttemptId);
        };
        with_load(change, load(0, 0), None)
    };
    let device = failed_now(3);
    assert_eq!(
        held_by(&device, &plan(None), NOW),
        [Rule::RetriesLeft, Rule::BackedOff]
    );
    let (outcome, said) = found(&device, &plan(None), NOW, Rule::RetriesLeft);
    assert_eq!(said, "3 of at most 2");
    assert!(outcome.is_lasting());
    assert_eq!(held_by(&device, &plan(Some(2)), NOW), [Rule::BackedOff]);
    assert_eq!(
        held_by(&device, &plan(Some(3)), NOW),
        [],
        "all are forgiven, and at once"
    );
}

/// One that says again and again that it came up on a release, and doesn't run it, is not offered it for ever.
#[test]
fn a_success_that_was_lost_again_uses_up_a_try() {
    let plan = with_load(|rollout| rollout.spec.max_attempts = 2, load(0, 0), None);
    let claims = |times: i32, release: i64| {
        let mut past = PastAttempts::default();
        for id in (1..=times).map(AttemptId) {
            past.forth.add(id, AttemptState::Succeeded, NOW);
            past.forth.add_brought(id, ReleaseId(release));
        }
        Device {
            past: [(RolloutId(1), past)].into(),
            ..device()
        }
    };
    assert!(begins(&claims(1, 1), &plan, NOW).is_some());
    assert_eq!(held_by(&claims(2, 1), &plan, NOW), [Rule::RetriesLeft]);
    assert!(
        begins(&claims(2, 9), &plan, NOW).is_some(),
        "steps to other releases are none"
    );
    let on_it = Device {
        version: "1.1.0".into(),
        ..claims(2, 1)
    };
    assert_eq!(
        held_by(&on_it, &plan, NOW),
        [Rule::NotOnIt],
        "it has nothing against it"
    );
}
