//! Numbers, times and texts as people write and read them.

use std::time::Duration;

use jiff::Timestamp;

/// Reads a duration: `500ms`, `10s`, `5m`, `2h`, `7d`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("`{text}` is no duration; write 500ms, 10s, 5m, 2h or 7d");
    let (number, unit) = split_number(text);
    let number: f64 = number.parse().map_err(|_| error())?;
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(error()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| error())
}

/// Reads a number of bytes: `500000`, `64KiB`, `10MB`, `1GiB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let error = || format!("`{text}` is no number of bytes; write 500000, 64KiB, 10MB or 1GiB");
    let (number, unit) = split_number(text);
    let number: u64 = number.parse().map_err(|_| error())?;
    let factor = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(error()),
    };
    number.checked_mul(factor).ok_or_else(error)
}

/// Splits a text where its number ends; the unit comes without space around it.
fn split_number(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

/// Writes a number of bytes for people.
pub fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// Writes how long ago something was, for people.
pub fn ago(then: otter_protocol::Timestamp, now: otter_protocol::Timestamp) -> String {
    match now.sec_since(then) {
        0..=1 => "just now".to_owned(),
        sec @ 2..=119 => format!("{sec} s ago"),
        sec @ 120..=7199 => format!("{} min ago", sec / 60),
        sec @ 7200..=172_799 => format!("{} h ago", sec / 3600),
        sec => format!("{} days ago", sec / 86_400),
    }
}

/// Writes how far ahead something is, for people.
pub fn until(then: otter_protocol::Timestamp, now: otter_protocol::Timestamp) -> String {
    match then.sec_since(now) {
        0..=1 => "now".to_owned(),
        sec @ 2..=119 => format!("in {sec} s"),
        sec @ 120..=7199 => format!("in {} min", sec / 60),
        sec @ 7200..=172_799 => format!("in {} h", sec / 3600),
        sec => format!("in {} days", sec / 86_400),
    }
}

/// Returns the time now, as the protocol writes it.
pub fn now() -> otter_protocol::Timestamp {
    Timestamp::now().into()
}

/// Returns a text that can't move the cursor or hide what it says: what devices say is theirs, not ours.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '\n',
            c if c.is_control() || is_direction_mark(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Tells whether a character turns the direction of what follows.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns one line: line breaks become spaces.
pub fn one_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

/// Returns the first digits of a digest, enough to tell artifacts apart.
pub fn short(digest: &otter_protocol::Sha256Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

/// Writes a count with its noun: `1 device`, `2 devices`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration(" 2 h"), Ok(Duration::from_secs(7200)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for bad in ["", "s", "-1s", "10 lightyears", "1..2s", "1e3s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_are_read() {
        assert_eq!(bytes("500000"), Ok(500_000));
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("10 MB"), Ok(10_000_000));
        for bad in ["", "KiB", "1.5MiB", "-1", "99999999999GiB", "1 TB?"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_device_says_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r\nc"), "a\u{fffd}[2Jb\u{fffd}\nc");
        assert_eq!(one_line("a\nb\u{202e}"), "a b\u{fffd}");
    }

    #[test]
    fn times_are_told_from_now() {
        let now = otter_protocol::Timestamp(1_000_000_000);
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now.minus_sec(90), now), "90 s ago");
        assert_eq!(ago(now.minus_sec(7200), now), "2 h ago");
        assert_eq!(until(now.plus_sec(90), now), "in 90 s");
        assert_eq!(until(now.plus_sec(3 * 86_400), now), "in 3 days");
        assert_eq!(until(now.minus_sec(5), now), "now");
        // A server whose clock is ahead of ours.
        assert_eq!(ago(now.plus_sec(60), now), "just now");
    }
}
