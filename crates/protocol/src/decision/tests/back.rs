//! Rollouts that roll back: each device goes back to what it ran before.

use super::*;

fn rolling_back() -> Rollout {
    Rollout {
        state: RolloutState::RollingBack,
        ..rollout()
    }
}

/// A device that the rollout brought from a version to its own.
fn updated(former: &str) -> Device {
    let past = PastAttempts {
        phase: Some(0),
        began_from: Some(former.into()),
        former: Some(former.into()),
        ..PastAttempts::default()
    };
    Device {
        version: "1.1.0".into(),
        past: [(RolloutId(1), past)].into(),
        ..device()
    }
}

fn plan_back(rollout: Rollout) -> Plan {
    let releases = vec![numbered(1, "1.1.0", None), numbered(2, "1.0.0", None)];
    plan_for(rollout, releases, Load::default(), vec![])
}

const BACK: AttemptPurpose = AttemptPurpose::RollBack;

#[test]
fn it_goes_back_to_what_it_ran_though_that_is_older() {
    let plan = plan_back(rolling_back());
    let device = updated("1.0.0");
    // The way back comes after the two phases.
    assert_eq!(begins(&device, &plan, NOW), Some((ReleaseId(2), BACK, 2)));
    let (_, said) = found(&device, &plan, NOW, Rule::NotOnIt);
    assert_eq!(said, "goes back to 1.0.0");
}

#[test]
fn what_it_ran_must_still_be_had() {
    let plan = plan_back(rolling_back());
    let device = updated("0.7.0");
    assert_eq!(held_by(&device, &plan, NOW), [Rule::ModelFits]);
    let (outcome, said) = found(&device, &plan, NOW, Rule::ModelFits);
    assert_eq!(
        said,
        "ran 0.7.0 before, and there is no published release of it for its model"
    );
    assert_eq!(
        outcome.remedy(),
        Some("A published release of that version for its model; or another rollout.")
    );
    assert!(outcome.is_lasting());
}

#[test]
fn of_two_releases_of_one_version_the_newer_is_taken() {
    let mut releases = vec![numbered(1, "1.1.0", None)];
    releases.extend((2..40).map(|id| numbered(id, "1.0.0", None)));
    let plan = plan_for(rolling_back(), releases, Load::default(), vec![]);
    assert_eq!(
        begins(&updated("1.0.0"), &plan, NOW),
        Some((ReleaseId(39), BACK, 2))
    );
}

#[test]
fn who_was_not_updated_has_nothing_to_go_back_from() {
    let plan = plan_back(rolling_back());
    assert_eq!(
        held_by(&device(), &plan, NOW),
        [Rule::ModelFits, Rule::NotOnIt, Rule::InAudience]
    );
    let (_, said) = found(&device(), &plan, NOW, Rule::ModelFits);
    assert_eq!(
        said,
        "the rollout didn't update it, so there is nothing to go back from"
    );
    let (_, said) = found(&device(), &plan, NOW, Rule::InAudience);
    assert_eq!(said, "the rollout is for the devices that it updated");
}

#[test]
fn who_moved_on_or_went_back_stays() {
    let plan = plan_back(rolling_back());
    for version in ["1.0.0", "3.0.0"] {
        let device = Device {
            version: version.into(),
            ..updated("1.0.0")
        };
        assert_eq!(held_by(&device, &plan, NOW), [Rule::NotOnIt], "{version}");
        assert!(!decide(&device, &plan, NOW).considered[0].awaits());
    }
}

/// One that was given up as silent and came up all the same is on what is taken back.
#[test]
fn who_came_up_unheard_goes_back_too() {
    let mut device = updated("1.0.0");
    let past = device.past.get_mut(&RolloutId(1)).unwrap();
    past.former = None;
    past.forth.add(AttemptId(1), AttemptState::TimedOut, NOW);
    let plan = plan_back(rolling_back());
    assert_eq!(begins(&device, &plan, NOW), Some((ReleaseId(2), BACK, 2)));
    device.version = "1.0.0".into();
    assert!(begins(&device, &plan, NOW).is_none());
}

#[test]
fn safety_still_counts_on_the_way_back() {
    let mut rollout = rolling_back();
    rollout.spec.requirements.min_battery_percent = Some(30);
    rollout.spec.max_in_flight = Some(1);
    rollout.spec.window.spans = vec![WeeklySpan {
        days: vec![Weekday::Friday],
        start_minute: 60,
        end_minute: 120,
    }];
    let mut device = updated("1.0.0");
    device.hold = Some("in the shop".into());
    device.conditions.battery_percent = Some(10);
    let plan = plan_back(rollout).with_load(RolloutId(1), |load| {
        load.phases = vec![PhaseLoad::default(); 3];
        load.phases[2].under_way = 1;
    });
    assert_eq!(
        held_by(&device, &plan, NOW),
        [
            Rule::WindowOpen,
            Rule::Battery,
            Rule::InFlightLimit,
            Rule::NotHeld
        ]
    );
}

#[test]
fn failures_forth_do_not_count_on_the_way_back() {
    let plan = plan_back(rolling_back());
    let mut device = updated("1.0.0");
    let past = device.past.get_mut(&RolloutId(1)).unwrap();
    past.forth = failed_times(4).forth;
    assert!(begins(&device, &plan, NOW).is_some());
    let past = device.past.get_mut(&RolloutId(1)).unwrap();
    past.back = failed_times(1).forth;
    assert_eq!(held_by(&device, &plan, NOW), [Rule::RetriesLeft]);
}

#[test]
fn audience_and_exclusions_do_not_keep_it_from_going_back() {
    let mut rollout = rolling_back();
    rollout.spec.audience = Audience::Selector {
        selector: "function=pump".parse().unwrap(),
    };
    rollout.spec.exclude.devices = vec![device().id];
    rollout.spec.frozen = true;
    assert!(begins(&updated("1.0.0"), &plan_back(rollout), NOW).is_some());
}

#[test]
fn what_was_on_its_way_forth_is_given_up() {
    let open = |purpose| Device {
        attempt: Some(OpenAttempt {
            id: AttemptId(9),
            rollout: RolloutId(1),
            release: ReleaseId(1),
            purpose,
            state: AttemptState::Downloading,
        }),
        ..updated("1.0.0")
    };
    let plan = plan_back(rolling_back());
    let action = |purpose| decide(&open(purpose), &plan, NOW).action;
    let cancel = Action::Cancel {
        attempt: AttemptId(9),
    };
    assert_eq!(action(AttemptPurpose::Update), cancel);
    assert_eq!(action(AttemptPurpose::Step), cancel);
    assert!(matches!(action(BACK), Action::Continue { .. }));
}
