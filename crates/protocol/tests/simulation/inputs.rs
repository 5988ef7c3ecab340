//! Random fleets, plans and orders.

use std::ops::RangeInclusive;

use otter_protocol::Share;
use otter_protocol::gate::{Gate, Judgement};
use otter_protocol::id::{DeviceId, GroupName, ReleaseId};
use otter_protocol::rollout::{
    Audience, CohortKind, Exclusions, Growth, OnBreach, Pace, Phase, PhaseScope, RolloutSpec,
};
use otter_protocol::window::{Weekday, WeeklySpan, Window};
use proptest::prelude::*;

use crate::things::{Behaviour, ThingInput};

/// What a person orders.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    Pause,
    Resume,
    ApproveGate,
    SkipGate,
    Abort { takes_back: bool },
    RollBack,
    RetryFailed,
}

/// Everything that makes up a world.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) specs: Vec<RolloutSpec>,
    pub(crate) things: Vec<ThingInput>,
    /// The first rollout's release can't be installed over the first of all.
    pub(crate) needs_step: bool,
    pub(crate) ring_window: Option<Window>,
    /// Minutes between two looks of the engine.
    pub(crate) tick_min: i64,
    /// How old, in minutes, a plan may be.
    pub(crate) stale_min: i64,
    /// When, to which rollout, what.
    pub(crate) orders: Vec<(i64, usize, Order)>,
    /// Minutes until somebody goes on with what is paused or waits.
    pub(crate) attended_min: Option<i64>,
    pub(crate) seed: u64,
}

pub(crate) const RINGS: [&str; 2] = ["canary", "pilot"];

pub(crate) fn ring(place: usize) -> GroupName {
    GroupName::new(RINGS[place % RINGS.len()]).unwrap()
}

pub(crate) fn device_id(seed: u64, place: usize) -> DeviceId {
    DeviceId::new(format!("d-{}-{place}", seed % 100_000)).unwrap()
}

fn percent(percent: u8) -> Share {
    Share::percent(f64::from(percent)).unwrap()
}

fn any_thing() -> impl Strategy<Value = ThingInput> {
    let behaviour = prop_oneof![
        8 => Just(Behaviour::Good),
        1 => Just(Behaviour::Failing),
        1 => Just(Behaviour::Returning),
        1 => (1u32..3).prop_map(Behaviour::Flapping),
        1 => Just(Behaviour::Silent),
        1 => Just(Behaviour::Gone),
        1 => Just(Behaviour::Late),
        1 => Just(Behaviour::Lying),
        1 => Just(Behaviour::Sickly),
    ];
    let zone = prop::sample::select(vec![
        None,
        Some("America/New_York"),
        Some("Australia/Lord_Howe"),
    ]);
    (
        behaviour,
        prop_oneof![20i64..60, 60i64..200],
        prop_oneof![4 => Just(0i64), 1 => 0i64..1500],
        prop::option::weighted(0.2, (0i64..2000, 100i64..4000)),
        zone,
        prop::option::of(0usize..2),
        prop::sample::select(vec!["1.0.0", "1.0.0", "1.0.0", "1.5.0", "2.0.0"]),
        prop::option::weighted(0.2, 10u8..=100),
    )
        .prop_map(
            |(behaviour, poll_min, joins_min, away, zone, ring, runs, battery_percent)| {
                ThingInput {
                    behaviour,
                    poll_min,
                    joins_min,
                    away: away.map(|(from, minutes)| (from, from + minutes)),
                    zone,
                    ring,
                    runs,
                    battery_percent,
                }
            },
        )
}

fn any_gate() -> impl Strategy<Value = Gate> {
    let limit = || prop::option::weighted(0.4, (1u8..60).prop_map(percent));
    (
        prop::option::of(0u32..6),
        prop::sample::select(vec![0u64, 0, 600, 7200]),
        (limit(), limit(), limit(), limit()),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(min_finished, soak_sec, limits, is_point, needs_approval)| Gate {
                min_finished,
                soak_sec,
                max_failure_rate: limits.0,
                max_rollback_rate: limits.1,
                max_silence_rate: limits.2,
                max_unhealthy_rate: limits.3,
                judgement: if is_point {
                    Judgement::Point
                } else {
                    Judgement::Confident
                },
                needs_approval,
            },
        )
}

/// Phases whose shares rise; where `is_whole`, the last is everybody.
fn any_phases(is_whole: bool) -> impl Strategy<Value = Vec<Phase>> {
    let scope = prop_oneof![
        3 => (1u8..60).prop_map(|share| PhaseScope::Share { share: percent(share) }),
        1 => (0usize..2).prop_map(|place| PhaseScope::Group { group: ring(place) }),
        1 => (1u32..5).prop_map(|devices| PhaseScope::Count { devices }),
    ];
    prop::collection::vec((scope, any_gate()), 1..4).prop_map(move |mut scopes| {
        let mut shares: Vec<Share> = scopes
            .iter()
            .filter_map(|(scope, _)| match scope {
                PhaseScope::Share { share } => Some(*share),
                _ => None,
            })
            .collect();
        shares.sort();
        let mut rising = shares.iter().zip(1u32..);
        for (scope, _) in &mut scopes {
            if let PhaseScope::Share { share } = scope {
                // A millionth more each, where two are alike.
                let (next, more) = rising.next().unwrap();
                *share = Share::from_parts_per_million(next.parts_per_million() + more).unwrap();
            }
        }
        if is_whole {
            let all = PhaseScope::Share { share: Share::ALL };
            scopes.push((all, Gate::default()));
        }
        let named = |((scope, gate), number): ((PhaseScope, Gate), usize)| Phase {
            name: format!("phase {number}"),
            scope,
            gate,
        };
        scopes.into_iter().zip(1..).map(named).collect()
    })
}

fn any_window() -> impl Strategy<Value = Window> {
    let span = (0u16..1440, 240u16..1200).prop_map(|(start_minute, length)| WeeklySpan {
        days: Weekday::ALL.to_vec(),
        start_minute,
        end_minute: (start_minute + length) % 1440,
    });
    let zone = prop::sample::select(vec![None, Some("Europe/Helsinki".to_owned())]);
    (zone, prop::collection::vec(span, 1..3)).prop_map(|(zone, spans)| Window {
        zone,
        spans: spans
            .into_iter()
            .filter(|span| span.start_minute != span.end_minute)
            .collect(),
        freezes: vec![],
    })
}

fn any_pace() -> impl Strategy<Value = Pace> {
    let growth = prop::option::of((1u32..4, 10u32..60));
    (2u32..30, growth).prop_map(|(per_hour, growth)| Pace {
        per_hour,
        growth: growth.map(|(every_successes, more)| Growth {
            factor: 1.5,
            every_successes,
            max_per_hour: per_hour + more,
        }),
    })
}

fn any_audience(seed: u64) -> impl Strategy<Value = (Audience, Exclusions)> {
    let listed = move |from: usize, many: usize| {
        (from..from + many)
            .map(|place| device_id(seed, place))
            .collect()
    };
    let audience = prop_oneof![
        4 => Just(Audience::All),
        1 => (20u8..100).prop_map(|share| Audience::Percent { share: percent(share) }),
        1 => Just(Audience::Split { salt: "half".into(), from: Share::NONE, until: percent(50) }),
        1 => (0usize..5, 1usize..20).prop_map(move |(from, many)| Audience::Devices { devices: listed(from, many) }),
        1 => (0usize..2).prop_map(|place| Audience::Group { group: ring(place) }),
        1 => Just(Audience::Selector { selector: "side=left".parse().unwrap() }),
    ];
    let exclude = (
        0usize..5,
        prop_oneof![2 => Just(0usize), 1 => 1usize..4],
        prop::bool::weighted(0.1),
    );
    (audience, exclude).prop_map(move |(audience, (from, many, without_ring))| {
        let exclude = Exclusions {
            devices: listed(from, many),
            groups: without_ring.then(|| ring(1)).into_iter().collect(),
            selector: None,
        };
        (audience, exclude)
    })
}

fn any_spec(seed: u64, is_whole: bool) -> impl Strategy<Value = RolloutSpec> {
    let limits = (
        prop::option::of(1u32..6),
        prop::option::weighted(0.3, 1u32..5),
        prop::option::weighted(0.3, any_pace()),
        1u32..4,
        prop::sample::select(vec![60u64, 300, 3600]),
        prop::option::weighted(0.3, 1u32..5),
        prop::sample::select(vec![1800u64, 7200]),
    );
    let on_breach =
        prop::sample::select(vec![OnBreach::Pause, OnBreach::Abort, OnBreach::RollBack]);
    (
        any_phases(is_whole),
        any_audience(seed),
        limits,
        prop::option::weighted(0.3, any_window()),
        on_breach,
        (
            any::<bool>(),
            prop::bool::weighted(0.2),
            prop::option::weighted(0.2, 0u8..50),
        ),
    )
        .prop_map(
            |(phases, (audience, exclude), limits, window, on_breach, switches)| {
                let (is_spread, frozen, min_battery_percent) = switches;
                let plain = serde_json::json!({"name": "r", "release": 2, "phases": []});
                let mut spec: RolloutSpec = serde_json::from_value(plain).unwrap();
                (spec.phases, spec.audience, spec.exclude) = (phases, audience, exclude);
                (spec.max_in_flight, spec.batch_size, spec.pace) = (limits.0, limits.1, limits.2);
                (spec.max_attempts, spec.retry_after_sec) = (limits.3, limits.4);
                (spec.hold_after, spec.attempt_deadline_sec) = (limits.5, limits.6);
                (spec.window, spec.on_breach) = (window.unwrap_or_default(), on_breach);
                spec.cohort = if is_spread {
                    CohortKind::Spread
                } else {
                    CohortKind::Fixed
                };
                (spec.frozen, spec.requirements.min_battery_percent) =
                    (frozen, min_battery_percent);
                spec.audience.put_in_order();
                if spec.check().is_err() {
                    // A sample that is larger than its phase is refused.
                    let gates = spec.phases.iter_mut().map(|phase| &mut phase.gate);
                    gates.for_each(|gate| gate.min_finished = None);
                }
                spec
            },
        )
}

fn any_order() -> impl Strategy<Value = Order> {
    prop_oneof![
        3 => Just(Order::Pause),
        3 => Just(Order::Resume),
        2 => Just(Order::SkipGate),
        1 => Just(Order::ApproveGate),
        1 => any::<bool>().prop_map(|takes_back| Order::Abort { takes_back }),
        1 => Just(Order::RollBack),
        2 => Just(Order::RetryFailed),
    ]
}

/// Whatever there may be.
pub(crate) fn any_input(fleet: RangeInclusive<usize>) -> impl Strategy<Value = Input> {
    any::<u64>().prop_flat_map(move |seed| {
        let times = (
            5i64..40,
            prop_oneof![Just(0i64), 1i64..60],
            prop::option::of(60i64..2000),
        );
        (
            (
                any_spec(seed, false),
                prop::option::weighted(0.25, any_spec(seed, true)),
                any::<bool>(),
            ),
            prop::collection::vec(any_thing(), fleet.clone()),
            prop::bool::weighted(0.3),
            prop::option::weighted(0.2, any_window()),
            times,
            prop::collection::vec((0i64..4000, 0usize..2, any_order()), 0..4),
        )
            .prop_map(
                move |(
                    (first, other, goes_first),
                    things,
                    needs_step,
                    ring_window,
                    times,
                    orders,
                )| {
                    let other = other.map(|other| RolloutSpec {
                        release: ReleaseId(3),
                        priority: if goes_first { 1 } else { -1 },
                        ..other
                    });
                    Input {
                        specs: std::iter::once(first).chain(other).collect(),
                        things,
                        needs_step,
                        ring_window,
                        tick_min: times.0,
                        stale_min: times.1,
                        orders,
                        attended_min: times.2,
                        seed,
                    }
                },
            )
    })
}

/// Worlds in which every device can be reached sooner or later, and somebody goes on with whatever stops.
pub(crate) fn reachable_input(fleet: RangeInclusive<usize>) -> impl Strategy<Value = Input> {
    any_input(fleet).prop_map(|mut input| {
        for thing in &mut input.things {
            if thing.behaviour == Behaviour::Gone {
                thing.behaviour = Behaviour::Silent;
            }
            thing.battery_percent = None;
        }
        input.attended_min = input.attended_min.or(Some(300));
        // Two windows of a few hours need not meet.
        input.ring_window = None;
        input
    })
}

/// Ten thousand devices of every kind, and a rollout to them in five phases.
pub(crate) fn ten_thousand() -> Input {
    let behaviour = |place: i64| match place % 100 {
        3 => Behaviour::Failing,
        17 => Behaviour::Flapping(1),
        31 => Behaviour::Silent,
        47 => Behaviour::Late,
        59 => Behaviour::Lying,
        71 => Behaviour::Sickly,
        _ => Behaviour::Good,
    };
    let thing = |place: i64| ThingInput {
        behaviour: behaviour(place),
        poll_min: 120 + place % 60,
        joins_min: if place % 50 == 0 { 1000 } else { 0 },
        away: None,
        zone: (place % 2 == 0).then_some("America/New_York"),
        ring: None,
        runs: "1.0.0",
        battery_percent: None,
    };
    let gate = serde_json::json!({"min_finished": 30, "soak_sec": 3600, "max_failure_rate": 15});
    let phases = [1, 5, 10, 50, 100].map(|share| {
        serde_json::json!({"name": format!("{share} %"), "scope": {"kind": "share", "share": share}, "gate": gate})
    });
    let spec = serde_json::json!({"name": "r", "release": 2, "phases": phases, "max_in_flight": 400, "max_attempts": 2});
    Input {
        specs: vec![serde_json::from_value(spec).unwrap()],
        things: (0..10_000).map(thing).collect(),
        needs_step: false,
        ring_window: None,
        tick_min: 60,
        stale_min: 10,
        orders: Vec::new(),
        attended_min: Some(300),
        seed: 1,
    }
}
