//! What links are used for and cost, on disk: for `status`, and so that a restart doesn't make them free.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::Money;
use crate::disk::{self, Disk, PUBLIC};

const LARGEST: u64 = 64 << 10;
/// How long costs that grow a little may be kept in memory alone.
const OLDEST: Duration = Duration::from_secs(60 * 60);

/// What is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    /// The link that was used last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<String>,
    /// Why something waits for a better link, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waits: Option<String>,
    /// What links with a price cost so far, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) costs: BTreeMap<String, Money>,
}

/// The file, and what it holds.
#[derive(Debug)]
pub(super) struct Ledger {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    written: Mutex<(Entry, Instant)>,
}

impl Ledger {
    /// Opens the file in a state folder; returns what it holds, too.
    pub(super) fn open(disk: Arc<dyn Disk>, state: &Path) -> (Self, Entry) {
        let entry = look(disk.as_ref(), state);
        let ledger = Self {
            disk,
            path: path(state),
            written: Mutex::new((entry.clone(), Instant::now())),
        };
        (ledger, entry)
    }

    /// Writes what changed, where that is worth a write: costs alone are `due` at the end of something large, and hourly.
    pub(super) fn keep(&self, entry: Entry, due: bool) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, at) = &*written;
        let is_news = before.link != entry.link || before.waits != entry.waits;
        if *before == entry || !(is_news || due || at.elapsed() >= OLDEST) {
            return;
        }
        let bytes = serde_json::to_vec_pretty(&entry).map_err(std::io::Error::from);
        let result = bytes
            .and_then(|bytes| disk::write_whole(self.disk.as_ref(), &self.path, &bytes, PUBLIC));
        match result {
            Ok(()) => *written = (entry, Instant::now()),
            Err(error) => tracing::warn!("{} can't be written: {error}", self.path.display()),
        }
    }
}

/// Reads what is on disk; what makes no sense counts for nothing.
pub(super) fn look(disk: &dyn Disk, state: &Path) -> Entry {
    let path = path(state);
    let entry = disk::read(disk, &path, LARGEST).and_then(|bytes| match bytes {
        Some(bytes) => Ok(serde_json::from_slice(&bytes)?),
        None => Ok(Entry::default()),
    });
    entry.unwrap_or_else(|error| {
        tracing::warn!(
            "{} can't be read, and what links cost counts from 0 again: {error}",
            path.display()
        );
        Entry::default()
    })
}

fn path(state: &Path) -> PathBuf {
    state.join("link.json")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::disk::{CountingDisk, SimulatedDisk};

    fn entry(link: &str, cost: f64) -> Entry {
        let costs = serde_json::json!({ "link": link, "costs": { "lte": cost } });
        serde_json::from_value(costs).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn costs_are_written_hourly_and_news_at_once() {
        let disk = Arc::new(SimulatedDisk::default());
        let state = Path::new("/");
        let (ledger, before) = Ledger::open(disk.clone(), state);
        assert_eq!(before, Entry::default());
        let on_disk = || look(disk.as_ref(), state);
        ledger.keep(entry("lte", 1.0), false);
        assert_eq!(on_disk(), entry("lte", 1.0), "the link is news");
        ledger.keep(entry("lte", 2.0), false);
        assert_eq!(on_disk(), entry("lte", 1.0));
        ledger.keep(entry("lte", 2.5), true);
        assert_eq!(on_disk(), entry("lte", 2.5), "a download is over");
        tokio::time::advance(OLDEST).await;
        ledger.keep(entry("lte", 3.0), false);
        assert_eq!(on_disk(), entry("lte", 3.0));
        assert_eq!(Ledger::open(disk, state).1, entry("lte", 3.0));
    }

    #[test]
    fn what_did_not_change_is_not_written() {
        let disk = Arc::new(CountingDisk::new(Arc::new(SimulatedDisk::default())));
        let (ledger, _) = Ledger::open(disk.clone(), Path::new("/"));
        ledger.keep(entry("lte", 1.0), true);
        let written = disk.written().bytes();
        ledger.keep(entry("lte", 1.0), true);
        assert_eq!(disk.written().bytes(), written);
    }

    #[test]
    fn a_file_that_makes_no_sense_counts_for_nothing() {
        let disk = SimulatedDisk::default();
        let mut file = disk.write_new(Path::new("/link.json"), PUBLIC).unwrap();
        file.write_all(b"{\"costs\": 7").unwrap();
        assert_eq!(look(&disk, Path::new("/")), Entry::default());
    }
}
