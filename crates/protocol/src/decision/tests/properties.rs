//! What holds for any device and any plan.

use proptest::prelude::*;

use super::*;
use crate::gate::Gate;
use crate::rollout::{CohortKind, Exclusions, Pace};

fn any_version() -> impl Strategy<Value = Version> {
    let versions = vec!["0.9.0", "1.0.0", "1.0.5", "1.1.0", "2.0.0", "autumn"];
    prop::sample::select(versions).prop_map(Version::from)
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    (
        prop::option::of(0u8..=100),
        any::<Option<bool>>(),
        any::<Option<bool>>(),
        prop::option::of(0u64..2000),
        prop::option::of(prop::sample::select(vec!["Europe/Helsinki", "No/Such"])),
    )
        .prop_map(
            |(battery_percent, on_mains, is_metered, free_bytes, time_zone)| Conditions {
                battery_percent,
                on_mains,
                is_metered,
                free_bytes,
                time_zone: time_zone.map(str::to_owned),
                ..Conditions::default()
            },
        )
}

fn any_past() -> impl Strategy<Value = PastAttempts> {
    (
        prop::collection::vec(
            (
                prop::sample::select(AttemptState::ALL.to_vec()),
                any::<bool>(),
            ),
            0..4,
        ),
        prop::option::of(0u32..3),
        prop::option::of(any_version()),
        any::<bool>(),
    )
        .prop_map(|(ends, phase, began_from, was_brought)| {
            let mut past = PastAttempts {
                phase,
                former: began_from.clone().filter(|_| was_brought),
                began_from,
                ..PastAttempts::default()
            };
            for ((end, is_back), id) in ends.into_iter().zip(1..) {
                let tries = if is_back {
                    &mut past.back
                } else {
                    &mut past.forth
                };
                tries.add(AttemptId(id), end, Timestamp(NOW.0 - 200_000));
                if end == AttemptState::Succeeded {
                    tries.add_brought(AttemptId(id), ReleaseId(1));
                }
            }
            past
        })
}

fn any_device() -> impl Strategy<Value = Device> {
    (
        "[a-z]{1,8}",
        any_version(),
        prop::sample::select(DeviceState::ALL.to_vec()),
        any_conditions(),
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        any_past(),
    )
        .prop_map(|(id, version, state, conditions, switches, past)| {
            let (is_held, is_pump, is_in_ring, is_new) = switches;
            Device {
                id: DeviceId::new(id).unwrap(),
                version,
                state,
                hold: is_held.then(|| "held".to_owned()),
                labels: is_pump
                    .then(|| ("function".to_owned(), "pump".to_owned()))
                    .into_iter()
                    .collect(),
                group: is_in_ring.then(|| GroupName::new("ring").unwrap()),
                enrolled_at: if is_new {
                    NOW.plus_sec(1)
                } else {
                    Timestamp(0)
                },
                conditions,
                past: [(RolloutId(1), past)].into(),
                ..device()
            }
        })
}

fn any_audience() -> impl Strategy<Value = Audience> {
    let share =
        || (0u32..=1_000_000).prop_map(|parts| Share::from_parts_per_million(parts).unwrap());
    let group = prop::sample::select(vec!["ring", "pumps", "gone"]);
    prop_oneof![
        4 => Just(Audience::All),
        1 => share().prop_map(|share| Audience::Percent { share }),
        1 => (share(), share()).prop_map(|(from, until)| Audience::Split { salt: "ab".into(), from, until }),
        1 => prop::collection::vec("[a-z]", 1..9).prop_map(|ids| Audience::Devices {
            devices: ids.iter().map(|id| DeviceId::new(id).unwrap()).collect(),
        }),
        1 => group.prop_map(|group| Audience::Group { group: GroupName::new(group).unwrap() }),
        1 => Just(Audience::Selector { selector: "function=pump".parse().unwrap() }),
    ]
}

fn any_phases() -> impl Strategy<Value = Vec<Phase>> {
    let scope = prop_oneof![
        (0u32..=1_000_000).prop_map(|parts| PhaseScope::Share {
            share: Share::from_parts_per_million(parts).unwrap()
        }),
        Just(PhaseScope::Group {
            group: GroupName::new("pumps").unwrap()
        }),
        (1u32..5).prop_map(|devices| PhaseScope::Count { devices }),
    ];
    let phase = scope.prop_map(|scope| Phase {
        name: "some".into(),
        scope,
        gate: Gate::default(),
    });
    prop::collection::vec(phase, 0..4)
}

/// Limits: in flight, of a batch, an hour's, of attempts; and the charge that is asked for.
type Limits = (Option<u32>, Option<u32>, Option<u32>, u32, Option<u8>);

fn any_limits() -> impl Strategy<Value = Limits> {
    (
        prop::option::of(1u32..5),
        prop::option::of(1u32..4),
        prop::option::of(1u32..50),
        1u32..4,
        prop::option::of(0u8..=100),
    )
}

fn any_rollout() -> impl Strategy<Value = Rollout> {
    (
        (prop::sample::select(RolloutState::ALL.to_vec()), 0u32..4),
        any_phases(),
        (any_audience(), any::<bool>()),
        any_limits(),
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        prop::option::of(0i32..4),
    )
        .prop_map(
            |((state, current_phase), phases, (audience, excludes), limits, switches, retried)| {
                let (allow_downgrade, frozen, is_spread, has_window) = switches;
                let mut one = Rollout {
                    state,
                    current_phase,
                    retried_upto: retried.map(AttemptId),
                    ..rollout()
                };
                let spec = &mut one.spec;
                (spec.phases, spec.audience) = (phases, audience);
                (spec.allow_downgrade, spec.frozen) = (allow_downgrade, frozen);
                (spec.max_in_flight, spec.batch_size, spec.max_attempts) =
                    (limits.0, limits.1, limits.3);
                spec.pace = limits.2.map(|per_hour| Pace {
                    per_hour,
                    growth: None,
                });
                spec.requirements.min_battery_percent = limits.4;
                if is_spread {
                    spec.cohort = CohortKind::Spread;
                }
                if excludes {
                    spec.exclude = Exclusions {
                        groups: vec![GroupName::new("ring").unwrap()],
                        ..Exclusions::default()
                    };
                }
                if has_window {
                    spec.window.spans = vec![WeeklySpan {
                        days: vec![Weekday::Thursday],
                        start_minute: 1320,
                        end_minute: 120,
                    }];
                }
                one
            },
        )
}

fn any_load() -> impl Strategy<Value = Load> {
    let phase = (0u64..6, 0u64..6, 0u64..6).prop_map(|(begun, devices, under_way)| PhaseLoad {
        begun,
        devices,
        under_way,
    });
    let next = prop::option::of(-5_000i64..5_000);
    (prop::collection::vec(phase, 0..5), next).prop_map(|(phases, next)| Load {
        phases,
        next_grant_at: next.map(|ms| Timestamp(NOW.0 + ms)),
    })
}

/// A plan with a release on the way to the rollout's, and what most ran before.
fn any_plan() -> impl Strategy<Value = (Rollout, Load, bool)> {
    (any_rollout(), any_load(), any::<bool>())
}

fn plan((rollout, load, needs_step): (Rollout, Load, bool)) -> Plan {
    let releases = vec![
        numbered(1, "1.1.0", needs_step.then_some("1.0.5")),
        numbered(2, "1.0.5", None),
        numbered(3, "1.0.0", None),
    ];
    let night = Window {
        spans: vec![WeeklySpan {
            days: Weekday::ALL.to_vec(),
            start_minute: 0,
            end_minute: 60,
        }],
        ..Window::default()
    };
    let group = |name, selector: Option<&str>, window| Group {
        name: GroupName::new(name).unwrap(),
        description: String::new(),
        selector: selector.map(|text| text.parse().unwrap()),
        window,
    };
    let groups = vec![
        group("pumps", Some("function=pump"), None),
        group("ring", None, Some(night)),
    ];
    plan_for(rollout, releases, load, groups)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    /// Whatever the device and the plan: an answer, the same each time, and `begin` exactly when no rule objects.
    #[test]
    fn total_and_deterministic(device in any_device(), parts in any_plan(), near in any::<bool>(), now in any::<i64>()) {
        let now = if near { NOW } else { Timestamp(now) };
        let plan = plan(parts);
        let decision = decide(&device, &plan, now);
        prop_assert_eq!(&decision, &decide(&device, &plan, now));
        let outcomes = &decision.considered[0].outcomes;
        prop_assert!(outcomes.iter().map(|outcome| outcome.rule).eq(Rule::ALL));
        let begins = matches!(decision.action, Action::Begin { .. });
        prop_assert_eq!(begins, decision.considered[0].passes());
        for outcome in outcomes {
            prop_assert!(!outcome.to_string().is_empty());
            prop_assert_eq!(outcome.remedy().is_none(), outcome.passes);
            prop_assert!(!outcome.passes || outcome.changes_at().is_none());
        }
    }

    /// Whatever begins is a published release for the model, in a phase that is open, of a rollout that offers.
    #[test]
    fn what_begins_may_begin(device in any_device(), parts in any_plan()) {
        let rollout = parts.0.clone();
        let plan = plan(parts);
        if let Some((release, purpose, phase)) = begins(&device, &plan, NOW) {
            prop_assert!(plan.release(release).is_some());
            prop_assert!(device.hold.is_none() && device.state == DeviceState::Accepted);
            let goes_back = purpose == AttemptPurpose::RollBack;
            let state = if goes_back { RolloutState::RollingBack } else { RolloutState::Running };
            prop_assert_eq!(rollout.state, state);
            if goes_back {
                prop_assert_eq!(phase as usize, rollout.spec.phases.len());
                prop_assert_eq!(device.version.as_str(), "1.1.0");
            } else {
                prop_assert!(phase <= rollout.current_phase);
                prop_assert_ne!(device.version.as_str(), "1.1.0");
            }
        }
    }

    /// Whoever weighs a whole fleet finds what the decision finds: each blocker, and the phase.
    #[test]
    fn weighing_finds_what_considering_finds(devices in prop::collection::vec(any_device(), 1..4), parts in any_plan()) {
        let plan = plan(parts);
        let planned = plan.rollouts()[0].clone();
        let weigher = Weigher::new(plan.clone(), planned.clone(), NOW);
        for device in devices {
            let weighed = weigher.weigh(&device);
            let considered = consider(&device, &plan, &planned, NOW);
            prop_assert_eq!(weighed.purpose, considered.purpose);
            prop_assert_eq!(weighed.awaits(), considered.awaits());
            let blockers: Vec<Outcome> = considered.blockers().cloned().collect();
            prop_assert_eq!(weighed.blockers, blockers);
            if weighed.purpose != AttemptPurpose::RollBack {
                prop_assert_eq!(weighed.phase, phase_of(&device, &plan, &planned));
            }
        }
    }

    /// The next phase never takes a device out again.
    #[test]
    fn opening_a_phase_only_adds_devices(device in any_device(), parts in any_plan()) {
        let (rollout, load, needs_step) = parts;
        let next = Rollout { current_phase: rollout.current_phase + 1, ..rollout.clone() };
        let begins = |rollout| begins(&device, &plan((rollout, load.clone(), needs_step)), NOW);
        let before = begins(rollout);
        prop_assert!(before.is_none() || before == begins(next));
    }

    /// What is said to change at a time has changed by then, as far as that rule goes.
    #[test]
    fn what_changes_at_a_time_has_changed_then(device in any_device(), parts in any_plan()) {
        let plan = plan(parts);
        for outcome in &decide(&device, &plan, NOW).considered[0].outcomes {
            if let Some(at) = outcome.changes_at() {
                prop_assert!(at > NOW);
                let (then, words) = found(&device, &plan, at, outcome.rule);
                let is_over = then.passes || then.changes_at().is_none();
                prop_assert!(is_over, "{:?}: {}", outcome.rule, words);
            }
        }
    }
}
