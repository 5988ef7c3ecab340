//! When windows that are open close.

use jiff::Span;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::{LOOK_AHEAD, LOOK_AHEAD_DAYS, Window, time_of};
use crate::time::Timestamp;

/// Returns when the first of several windows that are all open at `now` closes; `None` where that is over a year away.
pub fn joint_closing(
    windows: &[&Window],
    now: Timestamp,
    device_zone: Option<&str>,
) -> Option<Timestamp> {
    let closes_at = |window: &&Window| {
        let zone = window.zone_for(device_zone);
        window.next_closing(now.to_jiff(), &zone)
    };
    windows
        .iter()
        .filter_map(closes_at)
        .min()
        .map(Timestamp::from)
}

impl Window {
    /// Returns the first moment after `now` at which it is closed. Goes from one change of the zone's clock to the next, as
    /// the search for an opening does.
    fn next_closing(&self, now: jiff::Timestamp, zone: &TimeZone) -> Option<jiff::Timestamp> {
        if self.spans.is_empty() && self.freezes.is_empty() {
            return None;
        }
        let horizon = now.checked_add(LOOK_AHEAD).unwrap_or(jiff::Timestamp::MAX);
        let changes = zone.following(now).map(|change| change.timestamp());
        let mut begin = now;
        for end in changes.take_while(|at| *at <= horizon).chain([horizon]) {
            let offset = zone.to_offset(begin);
            let local = offset.to_datetime(begin);
            if begin > now && !self.is_open_on(local) {
                return Some(begin);
            }
            let found = self
                .next_ends(local.date())
                .filter(|moment| !self.is_open_on(*moment))
                .filter_map(|moment| offset.to_timestamp(moment).ok())
                .take_while(|moment| *moment < end)
                .find(|moment| *moment > begin);
            if found.is_some() {
                return found;
            }
            begin = end;
        }
        None
    }

    /// Returns the local times from a day on at which the window may close, in order: ends of spans, and midnights at which
    /// a freeze begins.
    fn next_ends(&self, from: Date) -> impl Iterator<Item = DateTime> + use<> {
        let ends = self.spans.iter().map(|span| span.end_minute);
        let mut minutes: Vec<u16> = ends.filter(|minute| *minute < 1440).chain([0]).collect();
        minutes.sort_unstable();
        minutes.dedup();
        let days = (0..=LOOK_AHEAD_DAYS)
            .filter_map(move |day| from.checked_add(Span::new().days(day)).ok());
        days.flat_map(move |day| minutes.clone().into_iter().map(move |minute| (day, minute)))
            .filter_map(|(day, minute)| Some(day.to_datetime(time_of(minute)?)))
    }
}
