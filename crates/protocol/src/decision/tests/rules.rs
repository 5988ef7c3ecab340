//! Each rule alone, and what goes before what.

use super::*;

#[test]
fn a_plain_device_begins() {
    let decision = decide(&device(), &plan_of(vec![rollout()], release(), 0), NOW);
    assert_eq!(
        decision.action,
        Action::Begin {
            rollout: RolloutId(1),
            release: ReleaseId(1),
            purpose: AttemptPurpose::Update,
            phase: 1
        }
    );
    assert_eq!(
        decision.considered[0].outcomes.len(),
        Rule::ALL.len(),
        "every rule is walked"
    );
}

/// Each rule, alone, holds the device back.
#[test]
fn each_rule_stands_alone() {
    let with = |change: &dyn Fn(&mut Device, &mut Rollout, &mut Release)| {
        let (mut device, mut rollout, mut release) = (device(), rollout(), release());
        change(&mut device, &mut rollout, &mut release);
        blockers(&device, rollout, release)
    };
    let require = |rollout: &mut Rollout, requirements| rollout.spec.requirements = requirements;
    let none = Requirements::default();
    assert_eq!(
        with(&|d, _, _| d.state = DeviceState::Revoked),
        [Rule::Accepted]
    );
    assert_eq!(
        with(&|_, _, r| r.state = ReleaseState::Withdrawn),
        [Rule::ModelFits]
    );
    assert_eq!(
        with(&|_, _, r| r.release_counter = None),
        [Rule::DialectFits],
        "nobody signed it, and the device verifies"
    );
    assert_eq!(
        with(&|d, _, _| d.dialect = Dialect::Firmware),
        [Rule::DialectFits],
        "it is a bundle, and the device takes firmware"
    );
    assert_eq!(with(&|d, _, _| d.version = "1.1.0".into()), [Rule::NotOnIt]);
    assert_eq!(
        with(&|d, _, _| d.version = "2.0.0".into()),
        [Rule::NotADowngrade]
    );
    assert_eq!(
        with(&|_, _, r| r.min_version = Some("1.0.5".into())),
        [Rule::MinVersion]
    );
    assert_eq!(
        with(&|_, _, r| r.min_bootloader_version = Some("2".into())),
        [Rule::MinBootloaderVersion]
    );
    assert_eq!(
        with(&|_, r, _| r.state = RolloutState::Paused),
        [Rule::RolloutRunning]
    );
    assert_eq!(
        with(&|_, r, _| r.spec.starts_at = Some(NOW.plus_sec(1))),
        [Rule::RolloutRunning]
    );
    let nobody = Audience::Selector {
        selector: "function=pump".parse().unwrap(),
    };
    assert_eq!(
        with(&|_, r, _| r.spec.audience = nobody.clone()),
        [Rule::InAudience]
    );
    assert_eq!(with(&|_, r, _| r.current_phase = 0), [Rule::InOpenPhase]);
    // 2026-01-01 is a Thursday.
    let span = WeeklySpan {
        days: vec![Weekday::Friday],
        start_minute: 60,
        end_minute: 120,
    };
    let window = Window {
        zone: None,
        spans: vec![span],
        freezes: vec![],
    };
    assert_eq!(
        with(&|_, r, _| r.spec.window = window.clone()),
        [Rule::WindowOpen]
    );
    assert_eq!(
        with(&|d, r, _| {
            d.conditions.battery_percent = Some(20);
            require(
                r,
                Requirements {
                    min_battery_percent: Some(30),
                    ..none
                },
            );
        }),
        [Rule::Battery]
    );
    assert_eq!(
        with(&|d, r, _| {
            d.conditions.on_mains = Some(false);
            require(
                r,
                Requirements {
                    needs_mains: true,
                    ..none
                },
            );
        }),
        [Rule::Power]
    );
    assert_eq!(
        with(&|d, r, _| {
            d.conditions.is_metered = Some(true);
            require(
                r,
                Requirements {
                    avoids_metered: true,
                    ..none
                },
            );
        }),
        [Rule::MeteredLink]
    );
    assert_eq!(
        with(&|d, _, _| d.conditions.free_bytes = Some(999)),
        [Rule::Storage]
    );
    assert_eq!(
        with(&|d, r, _| {
            d.conditions.crashes_since_boot = Some(3);
            require(
                r,
                Requirements {
                    max_crashes: Some(2),
                    ..none
                },
            );
        }),
        [Rule::Stable]
    );
    let failed = failed_times(1);
    assert_eq!(
        with(&|d, _, _| d.past = [(RolloutId(1), failed.clone())].into()),
        [Rule::RetriesLeft]
    );
    assert_eq!(
        with(&|d, _, _| d.hold = Some("broken fan".into())),
        [Rule::NotHeld]
    );
    let mut limited = rollout();
    limited.spec.max_in_flight = Some(3);
    let decision = decide(&device(), &plan_of(vec![limited], release(), 3), NOW);
    assert_eq!(
        decision.considered[0]
            .blockers()
            .map(|o| o.rule)
            .collect::<Vec<_>>(),
        [Rule::InFlightLimit]
    );
}

#[test]
fn a_required_release_passes_over_metered_links_only() {
    let mut device = device();
    device.conditions = Conditions {
        is_metered: Some(true),
        free_bytes: Some(0),
        ..Conditions::default()
    };
    let mut rollout = rollout();
    rollout.spec.requirements.avoids_metered = true;
    assert_eq!(
        blockers(
            &device,
            rollout,
            Release {
                required: true,
                ..release()
            }
        ),
        [Rule::Storage]
    );
}

#[test]
fn other_models_are_not_considered() {
    let device = Device {
        model: Model::new("esp32").unwrap(),
        ..device()
    };
    let decision = decide(&device, &plan_of(vec![rollout()], release(), 0), NOW);
    assert_eq!(
        (decision.action, decision.considered),
        (Action::Wait, vec![])
    );
}

#[test]
fn priority_then_the_newer_wins() {
    let numbered = |id, priority| {
        let mut one = Rollout {
            id: RolloutId(id),
            ..rollout()
        };
        one.spec.priority = priority;
        one
    };
    let chosen = |rollouts| match decide(&device(), &plan_of(rollouts, release(), 0), NOW).action {
        Action::Begin { rollout, .. } => rollout.0,
        other => panic!("{other:?}"),
    };
    assert_eq!(chosen(vec![numbered(1, 0), numbered(2, 0)]), 2);
    assert_eq!(chosen(vec![numbered(1, 5), numbered(2, 0)]), 1);
}

#[test]
fn an_attempt_goes_on_through_a_pause_and_ends_with_its_rollout() {
    let open = OpenAttempt {
        id: AttemptId(9),
        rollout: RolloutId(1),
        release: ReleaseId(1),
        purpose: AttemptPurpose::Update,
        state: crate::AttemptState::Downloading,
    };
    let device = Device {
        attempt: Some(open),
        ..device()
    };
    let paused = Rollout {
        state: RolloutState::Paused,
        ..rollout()
    };
    let go_on = || Action::Continue {
        attempt: AttemptId(9),
        release: ReleaseId(1),
    };
    assert_eq!(
        decide(&device, &plan_of(vec![paused], release(), 0), NOW).action,
        go_on()
    );
    assert_eq!(
        decide(&device, &plan_of(vec![], release(), 0), NOW).action,
        go_on(),
        "its rollout came to its end"
    );
    let taken_back = plan_of(vec![], release(), 0).taking_back([RolloutId(1)].into());
    assert_eq!(
        decide(&device, &taken_back, NOW).action,
        Action::Cancel {
            attempt: AttemptId(9)
        }
    );
    let revoked = Device {
        state: DeviceState::Revoked,
        ..device
    };
    let action = decide(&revoked, &plan_of(vec![rollout()], release(), 0), NOW).action;
    assert_eq!(
        action,
        Action::Cancel {
            attempt: AttemptId(9)
        }
    );
}

/// On the plain firmware API, signed or not, only the newest firmware of a model is offered; on the way back, any.
#[test]
fn the_plain_firmware_api_carries_the_newest_firmware() {
    let device = Device {
        dialect: Dialect::Firmware,
        ..device()
    };
    let firmware = |id: i64, version: &str| {
        let mut release = release();
        release.id = ReleaseId(id);
        release.version = version.into();
        release.release_counter = None;
        release.artifacts[0].kind = ArtifactKind::Firmware;
        Arc::new(release)
    };
    let considered = |releases: Vec<Arc<Release>>| {
        let planned = PlannedRollout {
            rollout: Arc::new(rollout()),
            release: releases[0].clone(),
            load: Load::default(),
        };
        let plan = Plan::new(vec![planned], releases, vec![]);
        decide(&device, &plan, NOW).considered.remove(0)
    };
    let alone = considered(vec![firmware(1, "1.1.0")]);
    assert!(alone.passes(), "{alone:?}");
    let followed = considered(vec![firmware(1, "1.1.0"), firmware(2, "1.0.9")]);
    let blockers: Vec<String> = followed.blockers().map(ToString::to_string).collect();
    assert_eq!(
        blockers,
        ["the plain firmware API offers only the newest release, and that is 1.0.9"]
    );
}
