//! Where the agent is, on disk: written before each step is begun, so that a restart goes on or goes back.
//!
//! One file holds what is installed, the attempt under way and the reports that wait: a step and the report that it
//! makes are in the journal together or not at all. So no report is lost, and none is made up.

mod note;
mod signed;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use otter_protocol::check_in::Offer;
use otter_protocol::{AttemptId, AttemptReport, AttemptState, Timestamp, Version};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock;
use crate::disk::{self, Disk, PUBLIC, Written};
use crate::policy::{Counters, Held};

pub use signed::Signed;

const FORMAT: u32 = 1;
const LARGEST: u64 = 4 << 20;
/// Most reports that wait; only reports of progress are given up for others.
const MOST_REPORTS: usize = 256;
/// Longest message in a report, in characters.
const LONGEST_MESSAGE: usize = 2000;

/// The steps of an attempt, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Is the offer signed for this device?
    Checking,
    /// Its bytes are fetched.
    Downloading,
    /// They are hashed and unpacked beside what runs.
    Verifying,
    /// What the old version needs to come back is kept.
    BackingUp,
    /// What runs is stopped.
    Stopping,
    /// The new version takes its place.
    Applying,
    /// The new version is started.
    Starting,
    /// The device restarts into it.
    Rebooting,
    /// The new version must prove itself.
    HealthCheck,
    /// It stays.
    Committing,
    /// The old version comes back.
    RollingBack,
}

impl Step {
    /// Returns what the server is told when the step begins, where it is told anything.
    pub fn reported_as(self) -> Option<AttemptState> {
        match self {
            Self::Checking | Self::BackingUp | Self::Applying | Self::Starting => None,
            Self::Committing | Self::RollingBack => None,
            Self::Downloading => Some(AttemptState::Downloading),
            Self::Verifying => Some(AttemptState::Downloaded),
            Self::Stopping => Some(AttemptState::Installing),
            Self::Rebooting => Some(AttemptState::Rebooting),
            Self::HealthCheck => Some(AttemptState::Verifying),
        }
    }

    /// Tells whether what ran before still runs, so that the attempt can be given up without a trace.
    pub fn is_before_change(self) -> bool {
        self < Self::Stopping
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Checking => "checking",
            Self::Downloading => "downloading",
            Self::Verifying => "verifying",
            Self::BackingUp => "backing up",
            Self::Stopping => "stopping",
            Self::Applying => "applying",
            Self::Starting => "starting",
            Self::Rebooting => "rebooting",
            Self::HealthCheck => "health check",
            Self::Committing => "committing",
            Self::RollingBack => "rolling back",
        })
    }
}

/// A version on the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Its version.
    pub version: Version,
    /// Its place in the publishers' count; 0 for what came with the device.
    pub release_counter: u64,
    /// The installer's own name for it.
    pub name: String,
}

/// An attempt under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// What the server offered.
    pub offer: Offer,
    /// The step that was begun.
    pub step: Step,
    /// When the offer came.
    pub started_at: Timestamp,
    /// Bytes that the agent had written in its life when it began.
    #[serde(default)]
    pub written_before: u64,
    /// What was signed, once that is verified.
    pub signed: Option<Signed>,
    /// The new version, once it is beside the old one.
    pub target: Option<Installed>,
    /// Sequence number of the last report; 0 before the first.
    pub last_sequence: u32,
    /// How often the agent itself was started while the new version was.
    pub restarts: u32,
    /// How often the device was restarted into the new version.
    #[serde(default)]
    pub boots: u32,
    /// The system's run that is to end with the restart under way.
    #[serde(default)]
    pub restarting: Option<String>,
    /// Why the old version comes back, where it does.
    pub reason: Option<String>,
    /// Why the device's own policy holds it back, where it does.
    #[serde(default)]
    pub held: Option<Held>,
}

/// A report that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The attempt that it is about.
    pub attempt: AttemptId,
    /// The report.
    pub report: AttemptReport,
}

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
}

impl Record {
    /// Begins a step of the attempt under way, with the report that goes with it.
    pub fn begin(&mut self, step: Step) {
        let Some(attempt) = &mut self.attempt else {
            return;
        };
        attempt.step = step;
        if let Some(state) = step.reported_as() {
            let progress = if state == AttemptState::Downloaded {
                100
            } else {
                0
            };
            self.report(state, Some(progress), None, None);
        }
    }

    /// Puts a report on the attempt under way behind those that wait.
    pub fn report(
        &mut self,
        state: AttemptState,
        progress: Option<u8>,
        message: Option<&str>,
        version: Option<&Version>,
    ) {
        let Some(attempt) = &mut self.attempt else {
            return;
        };
        attempt.last_sequence = attempt.last_sequence.saturating_add(1);
        let waiting = Waiting {
            attempt: attempt.offer.attempt,
            report: AttemptReport {
                sequence: attempt.last_sequence,
                state,
                progress,
                message: message.map(|text| text.chars().take(LONGEST_MESSAGE).collect()),
                version: version.cloned(),
                at: Some(clock::now()),
            },
        };
        self.queue(waiting);
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

/// The journal's file and what it holds.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    pages: Mutex<Pages>,
    changed: watch::Sender<()>,
    written: Written,
    /// What was written before this run of the agent.
    written_before: u64,
}

/// What the journal holds, here and on the disk: what was only noted is not there yet.
#[derive(Debug)]
struct Pages {
    now: Record,
    on_disk: Record,
}

/// The journal can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk said no.
    #[error("the journal {path} can't be read: {cause}. Check the disk's state and permissions")]
    Disk {
        /// The journal's file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Written by a newer agent.
    #[error(
        "the journal {path} has format {found}, this agent knows {FORMAT}: start the newer agent again"
    )]
    Newer {
        /// The journal's file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

impl Journal {
    /// Opens the journal in a folder, or begins one. One that makes no sense is put aside, for people to look at.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<Self, JournalError> {
        let path = folder.join("journal.json");
        let record = match Self::look(disk.as_ref(), folder)? {
            Ok(record) => record,
            Err(reason) => {
                let aside = folder.join("journal.broken.json");
                tracing::error!(
                    "the journal {} can't be used and is put aside as {}: {reason}",
                    path.display(),
                    aside.display()
                );
                disk.rename(&path, &aside)
                    .and_then(|()| disk.sync_dir(folder))
                    .map_err(|cause| JournalError::Disk {
                        path: path.clone(),
                        cause,
                    })?;
                Record::default()
            }
        };
        Ok(Self {
            disk,
            path,
            written_before: record.written_bytes,
            pages: Mutex::new(Pages {
                now: record.clone(),
                on_disk: record,
            }),
            changed: watch::Sender::new(()),
            written: Written::default(),
        })
    }

    /// Keeps account of what is written in this run of the agent.
    pub fn counting(mut self, written: Written) -> Self {
        self.written = written;
        self
    }

    /// Returns how many bytes the agent wrote in its life.
    pub fn written_bytes(&self) -> u64 {
        self.written_before.saturating_add(self.written.bytes())
    }

    /// Reads the journal of a folder without opening it; the inner error says why it makes no sense.
    pub fn look(disk: &dyn Disk, folder: &Path) -> Result<Result<Record, String>, JournalError> {
        let path = folder.join("journal.json");
        let bytes = disk::read(disk, &path, LARGEST).map_err(|cause| JournalError::Disk {
            path: path.clone(),
            cause,
        })?;
        let Some(bytes) = bytes else {
            return Ok(Ok(Record::default()));
        };
        match serde_json::from_slice::<Record>(&bytes) {
            Ok(record) if record.format > FORMAT => Err(JournalError::Newer {
                path,
                found: record.format,
            }),
            Ok(record) => Ok(Ok(record)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Returns a copy of what it holds.
    pub fn record(&self) -> Record {
        self.lock().now.clone()
    }

    /// Changes what it holds; on disk when this returns, and unchanged where that failed.
    pub fn change<T>(&self, change: impl FnOnce(&mut Record) -> T) -> io::Result<T> {
        let mut pages = self.lock();
        let mut next = pages.now.clone();
        next.format = FORMAT;
        let value = change(&mut next);
        if next != pages.now {
            self.write(&mut pages, next)?;
            drop(pages);
            self.changed.send_replace(());
        }
        Ok(value)
    }

    fn write(&self, pages: &mut Pages, mut next: Record) -> io::Result<()> {
        next.written_bytes = self.written_bytes();
        let bytes = serde_json::to_vec_pretty(&next)?;
        disk::write_whole(self.disk.as_ref(), &self.path, &bytes, PUBLIC)?;
        pages.now = next.clone();
        pages.on_disk = next;
        Ok(())
    }

    /// Returns a watch that wakes with every change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
