//! How fast it all goes.

/// How fast the demo goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Seconds between two check-ins.
    pub(super) check_in_sec: u32,
    /// Time that each of installing, rebooting and verifying takes on a simulated device.
    pub(super) step: &'static str,
    /// Time that a phase waits once its sample is complete.
    pub(super) soak: &'static str,
}

impl Pace {
    /// Slow enough to watch, or as fast as it goes.
    pub(super) fn new(is_fast: bool) -> Self {
        if is_fast {
            Self {
                check_in_sec: 1,
                step: "200ms",
                soak: "1s",
            }
        } else {
            Self {
                check_in_sec: 2,
                step: "1500ms",
                soak: "4s",
            }
        }
    }
}
