//! When a phase may end: the conditions to go on, judged over the attempts that finished in it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::share::Share;
use crate::time::Timestamp;

/// Over how many attempts rates are judged at least where a gate names no sample and the phase has that many devices: few
/// enough to stop a bad release early, enough for one failure among the first three to stop nothing.
const USUAL_SAMPLE: u64 = 30;

/// How a rate is compared with its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// The rate itself, over at least the gate's sample.
    Point,
    /// The lower 95 % Wilson bound of the rate: a breach is certain, not just likely.
    #[default]
    Confident,
}

/// The conditions to go on to the next phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Gate {
    /// Attempts that must have finished; without a number, all the phase's devices.
    #[serde(default)]
    pub min_finished: Option<u32>,
    /// Seconds to wait once that sample is complete.
    #[serde(default)]
    pub soak_sec: u64,
    /// Most failures (failed, rolled back, timed out) among finished attempts.
    #[serde(default)]
    pub max_failure_rate: Option<Share>,
    /// Most rollbacks among finished attempts.
    #[serde(default)]
    pub max_rollback_rate: Option<Share>,
    /// How rates are compared with these limits.
    #[serde(default)]
    pub judgement: Judgement,
}

/// A phase's attempts, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tally {
    /// Ended on the new version.
    pub succeeded: u64,
    /// Given up on the old version.
    pub failed: u64,
    /// Back on the old version.
    pub rolled_back: u64,
    /// No word for the deadline.
    pub timed_out: u64,
    /// Taken back by the server, or superseded; count in no rate.
    pub cancelled: u64,
    /// Offered and not at their end.
    pub under_way: u64,
    /// Devices of the phase that still have to begin; `None` while nobody has counted.
    pub waiting: Option<u64>,
}

impl Tally {
    /// Returns the attempts that count in rates.
    pub fn finished(&self) -> u64 {
        self.succeeded + self.failures()
    }

    /// Returns the attempts that ended as failures.
    pub fn failures(&self) -> u64 {
        self.failed + self.rolled_back + self.timed_out
    }

    /// Tells whether every device of the phase is at its end.
    pub fn is_exhausted(&self) -> bool {
        self.under_way == 0 && self.waiting == Some(0)
    }

    /// Adds another phase's attempts.
    pub fn plus(self, other: Self) -> Self {
        Self {
            succeeded: self.succeeded + other.succeeded,
            failed: self.failed + other.failed,
            rolled_back: self.rolled_back + other.rolled_back,
            timed_out: self.timed_out + other.timed_out,
            cancelled: self.cancelled + other.cancelled,
            under_way: self.under_way + other.under_way,
            waiting: self.waiting.zip(other.waiting).map(|(a, b)| a + b),
        }
    }
}

/// Which rate went over its limit, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Breach {
    /// Tells whether it is the rollback rate, not the failure rate.
    pub is_rollback: bool,
    /// Attempts that ended so.
    pub count: u64,
    /// Attempts that finished.
    pub finished: u64,
    /// The limit.
    pub limit: Share,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            finished,
            limit,
            ..
        } = self;
        let what = if self.is_rollback {
            "rolled back"
        } else {
            "failed"
        };
        let rate = *count as f64 / (*finished).max(1) as f64 * 100.0;
        write!(
            f,
            "{count} of {finished} {what}, {rate:.1} %, limit {limit}"
        )
    }
}

/// What a gate says of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// More attempts must finish first.
    Sampling {
        /// Finished so far.
        finished: u64,
        /// How many must; `None` means all the phase's devices.
        needed: Option<u64>,
    },
    /// The sample is complete; time has to pass.
    Soaking {
        /// Until then.
        until: Timestamp,
    },
    /// A rate is over its limit.
    Breached(Breach),
    /// The next phase may begin.
    Open,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sampling {
                finished,
                needed: Some(needed),
            } => write!(f, "{finished} of {needed} attempts finished"),
            Self::Sampling {
                finished,
                needed: None,
            } => write!(f, "{finished} attempts finished, all devices must"),
            Self::Soaking { until } => write!(f, "soaks until {until}"),
            Self::Breached(breach) => write!(f, "{breach}"),
            Self::Open => f.write_str("open"),
        }
    }
}

impl Gate {
    /// Tells whether the sample is complete: enough attempts finished, or no device is left to wait for.
    pub fn has_sample(&self, tally: &Tally) -> bool {
        tally.is_exhausted()
            || self
                .min_finished
                .is_some_and(|needed| tally.finished() >= u64::from(needed))
    }

    /// Judges a phase; `sampled_at` is when its sample became complete, as kept by the caller.
    pub fn judge(&self, tally: &Tally, sampled_at: Option<Timestamp>, now: Timestamp) -> Verdict {
        if let Some(breach) = self.breach(tally) {
            return Verdict::Breached(breach);
        }
        if !self.has_sample(tally) {
            return Verdict::Sampling {
                finished: tally.finished(),
                needed: self.min_finished.map(u64::from),
            };
        }
        let until = sampled_at.unwrap_or(now).plus_sec(self.soak_sec);
        if now < until {
            Verdict::Soaking { until }
        } else {
            Verdict::Open
        }
    }

    fn breach(&self, tally: &Tally) -> Option<Breach> {
        let rates = [
            (false, tally.failures(), self.max_failure_rate),
            (true, tally.rolled_back, self.max_rollback_rate),
        ];
        rates.into_iter().find_map(|(is_rollback, count, limit)| {
            let breach = Breach {
                is_rollback,
                count,
                finished: tally.finished(),
                limit: limit?,
            };
            self.is_over(&breach, tally).then_some(breach)
        })
    }

    /// Tells whether a rate is over its limit even if the rest of the sample were to succeed.
    fn is_over(&self, breach: &Breach, tally: &Tally) -> bool {
        let sample = breach.finished.max(self.least_sample(tally)).max(1);
        let rate = match self.judgement {
            Judgement::Point => breach.count as f64 / sample as f64,
            Judgement::Confident => wilson_lower(breach.count, sample),
        };
        rate > breach.limit.as_fraction()
    }

    /// Returns over how many attempts rates are judged at least, so that the first few don't stop a fleet.
    fn least_sample(&self, tally: &Tally) -> u64 {
        let devices = |waiting| tally.finished() + tally.under_way + waiting;
        match (self.min_finished, tally.waiting) {
            _ if tally.is_exhausted() => tally.finished(),
            (Some(needed), _) => u64::from(needed),
            (None, Some(waiting)) => devices(waiting).min(USUAL_SAMPLE),
            (None, None) => USUAL_SAMPLE,
        }
    }
}

/// Returns the lower bound of the 95 % Wilson score interval of `count` in `total`.
pub fn wilson_lower(count: u64, total: u64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    // The 97.5th percentile of the normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    let (n, p) = (total as f64, count as f64 / total as f64);
    let centre = p + Z * Z / (2.0 * n);
    let margin = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((centre - margin) / (1.0 + Z * Z / n)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(judgement: Judgement) -> Gate {
        Gate {
            min_finished: Some(10),
            soak_sec: 60,
            max_failure_rate: Some(Share::percent(1.0).unwrap()),
            judgement,
            ..Gate::default()
        }
    }

    fn tally(succeeded: u64, failed: u64) -> Tally {
        Tally {
            succeeded,
            failed,
            ..Tally::default()
        }
    }

    #[test]
    fn one_in_three_stops_nothing_and_thirty_in_a_thousand_do() {
        let gate = Gate {
            min_finished: Some(50),
            ..gate(Judgement::Confident)
        };
        assert_eq!(
            gate.judge(&tally(2, 1), None, Timestamp(0)),
            Verdict::Sampling {
                finished: 3,
                needed: Some(50)
            }
        );
        let Verdict::Breached(breach) = gate.judge(&tally(970, 30), None, Timestamp(0)) else {
            panic!("must breach")
        };
        assert_eq!(breach.to_string(), "30 of 1000 failed, 3.0 %, limit 1 %");
    }

    #[test]
    fn without_a_named_sample_the_first_few_stop_nothing() {
        for judgement in [Judgement::Confident, Judgement::Point] {
            let limit = Some(Share::percent(5.0).unwrap());
            let gate = Gate {
                min_finished: None,
                max_failure_rate: limit,
                ..gate(judgement)
            };
            let stops = |tally: Tally| {
                matches!(gate.judge(&tally, None, Timestamp(0)), Verdict::Breached(_))
            };
            let of_many = |failed| Tally {
                waiting: Some(1000),
                ..tally(0, failed)
            };
            assert!(!stops(of_many(1)), "{judgement:?}");
            assert!(stops(of_many(4)), "{judgement:?}");
            let of_two = Tally {
                waiting: Some(1),
                ..tally(0, 1)
            };
            assert!(
                stops(of_two),
                "{judgement:?}: half of the phase is no accident"
            );
            assert!(!stops(tally(2, 1)), "{judgement:?}: nobody has counted");
        }
    }

    #[test]
    fn point_waits_for_its_sample_unless_nothing_can_mend_it() {
        let gate = Gate {
            max_failure_rate: Some(Share::percent(10.0).unwrap()),
            ..gate(Judgement::Point)
        };
        assert!(matches!(
            gate.judge(&tally(0, 1), None, Timestamp(0)),
            Verdict::Sampling { .. }
        ));
        assert!(matches!(
            gate.judge(&tally(0, 2), None, Timestamp(0)),
            Verdict::Breached(_)
        ));
        assert!(matches!(
            gate.judge(&tally(9, 1), None, Timestamp(0)),
            Verdict::Soaking { .. }
        ));
        assert!(matches!(
            gate.judge(&tally(8, 2), None, Timestamp(0)),
            Verdict::Breached(_)
        ));
    }

    #[test]
    fn soak_runs_from_the_complete_sample() {
        let gate = gate(Judgement::Confident);
        let at = |now| gate.judge(&tally(10, 0), Some(Timestamp(5_000)), Timestamp(now));
        assert_eq!(
            at(5_000),
            Verdict::Soaking {
                until: Timestamp(65_000)
            }
        );
        assert_eq!(at(65_000), Verdict::Open);
    }

    #[test]
    fn a_phase_without_devices_left_needs_no_more_attempts() {
        let gate = Gate {
            soak_sec: 0,
            ..gate(Judgement::Confident)
        };
        let exhausted = Tally {
            waiting: Some(0),
            ..tally(3, 0)
        };
        assert_eq!(gate.judge(&exhausted, None, Timestamp(0)), Verdict::Open);
        let under_way = Tally {
            under_way: 1,
            ..exhausted
        };
        assert!(matches!(
            gate.judge(&under_way, None, Timestamp(0)),
            Verdict::Sampling { .. }
        ));
    }

    #[test]
    fn wilson_as_published() {
        // 10 of 100: 0.0552 to 0.1744 in Wilson's interval.
        assert!((wilson_lower(10, 100) - 0.0552).abs() < 0.0001);
        assert!(wilson_lower(0, 50) < 1e-9);
    }
}
