//! What windows do when clocks change, by the minute, in four zones and both directions.

use super::*;

/// A change of the clock: the zone, the moments between which its day is looked at, and each window's open stretches.
struct Change {
    zone: &'static str,
    from: &'static str,
    until: &'static str,
    windows: &'static [(&'static str, &'static [(&'static str, &'static str)])],
}

/// Windows in order: one that starts in the change, one that ends in it, one that spans it, one that lies in it.
const CHANGES: [Change; 8] = [
    // 03:00 becomes 04:00 at 01:00Z.
    Change {
        zone: "Europe/Helsinki",
        from: "2026-03-28T22:00:00Z",
        until: "2026-03-29T21:00:00Z",
        windows: &[
            ("03:30-05:00", &[("29T01:00", "29T02:00")]),
            ("02:00-03:30", &[("29T00:00", "29T01:00")]),
            ("02:00-05:00", &[("29T00:00", "29T02:00")]),
            ("03:10-03:50", &[]),
        ],
    },
    // 04:00 becomes 03:00 at 01:00Z.
    Change {
        zone: "Europe/Helsinki",
        from: "2026-10-24T21:00:00Z",
        until: "2026-10-25T22:00:00Z",
        windows: &[
            (
                "03:30-05:00",
                &[("25T00:30", "25T01:00"), ("25T01:30", "25T03:00")],
            ),
            (
                "02:00-03:30",
                &[("24T23:00", "25T00:30"), ("25T01:00", "25T01:30")],
            ),
            ("02:00-05:00", &[("24T23:00", "25T03:00")]),
            (
                "03:10-03:50",
                &[("25T00:10", "25T00:50"), ("25T01:10", "25T01:50")],
            ),
        ],
    },
    // 02:00 becomes 03:00 at 07:00Z.
    Change {
        zone: "America/New_York",
        from: "2026-03-08T05:00:00Z",
        until: "2026-03-09T04:00:00Z",
        windows: &[
            ("02:30-04:00", &[("08T07:00", "08T08:00")]),
            ("01:00-02:30", &[("08T06:00", "08T07:00")]),
            ("01:00-04:00", &[("08T06:00", "08T08:00")]),
            ("02:10-02:50", &[]),
        ],
    },
    // 02:00 becomes 01:00 at 06:00Z.
    Change {
        zone: "America/New_York",
        from: "2026-11-01T04:00:00Z",
        until: "2026-11-02T05:00:00Z",
        windows: &[
            (
                "01:30-03:00",
                &[("01T05:30", "01T06:00"), ("01T06:30", "01T08:00")],
            ),
            (
                "00:00-01:30",
                &[("01T04:00", "01T05:30"), ("01T06:00", "01T06:30")],
            ),
            ("00:30-03:00", &[("01T04:30", "01T08:00")]),
            (
                "01:10-01:50",
                &[("01T05:10", "01T05:50"), ("01T06:10", "01T06:50")],
            ),
        ],
    },
    // 02:00 becomes 02:30 at 15:30Z of the day before.
    Change {
        zone: "Australia/Lord_Howe",
        from: "2026-10-03T13:30:00Z",
        until: "2026-10-04T13:00:00Z",
        windows: &[
            ("02:15-03:00", &[("03T15:30", "03T16:00")]),
            ("01:30-02:15", &[("03T15:00", "03T15:30")]),
            ("01:30-03:00", &[("03T15:00", "03T16:00")]),
            ("02:05-02:25", &[]),
        ],
    },
    // 02:00 becomes 01:30 at 15:00Z of the day before.
    Change {
        zone: "Australia/Lord_Howe",
        from: "2026-04-04T13:00:00Z",
        until: "2026-04-05T13:30:00Z",
        windows: &[
            (
                "01:45-03:00",
                &[("04T14:45", "04T15:00"), ("04T15:15", "04T16:30")],
            ),
            (
                "01:00-01:45",
                &[("04T14:00", "04T14:45"), ("04T15:00", "04T15:15")],
            ),
            ("01:00-03:00", &[("04T14:00", "04T16:30")]),
            (
                "01:35-01:55",
                &[("04T14:35", "04T14:55"), ("04T15:05", "04T15:25")],
            ),
        ],
    },
    // Saturday's midnight becomes Sunday 01:00 at 04:00Z: that midnight never was.
    Change {
        zone: "America/Santiago",
        from: "2026-09-05T16:00:00Z",
        until: "2026-09-06T15:00:00Z",
        windows: &[
            ("00:30-02:00", &[("06T04:00", "06T05:00")]),
            ("23:00-00:30", &[("06T03:00", "06T04:00")]),
            ("23:00-02:00", &[("06T03:00", "06T05:00")]),
            ("00:00-01:00", &[]),
        ],
    },
    // Saturday's midnight becomes Saturday 23:00 at 03:00Z.
    Change {
        zone: "America/Santiago",
        from: "2026-04-04T15:00:00Z",
        until: "2026-04-05T16:00:00Z",
        windows: &[
            (
                "23:30-01:00",
                &[("05T02:30", "05T03:00"), ("05T03:30", "05T05:00")],
            ),
            (
                "22:00-23:30",
                &[("05T01:00", "05T02:30"), ("05T03:00", "05T03:30")],
            ),
            ("22:00-01:00", &[("05T01:00", "05T05:00")]),
            (
                "23:10-23:50",
                &[("05T02:10", "05T02:50"), ("05T03:10", "05T03:50")],
            ),
        ],
    },
];

/// Returns the open stretches, found by asking for every minute.
fn stretches(window: &Window, from: Timestamp, until: Timestamp) -> Vec<(String, String)> {
    let short = |moment: Timestamp| moment.to_string()[8..16].to_owned();
    let mut found: Vec<(String, String)> = Vec::new();
    let mut was_open = false;
    for minute in (from.0..until.0).step_by(60_000).map(Timestamp) {
        let is_open = window.at(minute, None) == Opening::Open;
        match (was_open, is_open) {
            (false, true) => found.push((short(minute), String::new())),
            (true, false) => found.last_mut().unwrap().1 = short(minute),
            _ => {}
        }
        was_open = is_open;
    }
    found
}

#[test]
fn clocks_that_change_are_kept_to_the_minute() {
    for change in CHANGES {
        let (from, until) = (at(change.from), at(change.until));
        for (stretch, expected) in change.windows {
            let window = daily(change.zone, stretch);
            let expected: Vec<_> = expected
                .iter()
                .map(|(open, shut)| ((*open).to_owned(), (*shut).to_owned()))
                .collect();
            let what = format!("{stretch} {} from {}", change.zone, change.from);
            assert_eq!(stretches(&window, from, until), expected, "{what}");
        }
    }
}

/// What a device that waits is told is the moment at which the window opens, on either side of the change.
#[test]
fn each_opening_is_named_before_it_comes() {
    for change in CHANGES {
        let (from, until) = (at(change.from), at(change.until));
        for (stretch, _) in change.windows {
            let window = daily(change.zone, stretch);
            let mut next = match window.at(until, None) {
                Opening::Open => Some(until),
                Opening::Closed { opens_at } => opens_at,
            };
            for minutes in 1..=(until.0 - from.0) / 60_000 {
                let minute = Timestamp(until.0 - minutes * 60_000);
                match window.at(minute, None) {
                    Opening::Open => next = Some(minute),
                    closed => assert_eq!(
                        closed,
                        Opening::Closed { opens_at: next },
                        "{stretch} {} at {minute}",
                        change.zone
                    ),
                }
            }
        }
    }
}

#[test]
fn a_whole_day_is_as_long_as_the_day_is() {
    let lengths = [
        ("Europe/Helsinki", "2026-03-28T12:00:00Z", 23 * 60),
        ("Europe/Helsinki", "2026-10-24T12:00:00Z", 25 * 60),
        ("America/New_York", "2026-03-07T12:00:00Z", 23 * 60),
        ("America/New_York", "2026-10-31T12:00:00Z", 25 * 60),
        ("Australia/Lord_Howe", "2026-10-03T02:00:00Z", 23 * 60 + 30),
        ("Australia/Lord_Howe", "2026-04-04T02:00:00Z", 24 * 60 + 30),
        ("America/Santiago", "2026-09-05T15:00:00Z", 23 * 60),
        // The hour that comes twice is the Saturday's.
        ("America/Santiago", "2026-04-04T15:00:00Z", 24 * 60),
    ];
    for (zone, now, minutes) in lengths {
        let mut sundays = daily(zone, "00:00-24:00");
        sundays.spans[0].days = vec![Weekday::Sunday];
        let now = at(now);
        let open = (0..3 * 1440)
            .filter(|minute| sundays.at(Timestamp(now.0 + minute * 60_000), None) == Opening::Open)
            .count();
        assert_eq!(open, minutes, "{zone} after {now}");
    }
}

#[test]
fn windows_over_midnight_on_sundays_change_with_the_clock() {
    let sundays = |zone| Window {
        spans: vec![WeeklySpan {
            days: vec![Weekday::Sunday],
            ..daily(zone, "22:00-04:00").spans.remove(0)
        }],
        ..daily(zone, "22:00-04:00")
    };
    let helsinki = sundays("Europe/Helsinki");
    // In winter 22:00 is 20:00Z, from that very Sunday on 19:00Z; the Monday's 04:00 is 01:00Z.
    assert_eq!(
        helsinki.at(at("2026-03-29T12:00:00Z"), None),
        closed_until("2026-03-29T19:00:00Z")
    );
    assert_eq!(helsinki.at(at("2026-03-30T00:59:00Z"), None), Opening::Open);
    assert_eq!(
        helsinki.at(at("2026-03-30T01:00:00Z"), None),
        closed_until("2026-04-05T19:00:00Z")
    );
    // The hour that Santiago's Saturday has twice is no Sunday's.
    assert_eq!(
        sundays("America/Santiago").at(at("2026-04-05T03:10:00Z"), None),
        closed_until("2026-04-06T02:00:00Z")
    );
}

#[test]
fn freezes_end_at_midnights_that_never_were_and_that_come_twice() {
    let frozen = |from, until| Window {
        zone: Some("America/Santiago".into()),
        spans: vec![],
        freezes: vec![freeze(from, until)],
    };
    // Sunday began at 01:00, which was 04:00Z.
    assert_eq!(
        frozen("2026-09-05", "2026-09-05").at(at("2026-09-05T12:00:00Z"), None),
        closed_until("2026-09-06T04:00:00Z")
    );
    // Saturday's last hour came twice, so that it ended at 04:00Z.
    assert_eq!(
        frozen("2026-04-04", "2026-04-04").at(at("2026-04-04T12:00:00Z"), None),
        closed_until("2026-04-05T04:00:00Z")
    );
    // A whole day that never was: Apia went from 29 to 31 December 2011, at 10:00Z.
    let apia = Window {
        zone: Some("Pacific/Apia".into()),
        ..frozen("2011-12-29", "2011-12-30")
    };
    assert_eq!(
        apia.at(at("2011-12-29T12:00:00Z"), None),
        closed_until("2011-12-30T10:00:00Z")
    );
}
