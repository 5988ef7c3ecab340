//! Windows against a count of every minute, over two weeks around each change of a clock.

use proptest::prelude::*;

use super::*;

/// Zones, each with the moments at which its clock changes in 2026.
const ZONES: [(&str, &[&str]); 6] = [
    (
        "Europe/Helsinki",
        &["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"],
    ),
    (
        "America/New_York",
        &["2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"],
    ),
    (
        "Australia/Lord_Howe",
        &["2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"],
    ),
    (
        "America/Santiago",
        &["2026-04-05T03:00:00Z", "2026-09-06T04:00:00Z"],
    ),
    // Goes back for Ramadan alone.
    (
        "Africa/Casablanca",
        &["2026-02-15T02:00:00Z", "2026-03-22T02:00:00Z"],
    ),
    ("UTC", &["2028-02-29T12:00:00Z"]),
];

const WEEK_MINUTES: i64 = 7 * 1440;

fn any_span() -> impl Strategy<Value = WeeklySpan> {
    // Mostly near the hours at which clocks change.
    let minute = || prop_oneof![0u16..300, 1300u16..1440, 0u16..1440];
    (
        prop::sample::subsequence(Weekday::ALL.to_vec(), 1..=7),
        minute(),
        minute(),
    )
        .prop_map(|(days, start_minute, end_minute)| WeeklySpan {
            days,
            start_minute,
            end_minute: if end_minute == start_minute {
                1440
            } else {
                end_minute
            },
        })
}

/// A window, and the change around which it is looked at.
pub(super) fn any_window() -> impl Strategy<Value = (Window, Timestamp)> {
    let change = prop::sample::select(ZONES.to_vec())
        .prop_flat_map(|(zone, changes)| (Just(zone), prop::sample::select(changes.to_vec())));
    let freeze = prop::option::weighted(0.3, (-5i64..5, 0i64..4));
    (change, prop::collection::vec(any_span(), 0..3), freeze).prop_map(
        |((zone, change), spans, freeze)| {
            let change = at(change);
            let day = |days: i64| Timestamp(change.0 + days * 86_400_000).to_jiff();
            let date = |days| day(days).to_zoned(TimeZone::UTC).date();
            let freezes = freeze.map(|(from, days)| Freeze {
                from: date(from),
                until: date(from + days),
                reason: String::new(),
            });
            let window = Window {
                zone: Some(zone.to_owned()),
                spans,
                freezes: freezes.into_iter().collect(),
            };
            (window, change)
        },
    )
}

/// Tells for each minute of the two weeks whether the clock on the wall shows a time at which the window is open.
fn by_the_clock(window: &Window, change: Timestamp) -> Vec<(Timestamp, bool)> {
    let zone = window.zone_for(None);
    (-WEEK_MINUTES..WEEK_MINUTES)
        .map(|minute| {
            let moment = Timestamp(change.0 + minute * 60_000);
            let local = moment.to_jiff().to_zoned(zone.clone()).datetime();
            let is_frozen = window
                .freezes
                .iter()
                .any(|freeze| (freeze.from..=freeze.until).contains(&local.date()));
            let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
            let is_open = window.spans.is_empty()
                || window.spans.iter().any(|span| {
                    let (start, end) = (i32::from(span.start_minute), i32::from(span.end_minute));
                    let on = |date: Date| span.days.contains(&Weekday::of(date));
                    let (today, yesterday) =
                        (on(local.date()), on(local.date().yesterday().unwrap()));
                    if start < end {
                        today && start <= minute && minute < end
                    } else {
                        (today && start <= minute) || (yesterday && minute < end)
                    }
                });
            (moment, is_open && !is_frozen)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Open exactly when the clock on the wall says so; and where closed, until the next minute that is open.
    #[test]
    fn agrees_with_every_minute((window, change) in any_window(), step in 1usize..40) {
        let minutes = by_the_clock(&window, change);
        let mut next: Option<Timestamp> = None;
        for (place, (moment, is_open)) in minutes.iter().enumerate().rev() {
            let is_edge = minutes
                .get(place + 1)
                .is_some_and(|(_, after)| after != is_open);
            if is_edge || place % step == 0 {
                match window.at(*moment, None) {
                    Opening::Open => prop_assert!(is_open, "open at {moment}"),
                    Opening::Closed { opens_at } => {
                        prop_assert!(!is_open, "closed at {moment}");
                        match next {
                            Some(next) => prop_assert_eq!(opens_at, Some(next), "at {}", moment),
                            // It opens after the two weeks, or never.
                            None => prop_assert!(opens_at.is_none_or(|at| at > minutes.last().unwrap().0)),
                        }
                    }
                }
            }
            if *is_open {
                next = Some(*moment);
            }
        }
    }

    /// What a closed window names lies ahead, and is open.
    #[test]
    fn what_it_names_is_ahead_and_open((window, change) in any_window(), seconds in -1_000_000i64..1_000_000) {
        let now = Timestamp(change.0 + seconds * 1_000 + 7);
        if let Opening::Closed { opens_at: Some(opens_at) } = window.at(now, None) {
            prop_assert!(opens_at > now);
            prop_assert_eq!(window.at(opens_at, None), Opening::Open);
            prop_assert_ne!(window.at(Timestamp(opens_at.0 - 1), None), Opening::Open);
        }
    }

    /// There is an answer at any time at all.
    #[test]
    fn is_total((window, _) in any_window(), now in any::<i64>()) {
        window.at(Timestamp(now), None);
        joint_opening(&[&window, &window], Timestamp(now), None);
    }
}
