//! Releases compared by what became of the attempts at them: rates with their intervals, times, and which is recommended.
//!
//! An attempt counts as a success if the device succeeded *and* doesn't say since that it is unhealthy. Attempts that were
//! cancelled or superseded tell nothing of a release and count nowhere.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::admin::ReasonCount;
use crate::gate::wilson_interval;
use crate::id::{Model, ReleaseId, RolloutId};
use crate::version::Version;

/// Finished attempts at a release that a recommendation needs at least: with so many and no failure among them, its lower
/// bound is 88.6 %.
pub const LEAST_ATTEMPTS: u64 = 30;

/// Attempts at one release on one model, counted by their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ends {
    /// Ended on the release; those that are unhealthy now included.
    pub succeeded: u64,
    /// Given up on the old version.
    pub failed: u64,
    /// Back on the old version.
    pub rolled_back: u64,
    /// No word for the deadline.
    pub timed_out: u64,
    /// Of those that succeeded, devices that say they are unhealthy now.
    pub unhealthy: u64,
}

impl Ends {
    /// Returns the attempts that finished.
    pub fn finished(&self) -> u64 {
        self.succeeded + self.failed + self.rolled_back + self.timed_out
    }

    /// Returns the attempts that succeeded and whose devices are healthy still.
    pub fn successes(&self) -> u64 {
        self.succeeded.saturating_sub(self.unhealthy)
    }

    /// Returns the success rate; `None` where nothing finished.
    pub fn success_rate(&self) -> Option<Estimate> {
        let finished = self.finished();
        (finished > 0).then(|| {
            let (low, high) = wilson_interval(self.successes(), finished);
            Estimate {
                value: self.successes() as f64 / finished as f64,
                low,
                high,
            }
        })
    }
}

/// A number with the interval in which it lies with 95 % certainty, as fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Estimate {
    /// As it was seen.
    pub value: f64,
    /// At least that.
    pub low: f64,
    /// At most that.
    pub high: f64,
}

/// How long updates took, from the offer to the success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Durations {
    /// Half took at most that, in seconds.
    pub median_sec: u64,
    /// Nine of ten took at most that, in seconds.
    pub p90_sec: u64,
}

impl Durations {
    /// Takes a histogram: seconds and how many took that, rising; `None` of nothing.
    pub fn of(histogram: &[(u64, u64)]) -> Option<Self> {
        Some(Self {
            median_sec: percentile(histogram, 50)?,
            p90_sec: percentile(histogram, 90)?,
        })
    }
}

/// Returns the least value that so many percent don't exceed (the nearest rank).
fn percentile(histogram: &[(u64, u64)], percent: u64) -> Option<u64> {
    let total: u64 = histogram.iter().map(|(_, count)| count).sum();
    let rank = total.saturating_mul(percent).div_ceil(100).max(1);
    let mut seen = 0;
    histogram.iter().find_map(|(value, count)| {
        seen += count;
        (seen >= rank).then_some(*value)
    })
}

/// What became of one release on one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseRecord {
    /// The model.
    pub model: Model,
    /// The release.
    pub release: ReleaseId,
    /// Its version.
    pub version: Version,
    /// Attempts that finished.
    pub finished: u64,
    /// Of those, by their end.
    #[serde(flatten)]
    pub ends: Ends,
    /// Attempts that succeeded and whose devices are healthy still, among those that finished; absent where none did.
    pub success_rate: Option<Estimate>,
    /// How long the updates took that succeeded; absent where none did.
    pub time_to_update: Option<Durations>,
    /// Why devices rolled back, in their own words, the most frequent first, at most 10.
    pub rollback_reasons: Vec<ReasonCount>,
    /// The rollouts that these attempts belong to.
    pub rollouts: Vec<RolloutId>,
}

/// Two releases on one model against each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Difference {
    /// How much the first's success rate lies above the second's, as a fraction.
    pub by: Estimate,
    /// Tells whether the interval leaves out zero: they differ with 95 % certainty.
    pub is_certain: bool,
}

/// Compares success rates by Newcombe's interval of their difference (method 10, made of the two Wilson intervals), which
/// holds for few attempts and for rates near 100 %, too; `None` where one has no attempts.
///
/// R. G. Newcombe, "Interval estimation for the difference between independent proportions", 1998.
pub fn difference(first: &Ends, second: &Ends) -> Option<Difference> {
    let (a, b) = (first.success_rate()?, second.success_rate()?);
    let value = a.value - b.value;
    let by = Estimate {
        value,
        low: value - (a.value - a.low).hypot(b.high - b.value),
        high: value + (a.high - a.value).hypot(b.value - b.low),
    };
    Some(Difference {
        by,
        is_certain: by.low > 0.0 || by.high < 0.0,
    })
}

/// Two releases on one model, and how they differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pair {
    /// The model.
    pub model: Model,
    /// The first release.
    pub first: ReleaseId,
    /// The second.
    pub second: ReleaseId,
    /// How the first's success rate differs from the second's; absent where one has no attempts.
    pub difference: Option<Difference>,
}

/// Releases compared, by model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Comparison {
    /// What became of each, by model, then in the order in which they were asked for.
    pub records: Vec<ReleaseRecord>,
    /// Each against each on the models that both were tried on.
    pub pairs: Vec<Pair>,
}

impl Comparison {
    /// Compares records, which are by model.
    pub fn of(records: Vec<ReleaseRecord>) -> Self {
        let mut pairs = Vec::new();
        for (place, first) in records.iter().enumerate() {
            let others = records.iter().skip(place + 1);
            for second in others.filter(|second| second.model == first.model) {
                pairs.push(Pair {
                    model: first.model.clone(),
                    first: first.release,
                    second: second.release,
                    difference: difference(&first.ends, &second.ends),
                });
            }
        }
        Self { records, pairs }
    }
}

/// The release that a model does best with, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Recommendation {
    /// The model.
    pub model: Model,
    /// The published release with attempts enough whose success rate's lower bound is the best; the newer of equals.
    pub recommended: Option<ReleaseRecord>,
    /// Why it is that one, or why there is none.
    pub reason: String,
}

/// Returns the place of the release that is recommended; `records` are a model's, from the oldest to the newest.
pub fn best_of(records: &[(ReleaseId, Ends)]) -> Option<usize> {
    let bound = |ends: &Ends| ends.success_rate().map_or(0.0, |rate| rate.low);
    let enough = records
        .iter()
        .enumerate()
        .filter(|(_, (_, ends))| ends.finished() >= LEAST_ATTEMPTS);
    // Of equals, `max_by` takes the last, which is the newest.
    let best = enough.max_by(|(_, (_, a)), (_, (_, b))| {
        bound(a).partial_cmp(&bound(b)).unwrap_or(Ordering::Equal)
    });
    best.map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(succeeded: u64, failed: u64) -> Ends {
        Ends {
            succeeded,
            failed,
            ..Ends::default()
        }
    }

    #[test]
    fn who_became_unhealthy_is_no_success() {
        let ends = Ends {
            succeeded: 90,
            unhealthy: 10,
            rolled_back: 5,
            timed_out: 5,
            failed: 0,
        };
        assert_eq!((ends.finished(), ends.successes()), (100, 80));
        let rate = ends.success_rate().unwrap();
        assert_eq!(rate.value, 0.8);
        // Wilson's interval of 80 of 100.
        assert!((rate.low - 0.7112).abs() < 0.0001, "{rate:?}");
        assert!((rate.high - 0.8666).abs() < 0.0001, "{rate:?}");
        assert_eq!(Ends::default().success_rate(), None);
    }

    #[test]
    fn differences_as_newcombe_published() {
        // His table II: 56/70 against 48/80, method 10: 0.0524 to 0.3339.
        let found = difference(&ends(56, 14), &ends(48, 32)).unwrap();
        assert!((found.by.low - 0.0524).abs() < 0.0001, "{found:?}");
        assert!((found.by.high - 0.3339).abs() < 0.0001, "{found:?}");
        assert!(found.is_certain);
        // And 9/10 against 3/10: 0.1705 to 0.8090.
        let found = difference(&ends(9, 1), &ends(3, 7)).unwrap();
        assert!((found.by.low - 0.1705).abs() < 0.0001, "{found:?}");
        assert!((found.by.high - 0.8090).abs() < 0.0001, "{found:?}");
    }

    #[test]
    fn a_few_attempts_are_certain_of_nothing() {
        assert!(!difference(&ends(3, 0), &ends(2, 1)).unwrap().is_certain);
        assert!(!difference(&ends(50, 50), &ends(50, 50)).unwrap().is_certain);
        assert!(
            difference(&ends(900, 100), &ends(990, 10))
                .unwrap()
                .is_certain
        );
        assert_eq!(difference(&ends(3, 0), &ends(0, 0)), None);
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        assert_eq!(Durations::of(&[]), None);
        let one = Durations::of(&[(7, 1)]).unwrap();
        assert_eq!((one.median_sec, one.p90_sec), (7, 7));
        let histogram = [(10, 5), (20, 3), (30, 1), (900, 1)];
        let ten = Durations::of(&histogram).unwrap();
        assert_eq!((ten.median_sec, ten.p90_sec), (10, 30));
    }

    #[test]
    fn the_best_bound_is_recommended_and_the_newer_of_equals() {
        let of = |records: &[Ends]| {
            let numbered = records
                .iter()
                .zip(1..)
                .map(|(ends, id)| (ReleaseId(id), *ends));
            best_of(&numbered.collect::<Vec<_>>())
        };
        assert_eq!(of(&[]), None);
        // All of 29 is not enough; 30 of 30 is.
        assert_eq!(of(&[ends(29, 0)]), None);
        assert_eq!(of(&[ends(30, 0), ends(29, 0)]), Some(0));
        // A perfect short record against a long good one: the bound decides.
        assert_eq!(of(&[ends(990, 10), ends(30, 0)]), Some(0));
        assert_eq!(of(&[ends(100, 0), ends(100, 0)]), Some(1));
    }
}
