//! How fast bytes are taken: a bucket that fills at a steady rate, and lends what one piece has too much.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

/// How much is saved up while nothing is taken.
const SAVED: Duration = Duration::from_secs(1);

/// A token bucket.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    per_sec: f64,
    /// Bytes that may be taken at once; what was lent is negative.
    saved: f64,
    at: Instant,
}

impl Pace {
    /// Begins with an empty bucket.
    pub(super) fn new(per_sec: NonZeroU64, now: Instant) -> Self {
        Self {
            per_sec: per_sec.get() as f64,
            saved: 0.0,
            at: now,
        }
    }

    /// Takes bytes that came, and returns how long to wait before the next are asked for.
    pub(super) fn take(&mut self, bytes: u64, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let most = self.per_sec * SAVED.as_secs_f64();
        self.saved = (self.saved + passed * self.per_sec).min(most) - bytes as f64;
        self.at = now;
        let debt = (-self.saved).max(0.0);
        Duration::try_from_secs_f64(debt / self.per_sec).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace(per_sec: u64, now: Instant) -> Pace {
        Pace::new(NonZeroU64::new(per_sec).unwrap(), now)
    }

    #[test]
    fn a_piece_that_is_too_large_is_waited_for() {
        let mut now = Instant::now();
        let mut pace = pace(1000, now);
        assert_eq!(pace.take(500, now), Duration::from_millis(500));
        now += Duration::from_millis(500);
        assert_eq!(pace.take(0, now), Duration::ZERO);
        assert_eq!(pace.take(3000, now), Duration::from_secs(3));
        assert_eq!(pace.take(1000, now), Duration::from_secs(4));
    }

    #[test]
    fn a_pause_saves_up_a_second_and_no_more() {
        let mut now = Instant::now();
        let mut pace = pace(1000, now);
        now += Duration::from_secs(3600);
        assert_eq!(pace.take(1000, now), Duration::ZERO);
        assert_eq!(pace.take(1000, now), Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn nobody_is_faster_than_the_rate_and_nobody_waits_in_vain(
            per_sec in 1u64..10_000_000,
            pieces in prop::collection::vec((0u64..1 << 20, 0u64..3000), 1..50),
        ) {
            let begun = Instant::now();
            let mut now = begun;
            let mut pace = pace(per_sec, now);
            let (mut bytes, mut idle) = (0.0, 0.0);
            for (piece, pause) in pieces {
                let pause = Duration::from_millis(pause);
                now += pause;
                idle += pause.as_secs_f64();
                now += pace.take(piece, now);
                bytes += piece as f64;
                let passed = (now - begun).as_secs_f64();
                // A second's worth can be saved, and clocks count nanoseconds.
                prop_assert!(bytes <= per_sec as f64 * (passed + 1.0) + 1.0);
                prop_assert!(passed <= bytes / per_sec as f64 + idle + 0.001);
            }
        }
    }
}
