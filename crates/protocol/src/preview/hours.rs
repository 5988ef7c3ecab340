//! Windows as a forecast passes through them.

use super::Hours;
use crate::time::Timestamp;
use crate::window::{Joint, Window, joint_closing, joint_opening};

/// Where hours stand, and until when.
#[derive(Debug)]
pub(super) struct Clock<'a> {
    windows: Vec<&'a Window>,
    zone: Option<&'a str>,
    pub(super) is_open: bool,
    /// When that changes; `None` where it is over a year away.
    pub(super) until: Option<Timestamp>,
}

impl<'a> Clock<'a> {
    pub(super) fn new(hours: &'a Hours, now: Timestamp) -> Self {
        let mut clock = Self {
            windows: hours.windows.iter().collect(),
            zone: hours.zone.as_deref(),
            is_open: true,
            until: None,
        };
        clock.set(now);
        clock
    }

    /// Brings it to a moment that is not before the last.
    pub(super) fn pass(&mut self, now: Timestamp) {
        if self.until.is_some_and(|until| until <= now) {
            self.set(now);
        }
    }

    fn set(&mut self, now: Timestamp) {
        match joint_opening(&self.windows, now, self.zone) {
            Joint::Open => {
                self.is_open = true;
                self.until = joint_closing(&self.windows, now, self.zone);
            }
            Joint::Closed { opens_at, .. } => {
                self.is_open = false;
                self.until = opens_at;
            }
        }
    }
}
