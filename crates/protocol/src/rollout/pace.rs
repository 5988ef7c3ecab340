//! How quickly attempts begin.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How many attempts begin in an hour; they are spread evenly over it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pace {
    /// How many, at least 1.
    pub per_hour: u32,
    /// How it grows as successes come in; without, it stays.
    #[serde(default)]
    pub growth: Option<Growth>,
}

/// How a pace grows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Growth {
    /// What the pace is multiplied by, over 1 and at most 10.
    pub factor: f64,
    /// Each time that so many attempts succeeded, at least 1.
    pub every_successes: u32,
    /// What it doesn't grow beyond.
    pub max_per_hour: u32,
}

/// An hour, in milliseconds.
const HOUR_MS: f64 = 3_600_000.0;

impl Pace {
    /// Returns how many attempts may begin in an hour after so many successes.
    pub fn per_hour_after(&self, successes: u64) -> f64 {
        let base = f64::from(self.per_hour.max(1));
        let Some(growth) = &self.growth else {
            return base;
        };
        let steps = successes / u64::from(growth.every_successes.max(1));
        // Beyond a thousand steps any factor over 1 that is worth writing has reached the limit.
        let grown = base
            * growth
                .factor
                .powi(i32::try_from(steps).unwrap_or(i32::MAX).min(100_000));
        grown.min(f64::from(growth.max_per_hour)).max(base)
    }

    /// Returns when the next attempt may begin if one begins now.
    pub fn next_after(&self, now: Timestamp, successes: u64) -> Timestamp {
        let gap = HOUR_MS / self.per_hour_after(successes);
        // At most an hour; rounded up, so that an hour never holds one more than it may.
        Timestamp(now.0.saturating_add(gap.ceil() as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_by_steps_up_to_its_limit() {
        let growth = Growth {
            factor: 2.0,
            every_successes: 10,
            max_per_hour: 500,
        };
        let pace = Pace {
            per_hour: 60,
            growth: Some(growth),
        };
        let after = |successes| pace.per_hour_after(successes);
        assert_eq!(
            [0, 9, 10, 25, 30, 40, 1_000_000_000].map(after),
            [60.0, 60.0, 120.0, 240.0, 480.0, 500.0, 500.0]
        );
        assert_eq!(pace.next_after(Timestamp(0), 0), Timestamp(60_000));
        assert_eq!(pace.next_after(Timestamp(0), 30), Timestamp(7_500));
    }

    #[test]
    fn stays_where_nothing_else_is_said() {
        let pace = Pace {
            per_hour: 7,
            growth: None,
        };
        assert_eq!(pace.per_hour_after(1_000), 7.0);
        // Seven gaps are an hour or a little more, so that no hour holds eight.
        assert!(pace.next_after(Timestamp(0), 0).0 * 7 >= 3_600_000);
    }
}
