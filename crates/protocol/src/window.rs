//! Times at which updates may start: weekly windows, and freezes at which they may not.

mod closing;
mod joint;
#[cfg(test)]
mod tests;

pub use closing::joint_closing;
pub use joint::{Joint, joint_opening, local_words};

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, ToSpan};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Monday
    Monday,
    /// Tuesday
    Tuesday,
    /// Wednesday
    Wednesday,
    /// Thursday
    Thursday,
    /// Friday
    Friday,
    /// Saturday
    Saturday,
    /// Sunday
    Sunday,
}

impl Weekday {
    /// The week, Monday first.
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    fn of(date: Date) -> Self {
        match date.weekday() {
            jiff::civil::Weekday::Monday => Self::Monday,
            jiff::civil::Weekday::Tuesday => Self::Tuesday,
            jiff::civil::Weekday::Wednesday => Self::Wednesday,
            jiff::civil::Weekday::Thursday => Self::Thursday,
            jiff::civil::Weekday::Friday => Self::Friday,
            jiff::civil::Weekday::Saturday => Self::Saturday,
            jiff::civil::Weekday::Sunday => Self::Sunday,
        }
    }
}

/// A weekly stretch of time, on each of `days` from `start` to `end`, minutes after local midnight.
///
/// One whose end is before its start goes on past midnight into the next day; 0 to 1440 is a whole day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WeeklySpan {
    /// Days on which it starts.
    pub days: Vec<Weekday>,
    /// Start, 0 to 1439.
    pub start_minute: u16,
    /// End, 0 to 1440.
    pub end_minute: u16,
}

/// Dates, both included, at which no update may start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Freeze {
    /// First day.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
    pub from: Date,
    /// Last day.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
    pub until: Date,
    /// Why, to people.
    #[serde(default)]
    pub reason: String,
}

/// When updates may start: in any of the spans (always, where there is none) and in no freeze.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Window {
    /// An IANA time zone such as `Europe/Helsinki`; without one, the device's own counts.
    #[serde(default)]
    pub zone: Option<String>,
    /// Weekly stretches.
    #[serde(default)]
    pub spans: Vec<WeeklySpan>,
    /// Dates at which nothing starts.
    #[serde(default)]
    pub freezes: Vec<Freeze>,
}

/// A window that can never work as written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The time zone database has no such zone.
    #[error("`{0}` is no IANA time zone; one looks like `Europe/Helsinki` or `UTC`")]
    UnknownZone(String),
    /// A span starts on no day.
    #[error("a window's span names no day")]
    NoDay,
    /// A minute that no day has.
    #[error("a window starts at a minute from 0 to 1439 and ends at one from 0 to 1440, not {0}")]
    Minute(u16),
    /// A span that ends where it starts.
    #[error("a window that starts and ends at minute {0} has no length; a whole day is 0 to 1440")]
    NoLength(u16),
    /// A freeze that ends before it starts.
    #[error("a freeze from {from} until {until} ends before it starts")]
    EmptyFreeze {
        /// First day.
        from: Date,
        /// Last day.
        until: Date,
    },
}

/// What a window says of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// Updates may start.
    Open,
    /// They may not, until then; `None` where that is over a year away.
    Closed {
        /// When it opens next.
        opens_at: Option<Timestamp>,
    },
}

/// How far ahead an opening is looked for, in days.
const LOOK_AHEAD_DAYS: i64 = 366;

/// The same as a duration.
const LOOK_AHEAD: SignedDuration = SignedDuration::from_hours(24 * LOOK_AHEAD_DAYS);

impl Window {
    /// Checks what can be checked without a device.
    pub fn check(&self) -> Result<(), WindowError> {
        if let Some(zone) = &self.zone {
            zone_named(zone).ok_or_else(|| WindowError::UnknownZone(zone.clone()))?;
        }
        for span in &self.spans {
            if span.days.is_empty() {
                return Err(WindowError::NoDay);
            }
            if span.start_minute >= 1440 {
                return Err(WindowError::Minute(span.start_minute));
            }
            if span.end_minute > 1440 {
                return Err(WindowError::Minute(span.end_minute));
            }
            if span.start_minute == span.end_minute {
                return Err(WindowError::NoLength(span.start_minute));
            }
        }
        match self
            .freezes
            .iter()
            .find(|freeze| freeze.until < freeze.from)
        {
            Some(freeze) => Err(WindowError::EmptyFreeze {
                from: freeze.from,
                until: freeze.until,
            }),
            None => Ok(()),
        }
    }

    /// Returns the zone that counts for a device: the window's, else the device's, else UTC.
    pub fn zone_for(&self, device_zone: Option<&str>) -> TimeZone {
        let named = self.zone.as_deref().or(device_zone);
        named.and_then(zone_named).unwrap_or(TimeZone::UTC)
    }

    /// Tells whether updates may start at `now`, and if not, when.
    pub fn at(&self, now: Timestamp, device_zone: Option<&str>) -> Opening {
        let zone = self.zone_for(device_zone);
        let local = now.to_jiff().to_zoned(zone.clone()).datetime();
        if self.is_open_on(local) {
            return Opening::Open;
        }
        let opens_at = self.next_opening(now.to_jiff(), &zone).map(Timestamp::from);
        Opening::Closed { opens_at }
    }

    /// Returns the first moment after `now` at which it is open, where it is closed now. Goes from one change of the zone's
    /// clock to the next: between two, the clock runs evenly, and a change may itself open the window, by taking the clock
    /// back into a span or on past its start.
    fn next_opening(&self, now: jiff::Timestamp, zone: &TimeZone) -> Option<jiff::Timestamp> {
        let horizon = now.checked_add(LOOK_AHEAD).unwrap_or(jiff::Timestamp::MAX);
        let changes = zone.following(now).map(|change| change.timestamp());
        let mut begin = now;
        for end in changes.take_while(|at| *at <= horizon).chain([horizon]) {
            let offset = zone.to_offset(begin);
            let local = offset.to_datetime(begin);
            if begin > now && self.is_open_on(local) {
                return Some(begin);
            }
            let starts = self.next_starts(local.date());
            let found = starts
                .filter_map(|start| offset.to_timestamp(start).ok())
                .take_while(|start| *start < end)
                .find(|start| *start > begin);
            if found.is_some() {
                return found;
            }
            begin = end;
        }
        None
    }

    fn is_frozen(&self, date: Date) -> bool {
        self.freezes
            .iter()
            .any(|freeze| freeze.from <= date && date <= freeze.until)
    }

    fn is_open_on(&self, local: DateTime) -> bool {
        !self.is_frozen(local.date())
            && (self.spans.is_empty() || self.spans.iter().any(|span| span.holds(local)))
    }

    /// Returns the local times from a day on at which the window may open, in order: starts of spans, and midnights at
    /// which a freeze ends.
    fn next_starts(&self, from: Date) -> impl Iterator<Item = DateTime> + '_ {
        let mut minutes: Vec<u16> = self
            .spans
            .iter()
            .map(|span| span.start_minute)
            .chain([0])
            .collect();
        minutes.sort_unstable();
        minutes.dedup();
        let days = (0..=LOOK_AHEAD_DAYS)
            .filter_map(move |day| from.checked_add(Span::new().days(day)).ok());
        days.flat_map(move |day| minutes.clone().into_iter().map(move |minute| (day, minute)))
            .filter_map(|(day, minute)| Some(day.to_datetime(time_of(minute)?)))
            .filter(|start| self.is_open_on(*start))
    }
}

impl WeeklySpan {
    /// Tells whether a local time lies in the span, the part past midnight included.
    fn holds(&self, local: DateTime) -> bool {
        let minute =
            u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let today = self.days.contains(&Weekday::of(local.date()));
        if self.start_minute < self.end_minute {
            return today && (self.start_minute..self.end_minute).contains(&minute);
        }
        let yesterday = local
            .date()
            .checked_sub(1.day())
            .is_ok_and(|day| self.days.contains(&Weekday::of(day)));
        (today && minute >= self.start_minute) || (yesterday && minute < self.end_minute)
    }
}

fn zone_named(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

fn time_of(minute: u16) -> Option<Time> {
    Time::new(
        i8::try_from(minute / 60).ok()?,
        i8::try_from(minute % 60).ok()?,
        0,
        0,
    )
    .ok()
}
