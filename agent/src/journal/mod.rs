//! Where the agent is, on disk: written before each step is begun, so that a restart goes on or goes back.
//!
//! One file holds what is installed, the attempt under way and the reports that wait: a step and the report that it
//! makes are in the journal together or not at all. So no report is lost, and none is made up.

mod attempt;
mod log;
mod note;
mod record;
mod signed;
mod step;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::disk::{self, Disk, PUBLIC, Written};

pub(crate) use attempt::BY_HAND;
pub use attempt::{Attempt, Installed, Origin, TakenBack, Waiting};
pub use log::{AttemptLog, Entry};
pub use record::Record;
pub use signed::Signed;
pub use step::Step;

const FORMAT: u32 = 1;
const LARGEST: u64 = 4 << 20;

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
