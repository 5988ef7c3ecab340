//! How far a device's clock is from the server's: whoever looks for the cause of a strange date should see it.

use crate::time::Timestamp;

/// Seconds that a clock may be off without a word: networks are slow, and cheap clocks drift.
pub const TOLERATED_SEC: u64 = 600;

/// Returns how many seconds a clock is ahead of the server's, negative where it is behind.
pub fn clock_off_sec(clock: Timestamp, server: Timestamp) -> i64 {
    clock.0.saturating_sub(server.0) / 1000
}

/// Returns the difference where it is more than [`TOLERATED_SEC`].
pub fn notable(off_sec: i64) -> Option<i64> {
    (off_sec.unsigned_abs() > TOLERATED_SEC).then_some(off_sec)
}

/// Tells whether a clock is off by clearly more or less than it was known to be; none is right.
pub fn has_moved(known: Option<i64>, off_sec: i64) -> bool {
    notable(off_sec.saturating_sub(known.unwrap_or(0))).is_some()
}

/// Writes a difference in its two largest units, such as `1 year 3 days behind`.
pub fn clock_off_words(off_sec: i64) -> String {
    const UNITS: [(u64, &str); 5] = [
        (365 * 86_400, "year"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let direction = if off_sec < 0 { "behind" } else { "ahead" };
    let mut rest = off_sec.unsigned_abs();
    let mut words = Vec::new();
    for (length, name) in UNITS {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            let plural = if count == 1 { "" } else { "s" };
            words.push(format!("{count} {name}{plural}"));
        }
        // A year and some hours are a year.
        if !words.is_empty() && (words.len() == 2 || count == 0) {
            break;
        }
    }
    if words.is_empty() {
        return "right".to_owned();
    }
    format!("{} {direction}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_read_as_people_say_them() {
        let cases = [
            (0, "right"),
            (601, "10 minutes 1 second ahead"),
            (-660, "11 minutes behind"),
            (-(368 * 86_400 + 7200), "1 year 3 days behind"),
            (365 * 86_400 + 7200, "1 year ahead"),
            (2 * 3600 + 300, "2 hours 5 minutes ahead"),
            (i64::MIN, "292471208677 years 195 days behind"),
        ];
        for (off_sec, words) in cases {
            assert_eq!(clock_off_words(off_sec), words);
        }
    }

    #[test]
    fn ten_minutes_are_tolerated_and_changes_count_from_what_is_known() {
        let server = Timestamp(1_767_225_600_000);
        assert_eq!(clock_off_sec(server.minus_sec(700), server), -700);
        assert_eq!(clock_off_sec(Timestamp(i64::MIN), server), i64::MIN / 1000);
        assert_eq!((notable(600), notable(-601)), (None, Some(-601)));
        for (known, off_sec, moved) in [
            (None, 600, false),
            (None, 601, true),
            (Some(601), 590, false),
            (Some(601), 0, true),
            (Some(-31_536_000), -31_536_500, false),
            (Some(-31_536_000), 0, true),
            (Some(i64::MAX), i64::MIN, true),
        ] {
            assert_eq!(has_moved(known, off_sec), moved, "{known:?} {off_sec}");
        }
    }
}
