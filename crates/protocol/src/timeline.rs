//! What the fleet ran when: samples, each the first of a stretch of the clock, and how long they are kept.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::version::Version;

/// How far a timeline looks back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// An hour, by the minute.
    Hour,
    /// A day, by the quarter of an hour.
    #[default]
    Day,
    /// A week, by two hours.
    Week,
    /// Thirty days, by eight hours.
    Month,
}

impl Span {
    /// All spans, the shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Returns the span as addresses write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// Returns the span of that name.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|span| span.as_str() == text)
    }

    /// Returns its length in seconds.
    pub fn sec(self) -> u64 {
        match self {
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            Self::Month => 30 * 86_400,
        }
    }

    /// Returns the seconds between two of its samples.
    pub fn step_sec(self) -> u32 {
        match self {
            Self::Hour => 60,
            Self::Day => 900,
            Self::Week => 7200,
            Self::Month => 28_800,
        }
    }

    /// Returns for how many seconds samples are kept that no longer span needs.
    pub fn keep_sec(self) -> u64 {
        self.sec() + 2 * u64::from(self.step_sec())
    }

    /// Returns the longest span for which a sample taken now is the first of its step after the last one; none where the
    /// minute has one already.
    pub fn of_sample(now: Timestamp, last: Option<Timestamp>) -> Option<Self> {
        let Some(last) = last else {
            return Some(Self::Month);
        };
        let step = |at: Timestamp, span: Self| at.0.div_euclid(i64::from(span.step_sec()) * 1000);
        Self::ALL
            .into_iter()
            .rev()
            .find(|span| step(now, *span) > step(last, *span))
    }
}

/// How many devices ran what, over a span.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Timeline {
    /// How far it looks back.
    pub span: Span,
    /// Where it ends.
    pub until: Timestamp,
    /// The versions that most devices ran, the oldest version first.
    pub versions: Vec<Version>,
    /// Samples, the oldest first.
    pub samples: Vec<Sample>,
    /// Check-ins of the last whole minute, of all servers.
    pub check_ins_per_minute: u64,
}

/// How many devices ran what, at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Devices on each of the timeline's versions, in their order.
    pub devices: Vec<u64>,
    /// Devices on any other.
    pub others: u64,
}

impl Sample {
    /// Returns how many devices there were.
    pub fn total(&self) -> u64 {
        self.devices.iter().sum::<u64>() + self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_stands_for_the_longest_stretch_that_it_begins() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let last = Some(at("2030-01-02T03:59:30Z"));
        for (now, span) in [
            ("2030-01-02T03:59:59Z", None),
            ("2030-01-02T04:00:00Z", Some(Span::Week)),
            ("2030-01-02T05:01:00Z", Some(Span::Week)),
            ("2030-01-02T08:00:10Z", Some(Span::Month)),
            ("2030-01-05T00:00:00Z", Some(Span::Month)),
        ] {
            assert_eq!(Span::of_sample(at(now), last), span, "{now}");
        }
        let last = Some(at("2030-01-02T04:00:30Z"));
        assert_eq!(
            Span::of_sample(at("2030-01-02T04:01:00Z"), last),
            Some(Span::Hour)
        );
        assert_eq!(
            Span::of_sample(at("2030-01-02T04:15:00Z"), last),
            Some(Span::Day)
        );
        assert_eq!(
            Span::of_sample(at("2030-01-02T04:15:00Z"), None),
            Some(Span::Month)
        );
        // A clock that was put back waits until it has caught up.
        assert_eq!(Span::of_sample(at("2030-01-01T00:00:00Z"), last), None);
    }

    #[test]
    fn no_timeline_has_more_samples_than_can_be_drawn() {
        for span in Span::ALL {
            assert!(span.sec() / u64::from(span.step_sec()) <= 100);
            assert_eq!(Span::named(span.as_str()), Some(span));
        }
    }
}
