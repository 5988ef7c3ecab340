use super::*;

mod brute;
mod daylight;
mod together;

fn nightly(zone: Option<&str>) -> Window {
    let span = WeeklySpan {
        days: vec![Weekday::Saturday, Weekday::Sunday],
        start_minute: 22 * 60,
        end_minute: 4 * 60,
    };
    Window {
        zone: zone.map(str::to_owned),
        spans: vec![span],
        freezes: vec![],
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn crosses_midnight_on_sundays() {
    let window = nightly(Some("Europe/Helsinki"));
    // Sunday 23:30 and Monday 03:59 in Helsinki, then Monday 04:00.
    assert_eq!(window.at(at("2026-01-11T21:30:00Z"), None), Opening::Open);
    assert_eq!(window.at(at("2026-01-12T01:59:00Z"), None), Opening::Open);
    let closed = window.at(at("2026-01-12T02:00:00Z"), None);
    assert_eq!(
        closed,
        Opening::Closed {
            opens_at: Some(at("2026-01-17T20:00:00Z"))
        }
    );
}

#[test]
fn the_devices_zone_counts_without_one() {
    let window = nightly(None);
    let now = at("2026-01-11T21:30:00Z");
    assert_eq!(window.at(now, Some("Europe/Helsinki")), Opening::Open);
    assert!(matches!(
        window.at(now, Some("UTC")),
        Opening::Closed { .. }
    ));
    assert!(matches!(
        window.at(now, Some("No/Such")),
        Opening::Closed { .. }
    ));
}

/// A window of one stretch a day, as `22:00-04:00`.
fn daily(zone: &str, stretch: &str) -> Window {
    let (start, end) = stretch.split_once('-').unwrap();
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':').unwrap();
        hour.parse::<u16>().unwrap() * 60 + minute.parse::<u16>().unwrap()
    };
    let span = WeeklySpan {
        days: Weekday::ALL.to_vec(),
        start_minute: minute(start),
        end_minute: minute(end),
    };
    Window {
        zone: Some(zone.to_owned()),
        spans: vec![span],
        freezes: vec![],
    }
}

fn freeze(from: &str, until: &str) -> Freeze {
    Freeze {
        from: from.parse().unwrap(),
        until: until.parse().unwrap(),
        reason: String::new(),
    }
}

fn closed_until(text: &str) -> Opening {
    Opening::Closed {
        opens_at: Some(at(text)),
    }
}

#[test]
fn freezes_close_and_end() {
    let freeze = Freeze {
        from: "2026-12-20".parse().unwrap(),
        until: "2027-01-03".parse().unwrap(),
        reason: String::new(),
    };
    let window = Window {
        zone: Some("UTC".into()),
        spans: vec![],
        freezes: vec![freeze],
    };
    assert_eq!(window.at(at("2026-12-19T23:59:59Z"), None), Opening::Open);
    assert_eq!(
        window.at(at("2026-12-24T12:00:00Z"), None),
        closed_until("2027-01-04T00:00:00Z")
    );
}

#[test]
fn bad_windows_are_named() {
    let mut window = nightly(Some("Mars/Olympus"));
    assert_eq!(
        window.check(),
        Err(WindowError::UnknownZone("Mars/Olympus".into()))
    );
    window = nightly(None);
    window.spans[0].end_minute = 1441;
    assert_eq!(window.check(), Err(WindowError::Minute(1441)));
    window.spans[0].end_minute = 1440;
    assert_eq!(window.check(), Ok(()));
    window.spans[0].start_minute = 1440;
    assert_eq!(window.check(), Err(WindowError::Minute(1440)));
    (window.spans[0].start_minute, window.spans[0].end_minute) = (60, 60);
    assert_eq!(window.check(), Err(WindowError::NoLength(60)));
    window.spans[0].days.clear();
    assert_eq!(window.check(), Err(WindowError::NoDay));
}

#[test]
fn a_freeze_that_ends_before_it_starts_is_named() {
    let mut window = nightly(None);
    window.freezes = vec![freeze("2027-01-03", "2026-12-20")];
    assert!(matches!(
        window.check(),
        Err(WindowError::EmptyFreeze { .. })
    ));
    window.freezes = vec![freeze("2027-01-03", "2027-01-03")];
    assert_eq!(window.check(), Ok(()), "one day is a freeze");
}

#[test]
fn leap_days_are_days() {
    // 2028-02-29 is a Tuesday.
    let tuesday = Window {
        spans: vec![WeeklySpan {
            days: vec![Weekday::Tuesday],
            ..daily("UTC", "22:00-02:00").spans.remove(0)
        }],
        ..daily("UTC", "22:00-02:00")
    };
    assert_eq!(
        tuesday.at(at("2028-02-28T12:00:00Z"), None),
        closed_until("2028-02-29T22:00:00Z")
    );
    assert_eq!(tuesday.at(at("2028-03-01T01:59:00Z"), None), Opening::Open);
    assert_eq!(
        tuesday.at(at("2028-03-01T02:00:00Z"), None),
        closed_until("2028-03-07T22:00:00Z")
    );
    let frozen = |from, until| Window {
        freezes: vec![freeze(from, until)],
        ..daily("Europe/Helsinki", "06:00-07:00")
    };
    assert_eq!(
        frozen("2028-02-28", "2028-02-29").at(at("2028-02-27T12:00:00Z"), None),
        closed_until("2028-03-01T04:00:00Z"),
        "over the leap day"
    );
    assert_eq!(
        frozen("2027-02-28", "2027-02-28").at(at("2027-02-27T12:00:00Z"), None),
        closed_until("2027-03-01T04:00:00Z"),
        "a year without one"
    );
    assert!("2027-02-29".parse::<Date>().is_err());
}

#[test]
fn whole_days_follow_each_other_without_a_gap() {
    let mut window = daily("Europe/Helsinki", "00:00-24:00");
    window.spans[0].days = vec![Weekday::Saturday, Weekday::Sunday];
    let (first, end) = (at("2026-01-09T22:00:00Z"), at("2026-01-11T22:00:00Z"));
    for minute in 0..2 * 1440 {
        let now = Timestamp(first.0 + minute * 60_000);
        assert_eq!(window.at(now, None), Opening::Open, "{now}");
    }
    let before = Timestamp(first.0 - 1);
    assert_eq!(
        window.at(before, None),
        closed_until("2026-01-09T22:00:00Z")
    );
    assert_eq!(window.at(end, None), closed_until("2026-01-16T22:00:00Z"));
}

#[test]
fn a_freeze_cuts_a_stretch_at_midnight_on_both_sides() {
    let window = Window {
        freezes: vec![freeze("2026-06-10", "2026-06-11")],
        ..daily("UTC", "22:00-04:00")
    };
    assert_eq!(window.at(at("2026-06-09T23:59:59Z"), None), Opening::Open);
    assert_eq!(
        window.at(at("2026-06-10T00:00:00Z"), None),
        closed_until("2026-06-12T00:00:00Z"),
        "in the middle of the stretch that began on the last day of the freeze"
    );
    let for_ever = Window {
        freezes: vec![freeze("2026-06-10", "2028-06-11")],
        ..daily("UTC", "22:00-04:00")
    };
    assert_eq!(
        for_ever.at(at("2026-06-10T00:00:00Z"), None),
        Opening::Closed { opens_at: None },
        "over a year away"
    );
}
