//! Several windows at once: a rollout's and those of a device's groups, all of which must be open.

use jiff::ToSpan;
use jiff::tz::TimeZone;

use super::{Opening, Window};
use crate::time::Timestamp;

/// What several windows say of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joint {
    /// All are open.
    Open,
    /// One or more are closed.
    Closed {
        /// The first that is closed, by its place.
        place: usize,
        /// When all are open next; `None` where that is over a year away.
        opens_at: Option<Timestamp>,
    },
}

/// How often windows' openings are tried against each other before it is taken that they never meet.
const MAX_TURNS: usize = 1_000;

/// Tells whether updates may start at `now` by all windows, and if not, when.
pub fn joint_opening(windows: &[&Window], now: Timestamp, device_zone: Option<&str>) -> Joint {
    let closed_at = |moment: Timestamp| {
        windows.iter().enumerate().find_map(|(place, window)| {
            match window.at(moment, device_zone) {
                Opening::Open => None,
                Opening::Closed { opens_at } => Some((place, opens_at)),
            }
        })
    };
    let Some((place, first)) = closed_at(now) else {
        return Joint::Open;
    };
    let horizon = now.plus_sec(366 * 86_400);
    let mut next = first;
    for _ in 0..MAX_TURNS {
        let Some(moment) = next.filter(|moment| *moment <= horizon) else {
            break;
        };
        match closed_at(moment) {
            None => {
                let opens_at = Some(moment);
                return Joint::Closed { place, opens_at };
            }
            Some((_, opens_at)) => next = opens_at,
        }
    }
    Joint::Closed {
        place,
        opens_at: None,
    }
}

/// Returns a moment as people near it say it: `today at 22:00`, `on Saturday at 08:30`, `on 2027-01-04 at 06:00`.
pub fn local_words(moment: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (then, today) = (
        moment.to_jiff().to_zoned(zone.clone()).datetime(),
        now.to_jiff().to_zoned(zone.clone()).date(),
    );
    let time = then.strftime("%H:%M");
    let is_within = |days: i64| {
        today
            .checked_add(days.days())
            .is_ok_and(|day| then.date() <= day)
    };
    if then.date() == today {
        format!("today at {time}")
    } else if then.date() > today && is_within(1) {
        format!("tomorrow at {time}")
    } else if then.date() > today && is_within(6) {
        format!("on {} at {time}", then.strftime("%A"))
    } else {
        format!("on {} at {time}", then.date())
    }
}
