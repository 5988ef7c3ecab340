//! When a phase may end: the conditions to go on, judged over the attempts that finished in it.

mod tally;
mod verdict;

use serde::{Deserialize, Serialize};

pub use tally::Tally;
pub use verdict::{Breach, Rate, Verdict};

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
    /// Most silences (no word for the deadline) among finished attempts.
    #[serde(default)]
    pub max_silence_rate: Option<Share>,
    /// Most devices that say they are unhealthy after they succeeded, among finished attempts.
    #[serde(default)]
    pub max_unhealthy_rate: Option<Share>,
    /// How rates are compared with these limits.
    #[serde(default)]
    pub judgement: Judgement,
    /// A person has to let the rollout go on.
    #[serde(default)]
    pub needs_approval: bool,
}

impl Gate {
    /// Tells whether the sample is complete: enough attempts finished, or no device is left to wait for.
    pub fn has_sample(&self, tally: &Tally) -> bool {
        tally.is_exhausted()
            || self
                .min_finished
                .is_some_and(|needed| tally.finished() >= u64::from(needed))
    }

    /// Judges a phase; `sampled_at` is when its sample became complete, as kept by the caller, `is_approved` whether a
    /// person let it go on.
    pub fn judge(
        &self,
        tally: &Tally,
        sampled_at: Option<Timestamp>,
        is_approved: bool,
        now: Timestamp,
    ) -> Verdict {
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
        } else if self.needs_approval && !is_approved {
            Verdict::AwaitingApproval
        } else {
            Verdict::Open
        }
    }

    fn breach(&self, tally: &Tally) -> Option<Breach> {
        let rates = [
            (Rate::Failure, tally.failures(), self.max_failure_rate),
            (Rate::Rollback, tally.rolled_back, self.max_rollback_rate),
            (Rate::Silence, tally.timed_out, self.max_silence_rate),
            (Rate::Unhealthy, tally.unhealthy, self.max_unhealthy_rate),
        ];
        rates.into_iter().find_map(|(rate, count, limit)| {
            let breach = Breach {
                rate,
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
    wilson_interval(count, total).0
}

/// Returns the 95 % Wilson score interval of `count` in `total`, as fractions; 0 to 1 where nothing is known.
///
/// E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
pub fn wilson_interval(count: u64, total: u64) -> (f64, f64) {
    if total == 0 {
        return (0.0, 1.0);
    }
    // The 97.5th percentile of the normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    let (n, p) = (total as f64, count.min(total) as f64 / total as f64);
    let centre = p + Z * Z / (2.0 * n);
    let margin = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // None of them is 0 and all of them is 1: rounding must not make a limit of 0 % a breach of none.
    let lower = match count {
        0 => 0.0,
        _ => ((centre - margin) / scale).max(0.0),
    };
    let upper = match count >= total {
        true => 1.0,
        false => ((centre + margin) / scale).min(1.0),
    };
    (lower, upper)
}

#[cfg(test)]
mod tests;
