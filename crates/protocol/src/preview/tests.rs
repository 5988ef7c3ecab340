use proptest::prelude::*;

use super::*;
use crate::rollout::Growth;
use crate::window::{Weekday, WeeklySpan};

/// A Thursday, 00:00 in UTC.
const NOW: Timestamp = Timestamp(1_767_225_600_000);

fn coming(devices: u64) -> Coming {
    Coming {
        devices,
        interval_sec: 60,
        from: NOW,
        hours: None,
    }
}

fn phase(devices: u64) -> PhaseOutlook {
    PhaseOutlook {
        coming: vec![coming(devices)],
        ..PhaseOutlook::default()
    }
}

fn outlook(phases: Vec<PhaseOutlook>) -> Outlook {
    Outlook {
        now: NOW,
        starts_at: NOW,
        phases,
        attempt_sec: 120,
        ..Outlook::default()
    }
}

fn sec_after_now(at: Option<Timestamp>) -> u64 {
    at.unwrap().sec_since(NOW)
}

#[test]
fn without_limits_it_takes_an_interval_and_an_attempt() {
    let forecast = forecast(&outlook(vec![phase(1000)]));
    assert!((180..=192).contains(&sec_after_now(forecast.ends_at)));
    assert_eq!((forecast.finished, forecast.left), (1000, 0));
    assert_eq!(forecast.phases[0].starts_at, Some(NOW));
    assert_eq!(forecast.phases[0].ends_at, forecast.ends_at);
}

#[test]
fn limits_stretch_it_as_far_as_they_say() {
    let limited = |outlook: Outlook| sec_after_now(forecast(&outlook).ends_at) as f64;
    // 10,000 devices, 100 at a time for 2 minutes each: 12,000 seconds.
    let in_flight = limited(Outlook {
        max_in_flight: Some(100),
        ..outlook(vec![phase(10_000)])
    });
    assert!((12_000.0..12_600.0).contains(&in_flight), "{in_flight}");
    let paced = Outlook {
        pace: Some(Pace {
            per_hour: 1000,
            growth: None,
        }),
        ..outlook(vec![phase(10_000)])
    };
    let at_a_pace = limited(paced.clone());
    assert!((36_000.0..36_400.0).contains(&at_a_pace), "{at_a_pace}");
    let growth = Growth {
        factor: 2.0,
        every_successes: 1000,
        max_per_hour: 4000,
    };
    let growing = limited(Outlook {
        pace: Some(Pace {
            per_hour: 1000,
            growth: Some(growth),
        }),
        ..paced
    });
    assert!(growing < at_a_pace / 2.0, "{growing}");
    // 100 batches, each of which takes its two minutes and a little to be asked for.
    let batched = limited(Outlook {
        batch_size: Some(100),
        ..outlook(vec![phase(10_000)])
    });
    assert!((12_000.0..14_000.0).contains(&batched), "{batched}");
}

#[test]
fn a_limit_holds_for_a_rollout_of_months_too() {
    // A million devices, 30 at a time for 2 minutes each: 46.3 days.
    let forecast = forecast(&Outlook {
        max_in_flight: Some(30),
        ..outlook(vec![phase(1_000_000)])
    });
    let days = sec_after_now(forecast.ends_at) as f64 / 86_400.0;
    assert!((46.2..46.8).contains(&days), "{days}");
    assert!(forecast.curve.len() <= MAX_POINTS);
}

#[test]
fn phases_wait_for_their_gates() {
    let soaking = PhaseOutlook {
        gate: Gate {
            min_finished: Some(1),
            soak_sec: 3600,
            ..Gate::default()
        },
        ..phase(10)
    };
    let approved = PhaseOutlook {
        gate: Gate {
            needs_approval: true,
            ..Gate::default()
        },
        ..phase(10)
    };
    let seen = forecast(&outlook(vec![soaking.clone(), phase(100)]));
    let second = sec_after_now(seen.phases[1].starts_at);
    assert_eq!(seen.phases[1].starts_at, seen.phases[0].ends_at);
    // The first of ten asks within a tenth of a minute.
    assert!((3720..3750).contains(&second), "{second}");

    let held = forecast(&outlook(vec![soaking, approved.clone(), phase(100)]));
    assert!(matches!(held.stops, Some(Stops::Approval { phase: 1, .. })));
    assert_eq!(
        (
            held.ends_at,
            held.phases[1].ends_at,
            held.phases[2].starts_at
        ),
        (None, None, None)
    );
    assert_eq!(held.finished, 20);
    let given = PhaseOutlook {
        is_approved: true,
        ..approved
    };
    assert!(forecast(&outlook(vec![given])).ends_at.is_some());
}

#[test]
fn who_is_never_reached_keeps_a_phase_open_that_needs_everybody() {
    let silent = PhaseOutlook {
        unreached: 3,
        ..phase(10)
    };
    let waits = forecast(&outlook(vec![silent.clone(), phase(10)]));
    let stops = Some(Stops::Unreached {
        phase: 0,
        devices: 3,
    });
    assert_eq!((waits.stops, waits.finished), (stops, 10));
    let mut sampled = silent;
    sampled.gate.min_finished = Some(5);
    let goes_on = forecast(&outlook(vec![sampled, phase(10)]));
    assert!(goes_on.ends_at.is_some());
    assert_eq!(goes_on.left, 3);
}

#[test]
fn nothing_to_do_is_done_at_once() {
    let forecast = forecast(&outlook(vec![PhaseOutlook::default()]));
    assert!(sec_after_now(forecast.ends_at) <= 60);
    assert_eq!(forecast.finished, 0);
}

fn nights(zone: Option<&str>) -> Hours {
    let span = WeeklySpan {
        days: Weekday::ALL.to_vec(),
        start_minute: 22 * 60,
        end_minute: 6 * 60,
    };
    Hours {
        windows: vec![Window {
            zone: None,
            spans: vec![span],
            freezes: vec![],
        }],
        zone: zone.map(str::to_owned),
    }
}

#[test]
fn windows_hold_it_until_they_open() {
    let mut in_tokyo = phase(100);
    in_tokyo.coming[0].hours = Some(0);
    // It is 09:00 there, so 13 hours until the evening.
    let at_night = forecast(&Outlook {
        hours: vec![nights(Some("Asia/Tokyo"))],
        ..outlook(vec![in_tokyo.clone()])
    });
    let hours = sec_after_now(at_night.ends_at) as f64 / 3600.0;
    assert!((13.0..13.2).contains(&hours), "{hours}");

    // 8 hours of each 24 at 100 an hour: 2000 devices take three nights.
    in_tokyo.coming[0].devices = 2000;
    let pace = Some(Pace {
        per_hour: 100,
        growth: None,
    });
    let slowly = forecast(&Outlook {
        hours: vec![nights(Some("Asia/Tokyo"))],
        pace,
        ..outlook(vec![in_tokyo.clone()])
    });
    let hours = sec_after_now(slowly.ends_at) as f64 / 3600.0;
    assert!(
        (13.0 + 48.0 + 4.0..13.0 + 48.0 + 4.5).contains(&hours),
        "{hours}"
    );

    let never = Hours {
        windows: vec![
            nights(None).windows[0].clone(),
            Window {
                spans: vec![WeeklySpan {
                    days: vec![Weekday::Monday],
                    start_minute: 600,
                    end_minute: 660,
                }],
                ..Window::default()
            },
        ],
        zone: None,
    };
    let closed = forecast(&Outlook {
        hours: vec![never],
        ..outlook(vec![in_tokyo])
    });
    let stops = Some(Stops::Unreached {
        phase: 0,
        devices: 2000,
    });
    assert_eq!((closed.stops, closed.finished), (stops, 0));
}

#[test]
fn what_is_under_way_counts() {
    let going = PhaseOutlook {
        finished: 40,
        under_way: 10,
        ..phase(50)
    };
    let forecast = forecast(&Outlook {
        has_begun: true,
        max_in_flight: Some(10),
        ..outlook(vec![going])
    });
    assert_eq!(forecast.finished, 100);
    assert_eq!(forecast.curve[0], (NOW, 40));
    assert_eq!(forecast.phases[0].starts_at, None);
    assert!(sec_after_now(forecast.ends_at) >= 120 * 6);
}

fn any_phase() -> impl Strategy<Value = PhaseOutlook> {
    let parts = prop::collection::vec((0u64..3000, 10u64..4000, 0u64..2000, any::<bool>()), 0..3);
    let gate = (prop::option::of(1u32..50), 0u64..100_000);
    (parts, gate, 0u64..20, 0u64..20, prop::bool::weighted(0.1)).prop_map(
        |(parts, (min_finished, soak_sec), finished, under_way, is_silent)| PhaseOutlook {
            gate: Gate {
                min_finished,
                soak_sec,
                ..Gate::default()
            },
            is_approved: false,
            finished,
            under_way,
            coming: parts
                .into_iter()
                .map(|(devices, interval_sec, from, at_night)| Coming {
                    devices,
                    interval_sec,
                    from: NOW.plus_sec(from),
                    hours: at_night.then_some(0),
                })
                .collect(),
            unreached: u64::from(is_silent),
        },
    )
}

fn any_outlook() -> impl Strategy<Value = Outlook> {
    (
        prop::collection::vec(any_phase(), 1..4),
        1u64..2000,
        0u64..50_000,
        prop::option::of(1u32..500),
        prop::option::of(1u32..200),
        prop::option::of(10u32..5000),
    )
        .prop_map(
            |(phases, attempt_sec, starts_in, max_in_flight, batch_size, per_hour)| Outlook {
                starts_at: NOW.plus_sec(starts_in),
                attempt_sec,
                max_in_flight,
                batch_size,
                hours: vec![nights(Some("Europe/Helsinki"))],
                pace: per_hour.map(|per_hour| Pace {
                    per_hour,
                    growth: None,
                }),
                ..outlook(phases)
            },
        )
}

/// When it ends, where what never ends comes last.
fn end(outlook: &Outlook) -> i64 {
    forecast(outlook).ends_at.map_or(i64::MAX, |at| at.0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn devices_are_conserved(outlook in any_outlook()) {
        let seen = forecast(&outlook);
        let count = |phase: &PhaseOutlook| phase.finished + phase.under_way + phase.unreached + phase.coming.iter().map(|one| one.devices).sum::<u64>();
        let all: u64 = outlook.phases.iter().map(count).sum();
        let unopened = match seen.stops {
            Some(Stops::Approval { phase, .. } | Stops::Unreached { phase, .. } | Stops::Horizon { phase }) => phase + 1,
            None => outlook.phases.len(),
        };
        let waiting = |phase: &PhaseOutlook| phase.unreached + phase.coming.iter().map(|one| one.devices).sum::<u64>();
        let unopened: u64 = outlook.phases.iter().skip(unopened).map(waiting).sum();
        let told = seen.finished + seen.under_way + seen.left + unopened;
        // Each phase may have two parts of a device that are on their way.
        let parts = 2 * outlook.phases.len() as u64 + 1;
        prop_assert!(told <= all + 1 && told + parts >= all, "{told} of {all}: {seen:?}");
        let rises = seen.curve.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1);
        prop_assert!(rises && seen.curve.len() <= MAX_POINTS, "{:?}", seen.curve);
    }

    #[test]
    fn it_never_ends_before_its_soaks(outlook in any_outlook()) {
        let soaks: u64 = outlook.phases.iter().map(|phase| phase.gate.soak_sec).sum();
        prop_assert!(end(&outlook) >= outlook.starts_at.plus_sec(soaks).0);
    }

    /// In batches it may: one that begins a moment before its window closes keeps the next out of the window.
    #[test]
    fn more_room_never_takes_longer_without_batches(outlook in any_outlook(), more in 1u32..300) {
        let narrow = Outlook { batch_size: None, ..outlook };
        // Steps grow with the distance, and ends lie on steps.
        let latest = end(&narrow).saturating_add((end(&narrow).saturating_sub(narrow.now.0)) / 500 + 60_000);
        let wider = Outlook {
            max_in_flight: narrow.max_in_flight.map(|most| most + more),
            ..narrow.clone()
        };
        prop_assert!(end(&wider) <= latest, "in flight: {} after {}", end(&wider), end(&narrow));
        let quicker = Outlook {
            pace: narrow.pace.map(|pace| Pace { per_hour: pace.per_hour + more, ..pace }),
            ..narrow.clone()
        };
        prop_assert!(end(&quicker) <= latest, "pace: {} after {}", end(&quicker), end(&narrow));
    }
}
