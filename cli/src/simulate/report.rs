//! What a simulation shows: a status that moves on a terminal, lines elsewhere, JSON for scripts, and a summary.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use otter_protocol::Version;
use otter_protocol::attempt::AttemptState;
use serde::Serialize;
use serde_json::json;

use crate::text::{one_line, size};
use crate::{Failure, Output};

/// Most different reasons that are kept.
const MOST_REASONS: usize = 20;

/// Where a simulated device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Not let in yet.
    Enrolling,
    /// An operator has to accept it.
    Pending,
    /// Let in, but its first check-in isn't answered yet.
    Starting,
    /// Nothing to do.
    Idle,
    /// At an attempt.
    Attempt(AttemptState),
    /// Not heard of again.
    Silent,
    /// The server won't have it.
    Refused,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Enrolling => "enrolling",
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Attempt(state) => state.as_str(),
            Self::Silent => "silent",
            Self::Refused => "refused",
        }
    }
}

/// What all devices are at, gathered.
#[derive(Debug)]
pub(super) struct Board {
    seats: Mutex<Vec<(Stage, Version)>>,
    outcomes: Mutex<Outcomes>,
    check_ins: AtomicU64,
    received: AtomicU64,
}

#[derive(Debug)]
struct Outcomes {
    /// Attempts that ended, by how.
    ended: BTreeMap<AttemptState, u64>,
    /// Why devices stopped and reports were dropped.
    reasons: BTreeMap<String, u64>,
    /// When a device last changed what it is at.
    moved_at: Instant,
}

/// How a simulation stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many devices.
    pub devices: u64,
    /// By where they are.
    pub states: BTreeMap<&'static str, u64>,
    /// By what they run.
    pub versions: BTreeMap<Version, u64>,
    /// Attempts that ended, by how.
    pub attempts: BTreeMap<&'static str, u64>,
    /// Check-ins that were answered.
    pub check_ins: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Bytes of artifacts that were downloaded.
    pub downloaded_bytes: u64,
    /// What the server refused, and how often.
    pub refused: BTreeMap<String, u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// Makes a board with a seat for each device.
    pub(super) fn new(versions: impl Iterator<Item = Version>) -> Self {
        let seats = versions.map(|version| (Stage::Enrolling, version));
        Self {
            seats: Mutex::new(seats.collect()),
            outcomes: Mutex::new(Outcomes {
                ended: BTreeMap::new(),
                reasons: BTreeMap::new(),
                moved_at: Instant::now(),
            }),
            check_ins: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }

    pub(super) fn set(&self, seat: usize, stage: Stage, version: Version) {
        if let Some(place) = lock(&self.seats).get_mut(seat) {
            if place.0 != stage {
                lock(&self.outcomes).moved_at = Instant::now();
            }
            *place = (stage, version);
        }
    }

    pub(super) fn checked_in(&self) {
        self.check_ins.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn finished(&self, state: AttemptState) {
        *lock(&self.outcomes).ended.entry(state).or_default() += 1;
    }

    pub(super) fn dropped_report(&self, why: &str) {
        self.note(format!("report dropped: {why}"));
    }

    /// Keeps a reason; beyond so many different ones, only that there were more.
    pub(super) fn note(&self, reason: String) {
        let reasons = &mut lock(&self.outcomes).reasons;
        let is_known = reasons.contains_key(&reason);
        let key = if is_known || reasons.len() < MOST_REASONS {
            reason
        } else {
            "others".to_owned()
        };
        *reasons.entry(key).or_default() += 1;
    }

    /// Tells whether no device has had anything to do for so long.
    pub(super) fn is_idle_for(&self, time: Duration) -> bool {
        let at_rest = |stage: Stage| matches!(stage, Stage::Idle | Stage::Silent | Stage::Refused);
        lock(&self.outcomes).moved_at.elapsed() >= time
            && lock(&self.seats).iter().all(|(stage, _)| at_rest(*stage))
    }

    pub(super) fn summary(&self, retries: u64) -> Summary {
        let mut states: BTreeMap<Stage, u64> = BTreeMap::new();
        let mut versions: BTreeMap<Version, u64> = BTreeMap::new();
        let seats = lock(&self.seats);
        for (stage, version) in seats.iter() {
            *states.entry(*stage).or_default() += 1;
            match versions.get_mut(version) {
                Some(number) => *number += 1,
                None => drop(versions.insert(version.clone(), 1)),
            }
        }
        let outcomes = lock(&self.outcomes);
        let ended = outcomes.ended.iter();
        Summary {
            devices: seats.len() as u64,
            states: states.into_iter().map(|(s, n)| (s.name(), n)).collect(),
            versions,
            attempts: ended.map(|(state, n)| (state.as_str(), *n)).collect(),
            check_ins: self.check_ins.load(Ordering::Relaxed),
            retries,
            downloaded_bytes: self.received.load(Ordering::Relaxed),
            refused: outcomes.reasons.clone(),
        }
    }
}

impl Summary {
    /// Returns it in a line.
    pub fn line(&self) -> String {
        let mut parts = vec![counts(&self.states), counts(&self.versions)];
        if !self.attempts.is_empty() {
            parts.push(format!("ended: {}", counts(&self.attempts)));
        }
        if self.retries > 0 {
            parts.push(format!("retries: {}", self.retries));
        }
        one_line(&parts.join(" · "))
    }

    /// Tells whether no device was let in.
    pub fn is_all_refused(&self) -> bool {
        self.states.get(Stage::Refused.name()) == Some(&self.devices)
    }

    fn show(&self, output: Output) -> Result<(), Failure> {
        output.line(format!("devices     {}", self.devices))?;
        output.line(format!("states      {}", counts(&self.states)))?;
        output.line(format!("versions    {}", counts(&self.versions)))?;
        let attempts = match counts(&self.attempts) {
            none if none.is_empty() => "none ended".to_owned(),
            some => some,
        };
        output.line(format!("attempts    {attempts}"))?;
        output.line(format!("check-ins   {}", self.check_ins))?;
        output.line(format!("downloaded  {}", size(self.downloaded_bytes)))?;
        if self.retries > 0 {
            output.line(format!("retries     {}", self.retries))?;
        }
        for (reason, number) in &self.refused {
            output.line(format!("refused     {number} times: {reason}"))?;
        }
        Ok(())
    }
}

/// Writes counts as `190 idle, 10 downloading`.
fn counts<K: std::fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let parts = counts
        .iter()
        .map(|(what, number)| format!("{number} {what}"));
    parts.collect::<Vec<_>>().join(", ")
}

/// Shows how the simulation stands, again and again.
pub(super) struct Display {
    output: Output,
    bar: Option<ProgressBar>,
    last: String,
}

impl Display {
    pub(super) fn new(output: Output) -> Self {
        let bar = output.is_live().then(|| {
            let bar = ProgressBar::new_spinner();
            match ProgressStyle::with_template("{spinner} {wide_msg}") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self {
            output,
            bar,
            last: String::new(),
        }
    }

    /// Returns the time between two updates.
    pub(super) fn every(&self) -> Duration {
        Duration::from_millis(if self.bar.is_some() { 200 } else { 1000 })
    }

    pub(super) fn update(&mut self, summary: &Summary) -> Result<(), Failure> {
        let line = summary.line();
        if let Some(bar) = &self.bar {
            bar.set_message(line);
            bar.tick();
            return Ok(());
        }
        if line == self.last {
            return Ok(());
        }
        self.last = line;
        self.output.value(&json!({ "status": summary }), |output| {
            output.line(&self.last)
        })
    }

    pub(super) fn end(&self, summary: &Summary) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.output.value(&json!({ "summary": summary }), |output| {
            summary.show(output)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_counts_devices_by_state_and_version() {
        let board = Board::new(["1.0.0"; 3].map(Version::from).into_iter());
        board.set(0, Stage::Idle, "1.0.0".into());
        board.set(1, Stage::Attempt(AttemptState::Verifying), "1.1.0".into());
        board.finished(AttemptState::Succeeded);
        board.finished(AttemptState::RolledBack);
        board.finished(AttemptState::Succeeded);
        let summary = board.summary(0);
        assert_eq!(
            summary.line(),
            "1 enrolling, 1 idle, 1 verifying · 2 1.0.0, 1 1.1.0 · ended: 1 rolled_back, 2 succeeded"
        );
        assert!(!board.is_idle_for(Duration::ZERO));
        board.set(1, Stage::Idle, "1.1.0".into());
        board.set(2, Stage::Refused, "1.0.0".into());
        assert!(board.is_idle_for(Duration::ZERO));
        assert!(!board.is_idle_for(Duration::from_secs(3600)));
    }

    #[test]
    fn reasons_are_bounded() {
        let board = Board::new(std::iter::empty());
        for number in 0..100 {
            board.note(format!("reason {number}"));
        }
        let refused = board.summary(0).refused;
        assert_eq!(refused.len(), MOST_REASONS + 1);
        assert_eq!(refused.get("others"), Some(&80));
    }
}
