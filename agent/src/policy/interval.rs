//! The least time between two check-ins, kept over restarts of the agent.
//!
//! The journal has the time of the last check-in, but flash wears: it is written with whatever else changes, and by itself
//! only where what is on the disk is older than [`SLACK`]. So after a restart the last check-in was at most that much later
//! than written, and a device waits as if it had been. Where the least time is longer than the slack, every check-in is
//! written, and the wait is exact.

use std::time::Duration;

use otter_protocol::Timestamp;

/// The time of the last check-in is written by itself once it is this much newer than what is on the disk.
const SLACK: Duration = Duration::from_secs(600);

/// Tells whether the time of a check-in is worth a write of its own.
pub(crate) fn is_worth_a_write(on_disk: Option<Timestamp>, now: Timestamp) -> bool {
    // A clock that was set back makes what is written useless.
    on_disk.is_none_or(|written| now < written || now.sec_since(written) >= SLACK.as_secs())
}

/// Returns how long to wait after a restart, so that at least `min` lies between two check-ins. Never longer than `min`,
/// whatever the clock says.
pub(crate) fn wait(written: Option<Timestamp>, now: Timestamp, min: Duration) -> Duration {
    let Some(written) = written else {
        return Duration::ZERO;
    };
    if now < written {
        return min;
    }
    let slack = if min < SLACK { SLACK } else { Duration::ZERO };
    let passed = Duration::from_millis(now.0.abs_diff(written.0));
    (min + slack).saturating_sub(passed).min(min)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WRITTEN: Timestamp = Timestamp(1_800_000_000_000);

    fn waits(sec_later: i64, min_sec: u64) -> u64 {
        let now = Timestamp(WRITTEN.0 + sec_later * 1000);
        wait(Some(WRITTEN), now, Duration::from_secs(min_sec)).as_secs()
    }

    #[test]
    fn a_long_time_is_kept_exactly_and_a_short_one_from_the_start() {
        assert_eq!(wait(None, WRITTEN, Duration::from_secs(60)), Duration::ZERO);
        let table = [
            (0, 3600, 3600),
            (1000, 3600, 2600),
            (3600, 3600, 0),
            (0, 60, 60),
            // The last one may have been nine minutes after what was written.
            (599, 60, 60),
            (630, 60, 30),
            (660, 60, 0),
            // The clock was set back.
            (-5, 3600, 3600),
        ];
        for (later, min, expected) in table {
            assert_eq!(
                waits(later, min),
                expected,
                "{later} s later, at least {min} s"
            );
        }
    }

    proptest! {
        /// However often a device checks in and whenever it is restarted: the least time is kept, and writes are rare.
        #[test]
        fn never_too_early(min in 1u64..5000, gaps in prop::collection::vec((0u64..3000, any::<bool>()), 1..60)) {
            let (mut now, mut on_disk, mut last, mut writes) = (WRITTEN, None, None::<Timestamp>, 0);
            for (more, is_restarted) in gaps {
                if is_restarted {
                    let restarted = now.plus_sec(more);
                    let wait = wait(on_disk, restarted, Duration::from_secs(min));
                    now = Timestamp(restarted.0 + i64::try_from(wait.as_millis()).unwrap());
                } else {
                    now = now.plus_sec(min + more);
                }
                if let Some(last) = last {
                    prop_assert!(now.sec_since(last) >= min);
                }
                if is_worth_a_write(on_disk, now) {
                    prop_assert!(on_disk.is_none_or(|on_disk| now.sec_since(on_disk) >= 600));
                    (on_disk, writes) = (Some(now), writes + 1);
                }
                last = Some(now);
            }
            prop_assert!(writes >= 1);
        }
    }
}
