//! What the journal holds.

use otter_protocol::{AttemptId, AttemptReport, AttemptState, Timestamp, Version};
use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, Installed, TakenBack, Waiting};
use super::step::Step;
use crate::clock;
use crate::policy::Counters;

/// Most reports that wait; only reports of progress are given up for others.
pub(super) const MOST_REPORTS: usize = 256;
/// Most logs of attempts that wait.
pub(super) const MOST_LOGS: usize = 8;
/// Longest message in a report, in characters.
const LONGEST_MESSAGE: usize = 2000;

/// Everything that the journal holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Which agents can read it; set when it is written.
    pub format: u32,
    /// What runs, or ran before the attempt under way.
    pub installed: Option<Installed>,
    /// What ran before that; kept beside it.
    pub previous: Option<Installed>,
    /// The attempt under way.
    pub attempt: Option<Attempt>,
    /// Reports that wait for the network, oldest first.
    pub outbox: Vec<Waiting>,
    /// The latest time at which signed metadata was found valid.
    pub trusted_time: Option<Timestamp>,
    /// Bytes that the agent wrote in its life, as of the last change.
    pub written_bytes: u64,
    /// When the device last checked in; on the disk it may be some minutes older.
    pub checked_in_at: Option<Timestamp>,
    /// What is counted.
    pub counters: Counters,
    /// Ended attempts whose logs wait for the network, oldest first.
    pub logs: Vec<AttemptId>,
    /// The version that somebody at the device took it back from, until another is installed or it is wanted again.
    pub taken_back: Option<TakenBack>,
}

impl Record {
    /// Begins a step of the attempt under way, with the report that goes with it.
    pub fn begin(&mut self, step: Step) {
        let Some(attempt) = &mut self.attempt else {
            return;
        };
        attempt.step = step;
        attempt.log.add(clock::now(), &step.to_string());
        if let Some(state) = step.reported_as() {
            let progress = if state == AttemptState::Downloaded {
                100
            } else {
                0
            };
            self.report(state, Some(progress), None, None);
        }
    }

    /// Puts a report on the attempt under way behind those that wait. One that no server knows of is none of its business.
    pub fn report(
        &mut self,
        state: AttemptState,
        progress: Option<u8>,
        message: Option<&str>,
        version: Option<&Version>,
    ) {
        let is_offered = |attempt: &Attempt| !attempt.is_by_hand();
        if self.attempt.as_ref().is_some_and(is_offered)
            && let Some(waiting) = self.next_report(state, progress, message, version)
        {
            self.queue(waiting);
        }
    }

    /// Returns the next report on the attempt under way, and counts it.
    pub fn next_report(
        &mut self,
        state: AttemptState,
        progress: Option<u8>,
        message: Option<&str>,
        version: Option<&Version>,
    ) -> Option<Waiting> {
        let attempt = self.attempt.as_mut()?;
        attempt.last_sequence = attempt.last_sequence.saturating_add(1);
        Some(Waiting {
            attempt: attempt.offer.attempt,
            report: AttemptReport {
                sequence: attempt.last_sequence,
                state,
                progress,
                message: message.map(|text| text.chars().take(LONGEST_MESSAGE).collect()),
                version: version.cloned(),
                at: Some(clock::now()),
            },
        })
    }

    /// Puts a line into the log of the attempt under way, where there is one.
    pub fn remark(&mut self, text: impl AsRef<str>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.log.add(clock::now(), text.as_ref());
        }
    }

    /// Lets the log of an ended attempt wait for the network; of too many the oldest are given up.
    pub fn queue_log(&mut self, attempt: AttemptId) {
        self.logs.retain(|other| *other != attempt);
        self.logs.push(attempt);
        let surplus = self.logs.len().saturating_sub(MOST_LOGS);
        self.logs.drain(..surplus);
    }

    /// Puts a report behind those that wait; what says more of a state takes the place of what said less.
    pub fn queue(&mut self, mut waiting: Waiting) {
        let state = waiting.report.state;
        let is_said_anew = self.outbox.last().is_some_and(|last| {
            last.attempt == waiting.attempt && last.report.state == state && !state.is_finished()
        });
        if is_said_anew && let Some(before) = self.outbox.pop() {
            let message = &mut waiting.report.message;
            *message = message.take().or(before.report.message);
        }
        self.outbox.push(waiting);
        while self.outbox.len() > MOST_REPORTS {
            let dispensable = self
                .outbox
                .iter()
                .position(|waiting| !waiting.report.state.is_finished());
            self.outbox.remove(dispensable.unwrap_or(0));
        }
    }

    /// Takes away a report that needs no (further) delivery, and what it replaced.
    pub fn settle(&mut self, settled: &Waiting) {
        self.outbox.retain(|waiting| {
            waiting.attempt != settled.attempt || waiting.report.sequence > settled.report.sequence
        });
    }
}
