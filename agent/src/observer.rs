//! Who wants to know how the agent gets on: lamps, systemd, and the programs that embed it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::history::Ended;
use crate::journal::{Attempt, Step};
use otter_protocol::AttemptId;

/// Hears how the agent gets on. Calls come from the agent's own loop, one at a time: they must return at once, and nothing that
/// goes wrong in them may hold up an update.
pub trait Observer: Send + Sync + fmt::Debug {
    /// What should run is started, and the agent goes to work.
    fn booted(&self) {}

    /// Nothing is under way any more, or yet.
    fn idle(&self) {}

    /// An attempt takes its next step, which stands in it.
    fn step_begun(&self, attempt: &Attempt) {
        let _ = attempt;
    }

    /// So many bytes of the artifact are there; called for every piece of it.
    fn bytes_taken(&self, taken: u64, total: u64) {
        let _ = (taken, total);
    }

    /// An attempt came to its end, good or bad.
    fn attempt_ended(&self, ended: &Ended) {
        let _ = ended;
    }

    /// The agent was told to stop.
    fn stopping(&self) {}
}

/// All of them, each told once.
#[derive(Debug)]
pub(crate) struct Observers {
    all: Vec<Arc<dyn Observer>>,
    /// What was told last: an attempt's step, or that nothing is under way.
    last: Mutex<Option<Told>>,
}

type Told = Option<(AttemptId, Step)>;

impl Observers {
    pub(crate) fn new(all: impl IntoIterator<Item = Arc<dyn Observer>>) -> Self {
        Self {
            all: all.into_iter().collect(),
            last: Mutex::new(None),
        }
    }

    /// Tells where the agent is, if that is not what was told last.
    pub(crate) fn at(&self, attempt: Option<&Attempt>) {
        let now = attempt.map(|attempt| (attempt.offer.attempt, attempt.step));
        let before = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(now);
        if before == Some(now) {
            return;
        }
        for observer in &self.all {
            match attempt {
                Some(attempt) => observer.step_begun(attempt),
                None => observer.idle(),
            }
        }
    }

    pub(crate) fn booted(&self) {
        self.all.iter().for_each(|observer| observer.booted());
    }

    pub(crate) fn bytes_taken(&self, taken: u64, total: u64) {
        for observer in &self.all {
            observer.bytes_taken(taken, total);
        }
    }

    pub(crate) fn attempt_ended(&self, ended: &Ended) {
        for observer in &self.all {
            observer.attempt_ended(ended);
        }
    }

    pub(crate) fn stopping(&self) {
        self.all.iter().for_each(|observer| observer.stopping());
    }
}
