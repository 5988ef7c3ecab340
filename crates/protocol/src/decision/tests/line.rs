//! Two rollouts for one device, windows of groups, and what a person is told.

use super::*;
use crate::rule::WhoseWindow;

fn second(priority: i32) -> Rollout {
    let mut one = Rollout {
        id: RolloutId(2),
        ..rollout()
    };
    one.spec.name = "the other".into();
    one.spec.priority = priority;
    one
}

/// What each rollout says of whether another goes first.
fn in_line(device: &Device, rollouts: Vec<Rollout>) -> Vec<(i64, bool, String)> {
    let decision = decide(device, &plan_of(rollouts, release(), 0), NOW);
    let of = |one: &Consideration| {
        let last = one.outcomes.last().unwrap();
        assert_eq!(last.rule, Rule::GoesFirst);
        (one.rollout.0, last.passes, last.to_string())
    };
    decision.considered.iter().map(of).collect()
}

#[test]
fn the_other_says_who_goes_first() {
    let line = in_line(&device(), vec![rollout(), second(5)]);
    let first = "rollout 2 (the other) goes first".to_owned();
    assert_eq!(line, [(2, true, "yes".to_owned()), (1, false, first)]);
    // One that may not begin goes before nobody.
    let paused = Rollout {
        state: RolloutState::Paused,
        ..second(5)
    };
    let line = in_line(&device(), vec![rollout(), paused]);
    let first = "rollout 1 (r) goes first".to_owned();
    assert_eq!(line, [(2, false, first), (1, true, "yes".to_owned())]);
}

#[test]
fn the_other_says_what_is_under_way() {
    let open = |rollout| Device {
        attempt: Some(OpenAttempt {
            id: AttemptId(9),
            rollout: RolloutId(rollout),
            release: ReleaseId(1),
            purpose: AttemptPurpose::Update,
            state: AttemptState::Installing,
        }),
        ..device()
    };
    // Whatever its priority: what began goes on.
    let line = in_line(&open(1), vec![rollout(), second(5)]);
    let under_way = "rollout 1 (r) is under way on it".to_owned();
    assert_eq!(line, [(2, false, under_way), (1, true, "yes".to_owned())]);
    let line = in_line(&open(7), vec![rollout()]);
    let under_way = "rollout 7 is under way on it".to_owned();
    assert_eq!(
        line,
        [(1, false, under_way)],
        "one that is over has no name here"
    );
}

fn group(name: &str, start_minute: u16, end_minute: u16) -> Group {
    Group {
        name: GroupName::new(name).unwrap(),
        description: String::new(),
        selector: None,
        window: Some(Window {
            zone: Some("Europe/Helsinki".into()),
            spans: vec![WeeklySpan {
                days: Weekday::ALL.to_vec(),
                start_minute,
                end_minute,
            }],
            freezes: vec![],
        }),
    }
}

#[test]
fn windows_of_the_devices_groups_count_beside_the_rollouts() {
    let member = Device {
        group: Some(GroupName::new("shops").unwrap()),
        ..device()
    };
    // NOW is 02:00 in Helsinki.
    let groups = vec![group("shops", 22 * 60, 23 * 60), group("mills", 60, 120)];
    let plan = plan_for(rollout(), vec![release()], Load::default(), groups);
    assert!(begins(&device(), &plan, NOW).is_some(), "it is in neither");
    assert_eq!(held_by(&member, &plan, NOW), [Rule::WindowOpen]);
    let (outcome, said) = found(&member, &plan, NOW, Rule::WindowOpen);
    assert_eq!(
        said,
        "the window of group shops opens today at 22:00 Europe/Helsinki"
    );
    let opens_at: Timestamp = "2026-01-01T20:00:00Z".parse().unwrap();
    assert_eq!(outcome.changes_at(), Some(opens_at));
    assert_eq!(outcome.remedy(), Some("The window opens."));
    assert!(!outcome.is_lasting());
    assert!(begins(&member, &plan, opens_at).is_some());
}

#[test]
fn the_rollouts_window_is_named_first_and_both_are_waited_for() {
    let member = Device {
        group: Some(GroupName::new("shops").unwrap()),
        ..device()
    };
    let mut rollout = rollout();
    rollout.spec.window = group("any", 20 * 60, 24 * 60).window.unwrap();
    let groups = vec![group("shops", 22 * 60, 23 * 60)];
    let plan = plan_for(rollout.clone(), vec![release()], Load::default(), groups);
    let (outcome, _) = found(&member, &plan, NOW, Rule::WindowOpen);
    let Finding::WindowClosed {
        whose, opens_at, ..
    } = outcome.finding
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(whose, WhoseWindow::Rollout);
    assert_eq!(opens_at, Some("2026-01-01T20:00:00Z".parse().unwrap()));
    let never = vec![group("shops", 60, 120)];
    let plan = plan_for(rollout, vec![release()], Load::default(), never);
    let (_, said) = found(&member, &plan, NOW, Rule::WindowOpen);
    assert_eq!(said, "doesn't open within a year (Europe/Helsinki)");
}

#[test]
fn a_rollout_that_does_not_offer_says_what_it_waits_for() {
    let start = NOW.plus_sec(3600);
    let said = |state, starts_at| {
        let mut rollout = Rollout { state, ..rollout() };
        rollout.spec.starts_at = starts_at;
        let plan = plan_of(vec![rollout], release(), 0);
        let (outcome, said) = found(&device(), &plan, NOW, Rule::RolloutRunning);
        (said, outcome.changes_at())
    };
    let when = "starts 2026-01-01T01:00:00Z";
    assert_eq!(
        said(RolloutState::Scheduled, Some(start)),
        (format!("the rollout is scheduled, {when}"), Some(start))
    );
    // Nobody knows when somebody approves or resumes it.
    assert_eq!(
        said(RolloutState::AwaitingApproval, Some(start)),
        (format!("the rollout is awaiting approval, {when}"), None)
    );
    assert_eq!(
        said(RolloutState::Paused, Some(Timestamp(0))),
        ("the rollout is paused".to_owned(), None)
    );
}
