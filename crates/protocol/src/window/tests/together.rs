//! Several windows at once, and moments in words.

use proptest::prelude::*;

use super::brute::any_window;
use super::*;

fn joint(windows: &[&Window], now: &str) -> Joint {
    joint_opening(windows, at(now), None)
}

fn closed(place: usize, opens_at: &str) -> Joint {
    Joint::Closed {
        place,
        opens_at: Some(at(opens_at)),
    }
}

#[test]
fn windows_meet_at_the_later_one() {
    let (evening, night) = (daily("UTC", "20:00-23:00"), daily("UTC", "22:00-04:00"));
    let windows = [&evening, &night];
    let noon = "2026-06-01T12:00:00Z";
    assert_eq!(joint(&windows, noon), closed(0, "2026-06-01T22:00:00Z"));
    assert_eq!(
        joint(&windows, "2026-06-01T21:00:00Z"),
        closed(1, "2026-06-01T22:00:00Z"),
        "the first that is closed is the second"
    );
    assert_eq!(joint(&windows, "2026-06-01T22:30:00Z"), Joint::Open);
    assert_eq!(
        joint(&windows, "2026-06-01T23:00:00Z"),
        closed(0, "2026-06-02T22:00:00Z")
    );
    assert_eq!(joint(&[], noon), Joint::Open);
}

#[test]
fn windows_that_never_meet_never_open() {
    let (morning, evening) = (daily("UTC", "06:00-09:00"), daily("UTC", "18:00-21:00"));
    let never = |place| Joint::Closed {
        place,
        opens_at: None,
    };
    assert_eq!(
        joint(&[&morning, &evening], "2026-06-01T07:00:00Z"),
        never(1)
    );
    assert_eq!(
        joint(&[&morning, &evening], "2026-06-01T12:00:00Z"),
        never(0)
    );
    // They touch and don't meet: an end is not open.
    let noon = daily("UTC", "09:00-12:00");
    assert_eq!(joint(&[&morning, &noon], "2026-06-01T00:00:00Z"), never(0));
}

/// Helsinki's hour after 02:00 is New York's after 20:00 only while just one of the two has changed its clock.
#[test]
fn windows_meet_in_the_weeks_between_two_zones_changes() {
    let windows = [
        &daily("Europe/Helsinki", "02:00-03:00"),
        &daily("America/New_York", "20:00-21:00"),
    ];
    let summer = joint(&windows, "2026-05-01T00:00:00Z");
    assert_eq!(summer, closed(0, "2026-10-26T00:00:00Z"));
    assert_eq!(joint(&windows, "2026-10-26T00:59:00Z"), Joint::Open);
}

#[test]
fn a_freeze_of_one_holds_all() {
    let frozen = Window {
        freezes: vec![freeze("2026-06-01", "2026-06-30")],
        ..Window::default()
    };
    let night = daily("Europe/Helsinki", "22:00-04:00");
    assert_eq!(
        joint(&[&night, &frozen], "2026-06-10T19:30:00Z"),
        closed(1, "2026-07-01T00:00:00Z")
    );
}

#[test]
fn moments_in_words_as_people_there_say_them() {
    let zone = TimeZone::get("Europe/Helsinki").unwrap();
    // Saturday 2026-03-28, 23:30 in Helsinki; the clock changes that night.
    let now = at("2026-03-28T21:30:00Z");
    let words = [
        ("2026-03-28T21:45:00Z", "today at 23:45"),
        ("2026-03-28T22:00:00Z", "tomorrow at 00:00"),
        ("2026-03-29T01:00:00Z", "tomorrow at 04:00"),
        ("2026-03-30T05:30:00Z", "on Monday at 08:30"),
        ("2026-04-03T20:59:00Z", "on Friday at 23:59"),
        ("2026-04-03T21:00:00Z", "on 2026-04-04 at 00:00"),
        ("2027-01-04T04:00:00Z", "on 2027-01-04 at 06:00"),
        ("2026-03-27T04:00:00Z", "on 2026-03-27 at 06:00"),
    ];
    for (moment, expected) in words {
        assert_eq!(local_words(at(moment), now, &zone), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The moment it names is open for all, and no minute before it is.
    #[test]
    fn the_moment_it_names_is_the_first(
        (first, change) in any_window(),
        (second, _) in any_window(),
        (third, _) in any_window(),
        how_many in 1usize..=3,
        minutes in -7_000i64..7_000,
    ) {
        let windows = &[&first, &second, &third][..how_many];
        let now = Timestamp(change.0 + minutes * 60_000);
        let is_open = |moment| windows.iter().all(|window| window.at(moment, None) == Opening::Open);
        match joint_opening(windows, now, None) {
            Joint::Open => prop_assert!(is_open(now)),
            Joint::Closed { place, opens_at } => {
                prop_assert_ne!(windows[place].at(now, None), Opening::Open);
                if let Some(opens_at) = opens_at {
                    prop_assert!(is_open(opens_at) && opens_at > now);
                }
                let until = opens_at.map_or(now.0 + 14 * 86_400_000, |at| at.0);
                let between = (now.0..until.min(now.0 + 14 * 86_400_000)).step_by(60_000);
                for moment in between.map(Timestamp) {
                    prop_assert!(!is_open(moment), "open at {}", moment);
                }
            }
        }
    }
}
