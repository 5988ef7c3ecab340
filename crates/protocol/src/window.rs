//! Times at which updates may start: weekly windows, and freezes at which they may not.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, ToSpan};
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
/// One whose end is not after its start goes on past midnight into the next day; equal ends mean a whole day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WeeklySpan {
    /// Days on which it starts.
    pub days: Vec<Weekday>,
    /// Start, 0 to 1439.
    pub start_minute: u16,
    /// End, 0 to 1439.
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
    #[error("a window's minutes go from 0 to 1439, not {0}")]
    Minute(u16),
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
            for minute in [span.start_minute, span.end_minute] {
                if minute >= 1440 {
                    return Err(WindowError::Minute(minute));
                }
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
        let opens_at = self
            .next_starts(local.date())
            .flat_map(|start| instants(start, &zone))
            .find(|start| *start > now);
        Opening::Closed { opens_at }
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

/// Returns the moments at which a zone's clock shows a local time: one, two where the clock is set back over it, and where
/// it is set forward past it, the moment of that.
fn instants(local: DateTime, zone: &TimeZone) -> impl Iterator<Item = Timestamp> + use<> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let found = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => [ambiguous.compatible().ok(), None],
        AmbiguousOffset::Fold { .. } => [ambiguous.earlier().ok(), ambiguous.later().ok()],
        AmbiguousOffset::Gap { .. } => {
            let change = ambiguous
                .later()
                .ok()
                .and_then(|after| zone.preceding(after).next());
            [change.map(|change| change.timestamp()), None]
        }
    };
    found.into_iter().flatten().map(Timestamp::from)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn nightly(zone: Option<&str>) -> Window {
        let span = WeeklySpan {
            days: vec![Weekday::Saturday, Weekday::Sunday],
            start_minute: 22 * 60,
            end_minute: 4 * 60,
        };
        Window {
            zone: zone.map(str::to_owned),
            spans: vec![span],
            freezes: vec![],
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn crosses_midnight_on_sundays() {
        let window = nightly(Some("Europe/Helsinki"));
        // Sunday 23:30 and Monday 03:59 in Helsinki, then Monday 04:00.
        assert_eq!(window.at(at("2026-01-11T21:30:00Z"), None), Opening::Open);
        assert_eq!(window.at(at("2026-01-12T01:59:00Z"), None), Opening::Open);
        let closed = window.at(at("2026-01-12T02:00:00Z"), None);
        assert_eq!(
            closed,
            Opening::Closed {
                opens_at: Some(at("2026-01-17T20:00:00Z"))
            }
        );
    }

    #[test]
    fn the_devices_zone_counts_without_one() {
        let window = nightly(None);
        let now = at("2026-01-11T21:30:00Z");
        assert_eq!(window.at(now, Some("Europe/Helsinki")), Opening::Open);
        assert!(matches!(
            window.at(now, Some("UTC")),
            Opening::Closed { .. }
        ));
        assert!(matches!(
            window.at(now, Some("No/Such")),
            Opening::Closed { .. }
        ));
    }

    #[test]
    fn daylight_saving_moves_the_opening() {
        let window = Window {
            zone: Some("Europe/Helsinki".into()),
            spans: vec![WeeklySpan {
                days: Weekday::ALL.to_vec(),
                start_minute: 210,
                end_minute: 300,
            }],
            freezes: vec![],
        };
        // 03:30 does not exist on 2026-03-29 in Helsinki: the clock goes from 03:00 to 04:00.
        assert_eq!(
            window.at(at("2026-03-29T00:00:00Z"), None),
            closed_until("2026-03-29T01:00:00Z")
        );
        assert_eq!(window.at(at("2026-03-29T01:00:00Z"), None), Opening::Open);
        // 03:30 comes twice on 2026-10-25: the clock goes from 04:00 back to 03:00.
        assert_eq!(
            window.at(at("2026-10-25T00:00:00Z"), None),
            closed_until("2026-10-25T00:30:00Z")
        );
        assert_eq!(
            window.at(at("2026-10-25T01:10:00Z"), None),
            closed_until("2026-10-25T01:30:00Z")
        );
    }

    fn closed_until(text: &str) -> Opening {
        Opening::Closed {
            opens_at: Some(at(text)),
        }
    }

    #[test]
    fn freezes_close_and_end() {
        let freeze = Freeze {
            from: "2026-12-20".parse().unwrap(),
            until: "2027-01-03".parse().unwrap(),
            reason: String::new(),
        };
        let window = Window {
            zone: Some("UTC".into()),
            spans: vec![],
            freezes: vec![freeze],
        };
        assert_eq!(window.at(at("2026-12-19T23:59:59Z"), None), Opening::Open);
        assert_eq!(
            window.at(at("2026-12-24T12:00:00Z"), None),
            closed_until("2027-01-04T00:00:00Z")
        );
    }

    #[test]
    fn bad_windows_are_named() {
        let mut window = nightly(Some("Mars/Olympus"));
        assert_eq!(
            window.check(),
            Err(WindowError::UnknownZone("Mars/Olympus".into()))
        );
        window = nightly(None);
        window.spans[0].end_minute = 1440;
        assert_eq!(window.check(), Err(WindowError::Minute(1440)));
        window.spans[0].days.clear();
        assert_eq!(window.check(), Err(WindowError::NoDay));
    }
}
