use std::time::Duration;

use jiff::civil::date;
use otter_protocol::Share;
use otter_protocol::window::{Freeze, Weekday, WeeklySpan};
use proptest::prelude::*;

use super::*;
use crate::config::SolarConfig;

/// A Saturday noon.
const NOON: &str = "2026-11-21T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn asking(asks: impl FnOnce(&mut PolicyConfig)) -> PolicyConfig {
    let mut policy = PolicyConfig::default();
    asks(&mut policy);
    policy
}

fn power(charge: Charge, on_mains: Option<bool>) -> Power {
    Power { charge, on_mains }
}

fn calm() -> Circumstances {
    Circumstances {
        power: power(Charge::Percent(80), Some(false)),
        crashes: 0,
        cohort: Cohort(u64::MAX / 2),
        zone: Some("Europe/Helsinki".to_owned()),
        taken_back: None,
    }
}

/// Mondays from 2 to 4 in the device's zone, and nothing over Christmas.
fn window() -> Window {
    Window {
        zone: None,
        spans: vec![WeeklySpan {
            days: vec![Weekday::Monday],
            start_minute: 120,
            end_minute: 240,
        }],
        freezes: vec![Freeze {
            from: date(2026, 12, 20),
            until: date(2027, 1, 6),
            reason: String::new(),
        }],
    }
}

fn winter_sun() -> SolarConfig {
    SolarConfig::new(60.17, 24.94, Duration::ZERO, Duration::ZERO)
}

fn words(policy: &PolicyConfig, circumstances: &Circumstances, now: &str) -> String {
    judge(policy, circumstances, at(now), false).words()
}

#[test]
fn without_a_policy_anything_goes() {
    let nobody_knows = Circumstances {
        power: power(Charge::Unknown, None),
        crashes: u32::MAX,
        zone: None,
        taken_back: None,
        ..calm()
    };
    let policy = PolicyConfig::default();
    for now in [NOON, "1970-01-01T00:00:12Z"] {
        let verdict = judge(&policy, &nobody_knows, at(now), false);
        assert!(verdict.allows(), "{}", verdict.words());
        assert_eq!(verdict.outcomes.len(), 7);
    }
}

#[test]
fn what_was_taken_back_at_the_device_does_not_come_back_by_being_required() {
    let taken_back = TakenBack {
        version: "2.0.0".into(),
        release_counter: 2,
        at: at(NOON),
        reason: Some("it hums".to_owned()),
    };
    let circumstances = Circumstances {
        taken_back: Some(taken_back),
        ..calm()
    };
    let verdict = judge(&PolicyConfig::default(), &circumstances, at(NOON), true);
    assert_eq!(verdict.rules(), [Rule::TakenBack]);
    let words = verdict.words();
    assert!(
        words.starts_with("waits for `otter-agent update`: "),
        "{words}"
    );
    assert!(words.ends_with(": it hums"), "{words}");
}

#[test]
fn a_battery_must_hold_enough_unless_there_is_mains() {
    let policy = asking(|policy| {
        policy.min_battery_percent = Some(30);
    });
    let needs = "waits for the battery: 12 %, needs 30 %";
    let unread = "waits for the battery: its charge can't be read, needs 30 %. Check its gauge";
    let table = [
        (Charge::Percent(30), Some(false), ""),
        (Charge::Percent(12), Some(false), needs),
        (Charge::Percent(12), None, needs),
        (Charge::Percent(12), Some(true), ""),
        (Charge::Unknown, Some(false), unread),
        (Charge::Unknown, None, unread),
        (Charge::Unknown, Some(true), ""),
        (Charge::NoBattery, None, ""),
    ];
    for (charge, on_mains, expected) in table {
        let circumstances = Circumstances {
            power: power(charge, on_mains),
            ..calm()
        };
        let got = words(&policy, &circumstances, NOON);
        assert_eq!(got, expected, "{charge:?} {on_mains:?}");
    }
}

#[test]
fn mains_is_mains_or_no_battery() {
    let policy = asking(|policy| {
        policy.needs_mains = true;
    });
    let table = [
        (Charge::Percent(100), Some(true), ""),
        (
            Charge::Percent(100),
            Some(false),
            "waits for mains: it runs on its battery",
        ),
        (
            Charge::Percent(100),
            None,
            "waits for mains: what it runs on can't be read. Check its gauge",
        ),
        (Charge::NoBattery, None, ""),
        (Charge::NoBattery, Some(true), ""),
    ];
    for (charge, on_mains, expected) in table {
        let circumstances = Circumstances {
            power: power(charge, on_mains),
            ..calm()
        };
        let got = words(&policy, &circumstances, NOON);
        assert_eq!(got, expected, "{charge:?} {on_mains:?}");
    }
}

#[test]
fn windows_open_by_the_devices_clock_and_say_when() {
    let policy = asking(|policy| {
        policy.windows = Some(window());
    });
    let named = asking(|policy| {
        policy.windows = Some(Window {
            zone: Some("Asia/Tokyo".to_owned()),
            ..window()
        });
    });
    let table = [
        // Monday, 02:30 in Helsinki.
        (&policy, "2026-11-23T00:30:00Z", ""),
        (
            &policy,
            NOON,
            "waits for its window: it comes on Monday at 02:00 (Europe/Helsinki)",
        ),
        (
            &policy,
            "2026-12-20T12:00:00Z",
            "waits for its window: it comes on 2027-01-11 at 02:00 (Europe/Helsinki)",
        ),
        // Monday, 02:30 in Tokyo.
        (&named, "2026-11-22T17:30:00Z", ""),
        (
            &named,
            NOON,
            "waits for its window: it comes on Monday at 02:00 (Asia/Tokyo)",
        ),
    ];
    for (policy, now, expected) in table {
        assert_eq!(words(policy, &calm(), now), expected, "{now}");
    }
    let nowhere = Circumstances {
        zone: None,
        taken_back: None,
        ..calm()
    };
    assert_eq!(words(&policy, &nowhere, "2026-11-23T02:30:00Z"), "");
}

#[test]
fn daylight_says_when_it_comes() {
    let policy = asking(|policy| {
        policy.solar = Some(winter_sun());
    });
    // The sun is up in Helsinki from about 8:35 to 15:30.
    assert_eq!(words(&policy, &calm(), "2026-11-21T10:00:00Z"), "");
    let got = words(&policy, &calm(), "2026-11-21T16:00:00Z");
    assert!(
        got.starts_with("waits for daylight: it comes tomorrow at 08:3"),
        "{got}"
    );
    assert!(got.ends_with(" (Europe/Helsinki)"), "{got}");
    let verdict = judge(&policy, &calm(), at("2026-11-21T16:00:00Z"), false);
    let changes_at = verdict.changes_at().unwrap();
    assert!(judge(&policy, &calm(), changes_at, false).allows());
}

#[test]
fn a_clock_that_was_never_set_closes_windows_in_words() {
    let unset = "1970-01-01T00:00:12Z";
    let policy = asking(|policy| {
        policy.windows = Some(Window::default());
        policy.solar = Some(winter_sun());
    });
    let verdict = judge(&policy, &calm(), at(unset), false);
    assert_eq!(verdict.rules(), [Rule::Window, Rule::Sun]);
    let words = verdict.words();
    assert!(
        words.contains("the clock was never set: it says 1970-01-01T00:00:12Z"),
        "{words}"
    );
    assert_eq!(verdict.changes_at(), None);
    assert!(judge(&policy, &calm(), at(unset), true).allows());
}

#[test]
fn crashes_and_shares_have_their_limits() {
    let policy = asking(|policy| {
        policy.max_crashes = Some(3);
        policy.cohort_share = Share::percent(50.0).unwrap();
    });
    let unlucky = Circumstances {
        crashes: 4,
        cohort: Cohort(u64::MAX / 4 * 3),
        ..calm()
    };
    assert_eq!(words(&policy, &calm(), NOON), "");
    assert_eq!(
        words(&policy, &unlucky, NOON),
        "waits for the service to run stably: 4 crashes, at most 3; \
         waits for a larger share: its place is 75.00 %, and those below 50 % take part"
    );
}

#[test]
fn required_releases_pass_over_wishes_but_not_over_power() {
    let policy = asking(|policy| {
        policy.min_battery_percent = Some(30);
        policy.needs_mains = true;
        policy.max_crashes = Some(0);
        policy.cohort_share = Share::NONE;
        policy.windows = Some(window());
        policy.solar = Some(winter_sun());
    });
    let bad = Circumstances {
        power: power(Charge::Percent(3), Some(false)),
        crashes: 1,
        ..calm()
    };
    let night = at("2026-11-21T22:00:00Z");
    let all = judge(&policy, &bad, night, false);
    assert_eq!(
        all.rules(),
        [
            Rule::Window,
            Rule::Sun,
            Rule::Battery,
            Rule::Mains,
            Rule::Stable,
            Rule::Cohort
        ]
    );
    assert_eq!(all.words().matches("waits for").count(), 6);
    let required = judge(&policy, &bad, night, true);
    assert_eq!(required.rules(), [Rule::Battery, Rule::Mains]);
    let passed_over = required
        .outcomes
        .iter()
        .filter(|outcome| outcome.finding == Finding::Required);
    assert_eq!(passed_over.count(), 4);
}

prop_compose! {
    fn any_policy()(
        min_battery_percent in proptest::option::of(0u8..=100),
        needs_mains in any::<bool>(),
        max_crashes in proptest::option::of(0u32..5),
        parts in 0u32..=1_000_000,
        has_window in any::<bool>(),
        has_sun in any::<bool>(),
    ) -> PolicyConfig {
        asking(|policy| {
policy.min_battery_percent = min_battery_percent;
policy.needs_mains = needs_mains;
policy.max_crashes = max_crashes;
policy.cohort_share = Share::from_parts_per_million(parts).unwrap();
policy.windows = has_window.then(window);
policy.solar = has_sun.then(winter_sun);
})
    }
}

prop_compose! {
    fn any_circumstances()(
        percent in proptest::option::of(0u8..=100),
        has_battery in any::<bool>(),
        on_mains in proptest::option::of(any::<bool>()),
        crashes in 0u32..8,
        place in any::<u64>(),
        has_zone in any::<bool>(),
    ) -> Circumstances {
        let charge = match percent {
            _ if !has_battery => Charge::NoBattery,
            Some(percent) => Charge::Percent(percent),
            None => Charge::Unknown,
        };
        Circumstances {
            power: Power { charge, on_mains },
            crashes,
            cohort: Cohort(place),
            zone: has_zone.then(|| "America/New_York".to_owned()),
            taken_back: None,
        }
    }
}

proptest! {
    #[test]
    fn every_rule_is_walked_and_every_blocker_has_words(
        policy in any_policy(),
        circumstances in any_circumstances(),
        sec in 0u64..3_000_000_000,
        is_required in any::<bool>(),
    ) {
        let now = Timestamp(0).plus_sec(sec);
        let verdict = judge(&policy, &circumstances, now, is_required);
        prop_assert_eq!(verdict.outcomes.len(), 7);
        prop_assert_eq!(verdict.allows(), verdict.rules().is_empty());
        prop_assert_eq!(verdict.words().matches("waits for").count(), verdict.rules().len());
        // A required release is held back by power alone, and never by more than another is.
        let (other, required) = (
            judge(&policy, &circumstances, now, false).rules(),
            judge(&policy, &circumstances, now, true).rules(),
        );
        let power: Vec<Rule> = other
            .into_iter()
            .filter(|rule| matches!(rule, Rule::Battery | Rule::Mains))
            .collect();
        prop_assert_eq!(required, power);
    }

    /// More charge, mains, fewer crashes or a larger share never hold back what was let go.
    #[test]
    fn what_is_better_is_never_worse(
        policy in any_policy(),
        circumstances in any_circumstances(),
        percent in 0u8..=100,
    ) {
        let now = at(NOON);
        let before = judge(&policy, &circumstances, now, false);
        let better = Circumstances {
            power: Power {
                charge: match circumstances.power.charge {
                    Charge::Percent(was) => Charge::Percent(was.max(percent)),
                    charge => charge,
                },
                on_mains: circumstances.power.on_mains.map(|_| true),
            },
            crashes: circumstances.crashes / 2,
            ..circumstances
        };
        let mut wider = policy;
        wider.cohort_share = Share::ALL;
        let after = judge(&wider, &better, now, false);
        prop_assert!(after.rules().iter().all(|rule| before.rules().contains(rule)));
    }
}
