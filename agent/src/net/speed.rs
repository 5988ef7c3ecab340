//! Whether bytes come fast enough: one that sends a byte now and then would keep a device from updating without a word.

use std::time::Duration;

use tokio::time::Instant;

/// How fast bytes must come, and over how long that is measured.
#[derive(Debug, Clone, Copy)]
pub struct LeastSpeed {
    /// Bytes in a second; 0 is no limit.
    pub bytes_per_sec: u64,
    /// Time over which it is measured.
    pub over: Duration,
}

/// Measures one connection.
#[derive(Debug)]
pub(super) struct Speed {
    least: LeastSpeed,
    began: Instant,
    bytes: u64,
}

impl Speed {
    /// Begins to measure.
    pub(super) fn new(least: LeastSpeed, now: Instant) -> Self {
        Self {
            least,
            began: now,
            bytes: 0,
        }
    }

    /// Takes bytes that came; returns how many came in the time that is measured, where they were too few.
    pub(super) fn take(&mut self, bytes: u64, now: Instant) -> Option<u64> {
        self.bytes = self.bytes.saturating_add(bytes);
        let passed = now.saturating_duration_since(self.began);
        if passed < self.least.over {
            return None;
        }
        let needed = self.least.bytes_per_sec as f64 * passed.as_secs_f64();
        let came = self.bytes;
        (self.began, self.bytes) = (now, 0);
        ((came as f64) < needed).then_some(came)
    }

    /// Leaves out a time in which this device itself waited.
    pub(super) fn leave_out(&mut self, waited: Duration) {
        self.began += waited;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: LeastSpeed = LeastSpeed {
        bytes_per_sec: 100,
        over: Duration::from_secs(60),
    };

    #[test]
    fn too_few_bytes_in_a_minute_are_told() {
        let start = Instant::now();
        let at = |sec| start + Duration::from_secs(sec);
        let mut speed = Speed::new(MINUTE, start);
        assert_eq!(speed.take(1, at(59)), None);
        assert_eq!(speed.take(1, at(60)), Some(2));
        // It is measured anew from there.
        assert_eq!(speed.take(6000, at(61)), None);
        assert_eq!(speed.take(0, at(120)), None);
        assert_eq!(speed.take(5999, at(180)), Some(5999));
    }

    #[test]
    fn what_the_device_itself_waits_does_not_count() {
        let start = Instant::now();
        let mut speed = Speed::new(MINUTE, start);
        speed.leave_out(Duration::from_secs(600));
        assert_eq!(speed.take(10, start + Duration::from_secs(650)), None);
        assert_eq!(speed.take(0, start + Duration::from_secs(660)), Some(10));
    }

    #[test]
    fn without_a_limit_nothing_is_too_slow() {
        let start = Instant::now();
        let least = LeastSpeed {
            bytes_per_sec: 0,
            ..MINUTE
        };
        assert_eq!(
            Speed::new(least, start).take(0, start + Duration::from_secs(9999)),
            None
        );
    }
}
