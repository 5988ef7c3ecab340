use super::*;

fn gate(judgement: Judgement) -> Gate {
    Gate {
        min_finished: Some(10),
        soak_sec: 60,
        max_failure_rate: Some(Share::percent(1.0).unwrap()),
        judgement,
        ..Gate::default()
    }
}

fn tally(succeeded: u64, failed: u64) -> Tally {
    Tally {
        succeeded,
        failed,
        ..Tally::default()
    }
}

#[test]
fn one_in_three_stops_nothing_and_thirty_in_a_thousand_do() {
    let gate = Gate {
        min_finished: Some(50),
        ..gate(Judgement::Confident)
    };
    assert_eq!(
        gate.judge(&tally(2, 1), None, false, Timestamp(0)),
        Verdict::Sampling {
            finished: 3,
            needed: Some(50)
        }
    );
    let Verdict::Breached(breach) = gate.judge(&tally(970, 30), None, false, Timestamp(0)) else {
        panic!("must breach")
    };
    assert_eq!(breach.to_string(), "30 of 1000 failed, 3.0 %, limit 1 %");
}

#[test]
fn without_a_named_sample_the_first_few_stop_nothing() {
    for judgement in [Judgement::Confident, Judgement::Point] {
        let limit = Some(Share::percent(5.0).unwrap());
        let gate = Gate {
            min_finished: None,
            max_failure_rate: limit,
            ..gate(judgement)
        };
        let stops = |tally: Tally| {
            matches!(
                gate.judge(&tally, None, false, Timestamp(0)),
                Verdict::Breached(_)
            )
        };
        let of_many = |failed| Tally {
            waiting: Some(1000),
            ..tally(0, failed)
        };
        assert!(!stops(of_many(1)), "{judgement:?}");
        assert!(stops(of_many(4)), "{judgement:?}");
        let of_two = Tally {
            waiting: Some(1),
            ..tally(0, 1)
        };
        assert!(
            stops(of_two),
            "{judgement:?}: half of the phase is no accident"
        );
        assert!(!stops(tally(2, 1)), "{judgement:?}: nobody has counted");
    }
}

#[test]
fn point_waits_for_its_sample_unless_nothing_can_mend_it() {
    let gate = Gate {
        max_failure_rate: Some(Share::percent(10.0).unwrap()),
        ..gate(Judgement::Point)
    };
    assert!(matches!(
        gate.judge(&tally(0, 1), None, false, Timestamp(0)),
        Verdict::Sampling { .. }
    ));
    assert!(matches!(
        gate.judge(&tally(0, 2), None, false, Timestamp(0)),
        Verdict::Breached(_)
    ));
    assert!(matches!(
        gate.judge(&tally(9, 1), None, false, Timestamp(0)),
        Verdict::Soaking { .. }
    ));
    assert!(matches!(
        gate.judge(&tally(8, 2), None, false, Timestamp(0)),
        Verdict::Breached(_)
    ));
}

#[test]
fn soak_runs_from_the_complete_sample() {
    let gate = gate(Judgement::Confident);
    let at = |now| gate.judge(&tally(10, 0), Some(Timestamp(5_000)), false, Timestamp(now));
    assert_eq!(
        at(5_000),
        Verdict::Soaking {
            until: Timestamp(65_000)
        }
    );
    assert_eq!(at(65_000), Verdict::Open);
}

#[test]
fn a_phase_without_devices_left_needs_no_more_attempts() {
    let gate = Gate {
        soak_sec: 0,
        ..gate(Judgement::Confident)
    };
    let exhausted = Tally {
        waiting: Some(0),
        ..tally(3, 0)
    };
    assert_eq!(
        gate.judge(&exhausted, None, false, Timestamp(0)),
        Verdict::Open
    );
    let under_way = Tally {
        under_way: 1,
        ..exhausted
    };
    assert!(matches!(
        gate.judge(&under_way, None, false, Timestamp(0)),
        Verdict::Sampling { .. }
    ));
}

#[test]
fn each_rate_has_its_own_limit() {
    let limit = Some(Share::percent(10.0).unwrap());
    let of = |rate| {
        let none = Gate {
            min_finished: Some(4),
            judgement: Judgement::Point,
            ..Gate::default()
        };
        match rate {
            Rate::Failure => Gate {
                max_failure_rate: limit,
                ..none
            },
            Rate::Rollback => Gate {
                max_rollback_rate: limit,
                ..none
            },
            Rate::Silence => Gate {
                max_silence_rate: limit,
                ..none
            },
            Rate::Unhealthy => Gate {
                max_unhealthy_rate: limit,
                ..none
            },
        }
    };
    let rates = [
        Rate::Failure,
        Rate::Rollback,
        Rate::Silence,
        Rate::Unhealthy,
    ];
    let good = tally(9, 0);
    let cases = [
        (tally(9, 2), vec![Rate::Failure]),
        (
            Tally {
                rolled_back: 2,
                ..good
            },
            vec![Rate::Failure, Rate::Rollback],
        ),
        (
            Tally {
                timed_out: 2,
                ..good
            },
            vec![Rate::Failure, Rate::Silence],
        ),
        (
            Tally {
                unhealthy: 2,
                ..good
            },
            vec![Rate::Unhealthy],
        ),
        (
            Tally {
                stepped: 9,
                cancelled: 9,
                ..good
            },
            vec![],
        ),
    ];
    for (tally, over) in cases {
        let breached = |rate: &Rate| match of(*rate).judge(&tally, None, false, Timestamp(0)) {
            Verdict::Breached(breach) => {
                assert_eq!(breach.rate, *rate);
                true
            }
            _ => false,
        };
        let found: Vec<Rate> = rates.into_iter().filter(breached).collect();
        assert_eq!(found, over, "{tally:?}");
    }
}

#[test]
fn an_approval_is_asked_for_after_the_soak() {
    let gate = Gate {
        needs_approval: true,
        ..gate(Judgement::Confident)
    };
    let judge = |now, is_approved| {
        gate.judge(
            &tally(10, 0),
            Some(Timestamp(0)),
            is_approved,
            Timestamp(now),
        )
    };
    assert!(matches!(judge(59_999, true), Verdict::Soaking { .. }));
    assert_eq!(judge(60_000, false), Verdict::AwaitingApproval);
    assert_eq!(judge(60_000, true), Verdict::Open);
}

#[test]
fn an_interval_is_one_whatever_was_counted() {
    for (count, total) in [
        (0, 0),
        (0, 1),
        (1, 1),
        (5, 3),
        (u64::MAX, 1),
        (u64::MAX, u64::MAX),
    ] {
        let (low, high) = wilson_interval(count, total);
        assert!(
            0.0 <= low && low <= high && high <= 1.0,
            "{count} of {total}: {low} {high}"
        );
    }
}

#[test]
fn wilson_as_published() {
    // 10 of 100: 0.0552 to 0.1744 in Wilson's interval.
    assert!((wilson_lower(10, 100) - 0.0552).abs() < 0.0001);
    assert!(
        (1..200)
            .all(|total| wilson_lower(0, total) == 0.0 && wilson_interval(total, total).1 == 1.0)
    );
}
