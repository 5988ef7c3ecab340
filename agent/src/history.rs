//! How the last attempts ended.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use otter_protocol::check_in::Offer;
use otter_protocol::{AttemptState, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::disk::{self, Disk, PUBLIC};
use crate::journal::{Attempt, Origin, Waiting};

const LARGEST: u64 = 4 << 20;

/// An attempt that came to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// What the server had offered.
    pub offer: Offer,
    /// What ran before.
    pub from: Option<Version>,
    /// When the offer came.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How: succeeded, failed, rolled back or cancelled.
    pub outcome: AttemptState,
    /// Why, where it didn't succeed.
    pub message: Option<String>,
    /// Bytes that the agent wrote for it.
    #[serde(default)]
    pub written_bytes: Option<u64>,
    /// The device's last word on it.
    pub last_report: Waiting,
    /// Who wanted it.
    #[serde(default)]
    pub origin: Origin,
}

impl Ended {
    /// Ends an attempt.
    pub fn new(attempt: &Attempt, from: Option<Version>, last_report: Waiting) -> Self {
        Self {
            offer: attempt.offer.clone(),
            from,
            started_at: attempt.started_at,
            ended_at: clock::now(),
            outcome: last_report.report.state,
            message: last_report.report.message.clone(),
            written_bytes: None,
            last_report,
            origin: attempt.origin.clone(),
        }
    }
}

/// The file that remembers attempts.
#[derive(Debug, Clone)]
pub struct History {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    most: usize,
}

impl History {
    /// Takes the history in a folder, to remember so many attempts.
    pub fn new(disk: Arc<dyn Disk>, folder: &Path, most: usize) -> Self {
        Self {
            disk,
            path: folder.join("history.json"),
            most,
        }
    }

    /// Returns the attempts, oldest first. A file that makes no sense is none: history decides nothing.
    pub fn load(&self) -> io::Result<Vec<Ended>> {
        let bytes = disk::read(self.disk.as_ref(), &self.path, LARGEST)?;
        Ok(bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default())
    }

    /// Remembers an attempt; once, however often it is called.
    pub fn add(&self, ended: Ended) -> io::Result<()> {
        let mut all = self.load()?;
        all.retain(|other| other.offer.attempt_uuid != ended.offer.attempt_uuid);
        all.push(ended);
        let surplus = all.len().saturating_sub(self.most);
        all.drain(..surplus);
        let bytes = serde_json::to_vec(&all)?;
        disk::write_whole(self.disk.as_ref(), &self.path, &bytes, PUBLIC)
    }

    /// Returns how an offer ended, if it did.
    pub fn of(&self, offer: &Offer) -> io::Result<Option<Ended>> {
        Ok(self
            .load()?
            .into_iter()
            .find(|ended| ended.offer.attempt_uuid == offer.attempt_uuid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;
    use crate::journal::{Record, Step};
    use crate::testing;

    fn ended(uuid: u128) -> Ended {
        let mut attempt = testing::attempt(Step::Downloading);
        attempt.offer.attempt_uuid = uuid::Uuid::from_u128(uuid);
        let mut record = Record {
            attempt: Some(attempt.clone()),
            ..Record::default()
        };
        record.report(AttemptState::Failed, None, Some("no"), None);
        Ended::new(&attempt, None, record.outbox[0].clone())
    }

    #[test]
    fn remembers_the_last_and_each_once() {
        let disk = Arc::new(SimulatedDisk::default());
        disk.make_dir(Path::new("/s")).unwrap();
        let history = History::new(disk.clone(), Path::new("/s"), 20);
        for n in 0..25 {
            history.add(ended(n)).unwrap();
            history.add(ended(n)).unwrap();
        }
        let all = history.load().unwrap();
        assert_eq!(all.len(), 20);
        assert_eq!(all[0].offer.attempt_uuid.as_u128(), 5);
        assert_eq!(all[0].outcome, AttemptState::Failed);
        assert!(history.of(&ended(15).offer).unwrap().is_some());
        assert!(history.of(&ended(1).offer).unwrap().is_none());

        // One that was set to remember less forgets the oldest with the next.
        let short = History::new(disk, Path::new("/s"), 3);
        short.add(ended(30)).unwrap();
        let left: Vec<u128> = short
            .load()
            .unwrap()
            .iter()
            .map(|ended| ended.offer.attempt_uuid.as_u128())
            .collect();
        assert_eq!(left, [23, 24, 30]);
    }
}
