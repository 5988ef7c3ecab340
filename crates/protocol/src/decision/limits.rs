//! The rules that limit how often and how many: retries and their back-off, the in-flight limit, batches and the pace.

use super::case::{Case, outcome, unless};
use crate::rule::{Finding, Outcome, Rule};
use crate::time::Timestamp;

impl Case<'_> {
    /// Returns how often the device failed at this, and when its last try ended, where that was a failure.
    fn failures(&self) -> (usize, Option<Timestamp>) {
        let rollout = &self.planned.rollout;
        let Some(past) = self.device.past.get(&rollout.id) else {
            return (0, None);
        };
        let tries = past.tries(self.target.purpose);
        let last_failed = tries.last.filter(|(end, _)| end.is_failure());
        let ended_at = last_failed.map(|(_, at)| at);
        (tries.failures_after(rollout.retried_upto), ended_at)
    }

    /// Returns how often the device said that it came up on what it now doesn't run: one that goes on so would be offered
    /// it for ever, and count as a success each time.
    fn lost_again(&self) -> usize {
        let (rollout, release) = (&self.planned.rollout, self.target.release);
        match self.device.past.get(&rollout.id) {
            Some(past) if self.device.version != release.version => past
                .tries(self.target.purpose)
                .brought_after(release.id, rollout.retried_upto),
            _ => 0,
        }
    }

    pub(super) fn retries_left(&self) -> Outcome {
        let most = self.planned.rollout.spec.max_attempts;
        let got = (self.failures().0 + self.lost_again()) as u64;
        unless(Rule::RetriesLeft, got >= u64::from(most), || {
            Finding::AtMost {
                got,
                most: most.into(),
            }
        })
    }

    pub(super) fn backed_off(&self) -> Outcome {
        let rule = Rule::BackedOff;
        let (failures, ended_at) = self.failures();
        let Some(ended_at) = ended_at.filter(|_| failures > 0) else {
            return outcome(rule, true, Finding::Passes);
        };
        let until = ended_at.plus_sec(self.planned.rollout.spec.back_off_sec(failures));
        unless(rule, self.now < until, || Finding::BacksOff {
            failures: u32::try_from(failures).unwrap_or(u32::MAX),
            until,
        })
    }

    /// The in-flight limit, the batch and the pace: what may begin now, whoever it is.
    pub(super) fn in_flight_limit(&self) -> Outcome {
        let rule = Rule::InFlightLimit;
        let (spec, load) = (&self.planned.rollout.spec, &self.planned.load);
        let got = load.in_flight();
        if let Some(most) = spec.max_in_flight.map(u64::from)
            && got >= most
        {
            return outcome(rule, false, Finding::AtMost { got, most });
        }
        if let Some(finding) = self.batch_under_way() {
            return outcome(rule, false, finding);
        }
        if let (Some(pace), Some(next_at)) = (spec.pace, load.next_grant_at)
            && self.now < next_at
        {
            let per_hour = pace.per_hour;
            return outcome(rule, false, Finding::Paced { per_hour, next_at });
        }
        match spec.max_in_flight.map(u64::from) {
            Some(most) => outcome(rule, true, Finding::AtMost { got, most }),
            None => outcome(rule, true, Finding::Passes),
        }
    }

    /// A batch that is full waits for its end.
    fn batch_under_way(&self) -> Option<Finding> {
        let size = self.planned.rollout.spec.batch_size?;
        if self.goes_back() {
            return None;
        }
        let phase = self.phase()?;
        let load = self.planned.load.phase(phase);
        load.is_batch_full(size).then_some(Finding::BatchUnderWay {
            size,
            under_way: load.under_way,
        })
    }
}
