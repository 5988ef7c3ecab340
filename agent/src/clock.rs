//! The device's clock, which may be wrong.

use otter_protocol::Timestamp;

/// No program is older than its source: metadata that expired before this was expired when it came.
pub(crate) const SOURCE_TIME: Timestamp = Timestamp(1_767_225_600_000);

/// Returns what the clock says.
pub(crate) fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

/// Returns a time without its fraction of a second, for people.
pub(crate) fn to_second(at: Timestamp) -> Timestamp {
    Timestamp(at.0.div_euclid(1000).saturating_mul(1000))
}

/// Tells whether a clock that says this was ever set.
pub(crate) fn was_set(now: Timestamp) -> bool {
    now >= SOURCE_TIME
}

/// Returns the time to judge expiry by: never before this source, nor before what was trusted.
pub(crate) fn trusted_now(last_trusted: Option<Timestamp>) -> jiff::Timestamp {
    otter_trust::trusted_now(
        SOURCE_TIME.to_jiff(),
        last_trusted.map(Timestamp::to_jiff),
        jiff::Timestamp::now(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_clock_is_older_than_its_program() {
        assert!(was_set(SOURCE_TIME) && was_set(now()));
        assert!(!was_set(Timestamp(SOURCE_TIME.0 - 1)) && !was_set(Timestamp(0)));
    }

    #[test]
    fn trusted_time_never_goes_back() {
        let later = now().plus_sec(3600);
        assert_eq!(trusted_now(Some(later)), later.to_jiff());
        assert!(trusted_now(None) >= SOURCE_TIME.to_jiff());
        assert!(trusted_now(Some(Timestamp(0))) > SOURCE_TIME.to_jiff());
    }
}
