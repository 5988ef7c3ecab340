//! What time it is, the same on the server and in the browser while a page hydrates.

use leptos::prelude::*;
use otter_protocol::Timestamp;

/// The time, in a page's context.
#[derive(Clone, Copy)]
pub(crate) struct Now(RwSignal<Timestamp>);

impl Now {
    /// Puts the time into the context: the server's at first, which the browser then keeps counting from.
    pub(crate) fn provide() {
        let start = SharedValue::new(now).into_inner();
        let time = Self(RwSignal::new(start));
        provide_context(time);
        Effect::new(move |_| time.keep_counting(start));
    }

    /// Returns the time, and follows it.
    pub(crate) fn get(self) -> Timestamp {
        self.0.get()
    }

    /// Counts on from the server's time by the browser's clock, whose difference to it stays what it is now.
    fn keep_counting(self, start: Timestamp) {
        let ahead = now().0 - start.0;
        let tick = move || self.0.set(Timestamp(now().0 - ahead));
        if let Ok(ticking) = set_interval_with_handle(tick, std::time::Duration::from_secs(5)) {
            on_cleanup(move || ticking.clear());
        }
    }
}

/// Returns the time by this machine's clock.
#[cfg(not(feature = "hydrate"))]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Returns the time by this machine's clock.
#[cfg(feature = "hydrate")]
pub(crate) fn now() -> Timestamp {
    // Milliseconds fit an i64 for as long as there are browsers.
    Timestamp(js_sys::Date::now() as i64)
}

/// Writes a time as it lies from now, such as `5 min ago` or `in 2 h`.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    let is_past = at <= now;
    let sec = if is_past {
        now.sec_since(at)
    } else {
        at.sec_since(now)
    };
    // Clocks and networks make a moment's difference.
    if sec < 5 {
        return "just now".to_owned();
    }
    let span = span(sec);
    if is_past {
        format!("{span} ago")
    } else {
        format!("in {span}")
    }
}

/// Writes a length of time in its largest unit.
pub(crate) fn span(sec: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let unit = UNITS.iter().find(|(length, _)| sec >= *length);
    match unit {
        Some((length, name)) => format!("{} {name}", sec / length),
        None => "0 s".to_owned(),
    }
}

/// Writes a length of time exactly, in its two largest units.
pub(crate) fn exact_span(sec: u64) -> String {
    let rest = |length: u64, over: u64| sec % over / length;
    match sec {
        0..60 => format!("{sec} s"),
        60..3600 if rest(1, 60) == 0 => format!("{} min", sec / 60),
        60..3600 => format!("{} min {} s", sec / 60, rest(1, 60)),
        3600..86_400 if rest(60, 3600) == 0 => format!("{} h", sec / 3600),
        3600..86_400 => format!("{} h {} min", sec / 3600, rest(60, 3600)),
        _ if rest(3600, 86_400) == 0 => format!("{} d", sec / 86_400),
        _ => format!("{} d {} h", sec / 86_400, rest(3600, 86_400)),
    }
}

/// Writes a time exactly, in UTC.
pub(crate) fn exact(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text
        .split_once('.')
        .map_or_else(|| text.trim_end_matches('Z'), |(seconds, _)| seconds);
    format!("{} UTC", seconds.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_from_now() {
        let now = Timestamp(1_767_225_600_123);
        assert_eq!(relative(now.minus_sec(3), now), "just now");
        assert_eq!(relative(now.minus_sec(59), now), "59 s ago");
        assert_eq!(relative(now.minus_sec(7300), now), "2 h ago");
        assert_eq!(relative(now.plus_sec(86_400 * 3), now), "in 3 d");
        assert_eq!(exact(now), "2026-01-01 00:00:00 UTC");
    }

    #[test]
    fn spans_are_exact_in_two_units() {
        for (sec, text) in [
            (0, "0 s"),
            (60, "1 min"),
            (90, "1 min 30 s"),
            (3660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(exact_span(sec), text);
        }
    }
}
