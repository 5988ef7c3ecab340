//! How often something may happen: so many times a minute, some of them at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How many times a minute something may happen on average. After a quiet minute as many may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds that one takes of the minute.
    interval_ns: u64,
    burst_ns: u64,
}

impl Rate {
    /// Makes a rate; `None`, no limit, for 0.
    pub fn per_min(number: u32) -> Option<Self> {
        const MINUTE_NS: u64 = 60_000_000_000;
        let interval_ns = MINUTE_NS.checked_div(number.into())?;
        Some(Self {
            interval_ns,
            // All of the minute but one's own part.
            burst_ns: MINUTE_NS - interval_ns,
        })
    }
}

/// When it may happen next, for one device or address: the generic cell rate algorithm (ITU-T I.371) in one number, so that
/// asking takes a few nanoseconds and no lock.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the average would have been kept, in nanoseconds of [`Ticks`].
    due_ns: AtomicU64,
}

/// The clock of paces.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ticks;

/// Some milliseconds coarse where there is such a clock: reading it takes a tenth of the time that a fine one takes, and a pace
/// needs no better.
const CLOCK: ClockId = {
    #[cfg(target_os = "linux")]
    {
        ClockId::MonotonicCoarse
    }
    #[cfg(not(target_os = "linux"))]
    {
        ClockId::Monotonic
    }
};

impl Ticks {
    /// Returns nanoseconds since some moment before the program began; 64 bits last for centuries.
    pub fn now_ns(self) -> u64 {
        let now = clock_gettime(CLOCK);
        let sec = u64::try_from(now.tv_sec).unwrap_or(0);
        let ns = u64::try_from(now.tv_nsec).unwrap_or(0);
        sec.saturating_mul(1_000_000_000).saturating_add(ns)
    }
}

impl Pace {
    /// Counts one, unless that is too many: then says how long to wait.
    pub fn take(&self, rate: Rate, now_ns: u64) -> Result<(), Duration> {
        let mut due = self.due_ns.load(Ordering::Relaxed);
        loop {
            wait(due, rate, now_ns)?;
            let next = due.max(now_ns).saturating_add(rate.interval_ns);
            let taken =
                self.due_ns
                    .compare_exchange_weak(due, next, Ordering::Relaxed, Ordering::Relaxed);
            match taken {
                Ok(_) => return Ok(()),
                Err(other) => due = other,
            }
        }
    }

    /// Tells how long to wait until there is room for one, without counting it.
    pub fn look(&self, rate: Rate, now_ns: u64) -> Result<(), Duration> {
        wait(self.due_ns.load(Ordering::Relaxed), rate, now_ns)
    }
}

fn wait(due_ns: u64, rate: Rate, now_ns: u64) -> Result<(), Duration> {
    let latest = now_ns.saturating_add(rate.burst_ns);
    if due_ns <= latest {
        return Ok(());
    }
    Err(Duration::from_nanos(due_ns - latest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_minute_s_worth_may_come_at_once_and_then_the_average() {
        let rate = Rate::per_min(60).unwrap();
        let pace = Pace::default();
        let taken = (0..100).filter(|_| pace.take(rate, 0).is_ok()).count();
        assert_eq!(taken, 60);
        assert_eq!(pace.take(rate, 0), Err(Duration::from_secs(1)));
        assert_eq!(pace.look(rate, SECOND), Ok(()));
        assert_eq!(pace.take(rate, SECOND), Ok(()));
        assert!(pace.take(rate, SECOND).is_err());
        let later = 1000 * SECOND;
        let taken = (0..100).filter(|_| pace.take(rate, later).is_ok()).count();
        assert_eq!(taken, 60, "quiet time is not saved up");
        assert_eq!(Rate::per_min(0), None);
    }

    #[test]
    fn many_at_once_get_no_more_than_one_after_another() {
        let rate = Rate::per_min(1000).unwrap();
        let pace = Pace::default();
        let taken: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1000).filter(|_| pace.take(rate, 0).is_ok()).count()))
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
    }
}
