use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::device::{Conditions, OpenAttempt, PastAttempts};
use crate::digest::Sha256Digest;
use crate::gate::Gate;
use crate::group::Group;
use crate::id::{AttemptId, DeviceId, GroupName, Model};
use crate::release::ReleaseState;
use crate::release::{Artifact, ArtifactKind, Release};
use crate::rollout::{Phase, Requirements, Rollout, RolloutSpec, RolloutState};
use crate::rule::Rule;
use crate::share::Share;
use crate::window::{Weekday, WeeklySpan, Window};

const NOW: Timestamp = Timestamp(1_767_225_600_000);

fn release() -> Release {
    let artifact = Artifact {
        sha256: Sha256Digest([7; 32]),
        size: 1000,
        kind: ArtifactKind::Bundle,
        models: vec![Model::new("rpi4").unwrap()],
    };
    Release {
        id: ReleaseId(1),
        version: "1.1.0".into(),
        notes: String::new(),
        state: ReleaseState::Published,
        min_version: None,
        min_bootloader_version: None,
        required: false,
        release_counter: Some(1),
        artifacts: vec![artifact],
        created_at: NOW,
        published_at: Some(NOW),
    }
}

fn rollout() -> Rollout {
    let phase = |percent: f64| Phase {
        name: format!("{percent}"),
        scope: PhaseScope::Share {
            share: Share::percent(percent).unwrap(),
        },
        gate: Gate::default(),
    };
    let spec = serde_json::json!({"name": "r", "release": 1, "phases": []});
    let spec = RolloutSpec {
        phases: vec![phase(5.0), phase(100.0)],
        ..serde_json::from_value(spec).unwrap()
    };
    Rollout {
        id: RolloutId(1),
        spec,
        state: RolloutState::Running,
        state_reason: None,
        current_phase: 1,
        sampled_at: None,
        created_at: NOW,
        created_by: "user:a".into(),
        started_at: Some(NOW),
        finished_at: None,
    }
}

fn device() -> Device {
    Device {
        id: DeviceId::new("device-001").unwrap(),
        model: Model::new("rpi4").unwrap(),
        version: "1.0.0".into(),
        bootloader_version: None,
        state: DeviceState::Accepted,
        hold: None,
        group: None,
        labels: BTreeMap::new(),
        metadata: BTreeMap::new(),
        conditions: Conditions::default(),
        attempt: None,
        past: BTreeMap::new(),
    }
}

fn plan_of(rollouts: Vec<Rollout>, release: Release, in_flight: u32) -> Plan {
    let release = Arc::new(release);
    let planned = rollouts
        .into_iter()
        .map(|rollout| PlannedRollout {
            rollout: Arc::new(rollout),
            release: release.clone(),
            in_flight,
        })
        .collect();
    let group = Group {
        name: GroupName::new("pumps").unwrap(),
        description: String::new(),
        selector: Some("function=pump".parse().unwrap()),
    };
    Plan::new(planned, vec![release], vec![group])
}

fn blockers(device: &Device, rollout: Rollout, release: Release) -> Vec<Rule> {
    let decision = decide(device, &plan_of(vec![rollout], release, 0), NOW);
    decision.considered[0]
        .blockers()
        .map(|outcome| outcome.rule)
        .collect()
}

#[test]
fn a_plain_device_begins() {
    let decision = decide(&device(), &plan_of(vec![rollout()], release(), 0), NOW);
    assert_eq!(
        decision.action,
        Action::Begin {
            rollout: RolloutId(1),
            release: ReleaseId(1),
            phase: 1
        }
    );
    assert_eq!(
        decision.considered[0].outcomes.len(),
        18,
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
    let failed = PastAttempts {
        failures: 1,
        last: None,
    };
    assert_eq!(
        with(&|d, _, _| d.past = [(RolloutId(1), failed)].into()),
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
    let go_on = Action::Continue {
        attempt: AttemptId(9),
        release: ReleaseId(1),
    };
    assert_eq!(
        decide(&device, &plan_of(vec![paused], release(), 0), NOW).action,
        go_on
    );
    assert_eq!(
        decide(&device, &plan_of(vec![], release(), 0), NOW).action,
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

fn any_device() -> impl Strategy<Value = Device> {
    let versions = prop_oneof![
        Just("0.9.0"),
        Just("1.0.0"),
        Just("1.1.0"),
        Just("2.0.0"),
        Just("autumn")
    ];
    let conditions = (
        prop::option::of(0u8..=100),
        any::<Option<bool>>(),
        any::<Option<bool>>(),
        prop::option::of(0u64..2000),
    );
    let state = prop::sample::select(DeviceState::ALL.to_vec());
    (
        "[a-z]{1,8}",
        versions,
        state,
        conditions,
        any::<Option<bool>>(),
        0u32..3,
    )
        .prop_map(
            |(
                id,
                version,
                state,
                (battery_percent, on_mains, is_metered, free_bytes),
                hold,
                failures,
            )| Device {
                id: DeviceId::new(id).unwrap(),
                version: version.into(),
                state,
                hold: hold.map(|_| "held".to_owned()),
                conditions: Conditions {
                    battery_percent,
                    on_mains,
                    is_metered,
                    free_bytes,
                    ..Conditions::default()
                },
                past: [(
                    RolloutId(1),
                    PastAttempts {
                        failures,
                        last: None,
                    },
                )]
                .into(),
                ..device()
            },
        )
}

fn any_rollout() -> impl Strategy<Value = Rollout> {
    let state = prop::sample::select(RolloutState::ALL.to_vec());
    (
        state,
        0u32..3,
        1u32..3,
        any::<bool>(),
        prop::option::of(1u32..5),
        prop::option::of(0u8..=100),
    )
        .prop_map(
            |(
                state,
                current_phase,
                max_attempts,
                allow_downgrade,
                max_in_flight,
                min_battery_percent,
            )| {
                let mut one = Rollout {
                    state,
                    current_phase,
                    ..rollout()
                };
                one.spec.max_attempts = max_attempts;
                one.spec.allow_downgrade = allow_downgrade;
                one.spec.max_in_flight = max_in_flight;
                one.spec.requirements.min_battery_percent = min_battery_percent;
                one
            },
        )
}

proptest! {
    /// Whatever the device and the plan: an answer, the same each time, and `begin` exactly when no rule objects.
    #[test]
    fn total_and_deterministic(device in any_device(), rollout in any_rollout(), in_flight in 0u32..6, now in any::<i64>()) {
        let plan = plan_of(vec![rollout], release(), in_flight);
        let decision = decide(&device, &plan, Timestamp(now));
        prop_assert_eq!(&decision, &decide(&device, &plan, Timestamp(now)));
        prop_assert_eq!(decision.considered[0].outcomes.len(), 18);
        let begins = matches!(decision.action, Action::Begin { .. });
        prop_assert_eq!(begins, decision.considered[0].passes());
        for outcome in &decision.considered[0].outcomes {
            prop_assert!(!outcome.to_string().is_empty());
        }
    }

    /// A larger share never takes a device out again.
    #[test]
    fn opening_a_phase_only_adds_devices(device in any_device(), rollout in any_rollout()) {
        let next = Rollout { current_phase: rollout.current_phase + 1, ..rollout.clone() };
        let begins = |rollout| matches!(decide(&device, &plan_of(vec![rollout], release(), 0), NOW).action, Action::Begin { .. });
        prop_assert!(!begins(rollout) || begins(next));
    }
}
