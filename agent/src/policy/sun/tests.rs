use std::time::Duration;

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A place, its date, and what almanacs say of sunrise and sunset there, in UTC.
type Published = ((f64, f64), (i16, i8, i8), &'static str, &'static str);

/// As timeanddate.com, the US Naval Observatory and newspapers print them: minutes, some cut and some rounded.
const PUBLISHED: [Published; 14] = [
    // London
    (
        (51.5, -0.12),
        (2015, 1, 1),
        "2015-01-01T08:06:00Z",
        "2015-01-01T16:01:00Z",
    ),
    (
        (51.5, -0.12),
        (2015, 12, 1),
        "2015-12-01T07:43:00Z",
        "2015-12-01T15:55:00Z",
    ),
    (
        (51.5, -0.12),
        (2015, 12, 12),
        "2015-12-12T07:56:00Z",
        "2015-12-12T15:51:00Z",
    ),
    (
        (51.5, -0.12),
        (2015, 12, 25),
        "2015-12-25T08:05:00Z",
        "2015-12-25T15:55:00Z",
    ),
    (
        (51.5, -0.12),
        (2011, 6, 21),
        "2011-06-21T03:42:30Z",
        "2011-06-21T20:21:00Z",
    ),
    // New York
    (
        (40.71, -74.01),
        (2011, 6, 21),
        "2011-06-21T09:24:30Z",
        "2011-06-22T00:30:30Z",
    ),
    // Miami
    (
        (25.77, -80.19),
        (2011, 6, 21),
        "2011-06-21T10:30:00Z",
        "2011-06-22T00:14:30Z",
    ),
    // Seattle
    (
        (47.61, -122.33),
        (2011, 6, 21),
        "2011-06-21T12:11:00Z",
        "2011-06-22T04:10:30Z",
    ),
    // Honolulu
    (
        (21.31, -157.86),
        (2011, 6, 21),
        "2011-06-21T15:50:00Z",
        "2011-06-22T05:16:00Z",
    ),
    // Tokyo: the sun rises there on the day before, in UTC.
    (
        (35.68, 139.69),
        (2011, 6, 21),
        "2011-06-20T19:25:00Z",
        "2011-06-21T10:00:00Z",
    ),
    // Reykjavik
    (
        (64.15, -21.94),
        (2010, 9, 1),
        "2010-09-01T06:11:00Z",
        "2010-09-01T20:43:00Z",
    ),
    // Decorah, Iowa
    (
        (43.3, -91.79),
        (2010, 9, 1),
        "2010-09-01T11:32:00Z",
        "2010-09-02T00:41:00Z",
    ),
    (
        (43.3, -91.79),
        (2010, 9, 15),
        "2010-09-15T11:47:00Z",
        "2010-09-16T00:16:00Z",
    ),
    (
        (43.3, -91.79),
        (2010, 9, 30),
        "2010-09-30T12:04:00Z",
        "2010-09-30T23:49:00Z",
    ),
];

#[test]
fn agrees_with_almanacs_to_two_minutes() {
    for ((latitude, longitude), (year, month, day), rise, set) in PUBLISHED {
        let daylight = daylight(date(year, month, day), latitude, longitude);
        let Daylight::Between(rises, sets) = daylight else {
            panic!("{rise}: {daylight:?}");
        };
        for (got, published) in [(rises, at(rise)), (sets, at(set))] {
            let off = (got.0 - published.0).abs();
            assert!(off <= 120_000, "{published}: {got}");
        }
    }
}

#[test]
fn beyond_the_polar_circles_it_may_not_set_or_not_rise() {
    let tromso = |month, day| daylight(date(2019, month, day), 69.65, 18.96);
    assert!(matches!(tromso(6, 5), Daylight::AllDay { .. }));
    assert_eq!(tromso(12, 21), Daylight::Night);
    assert!(matches!(tromso(3, 20), Daylight::Between(..)));
    for (latitude, june) in [(90.0, true), (-90.0, false), (78.2, true), (-77.85, false)] {
        let is_day = |month| match daylight(date(2026, month, 21), latitude, 0.0) {
            Daylight::AllDay { .. } => true,
            Daylight::Night => false,
            between => panic!("{latitude}: {between:?}"),
        };
        assert_eq!((is_day(6), is_day(12)), (june, !june), "{latitude}");
    }
}

#[test]
fn opens_some_time_after_sunrise_and_closes_some_time_before_sunset() {
    let hour = Duration::from_secs(3600);
    let london = SolarConfig::new(51.5, -0.12, hour, hour * 2);
    // Sunrise 07:43, sunset 15:55.
    let opening = |text| opening(&london, at(text));
    let Opening::Closed { opens_at } = opening("2015-12-01T08:40:00Z") else {
        panic!("open too early");
    };
    let opens_at = opens_at.unwrap();
    assert!(
        opens_at.sec_since(at("2015-12-01T08:41:00Z")) < 240,
        "{opens_at}"
    );
    assert_eq!(opening("2015-12-01T08:46:00Z"), Opening::Open);
    assert_eq!(opening("2015-12-01T13:52:00Z"), Opening::Open);
    let Opening::Closed { opens_at } = opening("2015-12-01T13:58:00Z") else {
        panic!("open too late");
    };
    assert!(opens_at.unwrap() > at("2015-12-02T08:40:00Z"));
}

#[test]
fn polar_nights_end_and_days_shorter_than_what_is_left_out_never_begin() {
    let svalbard = SolarConfig::new(78.2, 15.6, Duration::ZERO, Duration::ZERO);
    let Opening::Closed { opens_at } = opening(&svalbard, at("2025-12-01T12:00:00Z")) else {
        panic!("there is no sun");
    };
    // The sun is back in the middle of February.
    let back = opens_at.unwrap();
    assert!(
        back > at("2026-02-12T00:00:00Z") && back < at("2026-02-20T00:00:00Z"),
        "{back}"
    );
    let half_a_day = Duration::from_secs(43_200);
    let never = SolarConfig::new(0.0, 0.0, half_a_day, half_a_day);
    let closed = Opening::Closed { opens_at: None };
    assert_eq!(opening(&never, at("2026-06-01T12:00:00Z")), closed);
}

#[test]
fn the_midnight_sun_has_no_gaps() {
    let svalbard = SolarConfig::new(78.2, 15.6, Duration::ZERO, Duration::ZERO);
    let start = at("2026-06-01T00:00:00Z");
    for minute in 0..(20 * 24 * 60) {
        let now = start.plus_sec(minute * 60);
        assert_eq!(opening(&svalbard, now), Opening::Open, "{now}");
    }
}

proptest! {
    /// Wherever and whenever: noon lies in the middle of daylight, within the day, and what opens later does open then.
    #[test]
    fn daylight_lies_around_noon(
        latitude in -90.0f64..=90.0,
        longitude in -180.0f64..=180.0,
        sec in 0u64..4_000_000_000,
    ) {
        let now = Timestamp(0).plus_sec(sec);
        let today = now.to_jiff().to_zoned(TimeZone::UTC).date();
        if let Daylight::Between(rise, set) = daylight(today, latitude, longitude) {
            prop_assert!(rise < set);
            prop_assert!(set.0 - rise.0 < 25 * 3_600_000);
        }
        let solar = SolarConfig::new(latitude, longitude, Duration::ZERO, Duration::ZERO);
        match opening(&solar, now) {
            Opening::Open => {}
            Opening::Closed { opens_at } => {
                let opens_at = opens_at.unwrap();
                prop_assert!(opens_at > now);
                prop_assert_eq!(opening(&solar, opens_at), Opening::Open);
            }
        }
    }
}
