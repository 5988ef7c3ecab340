//! The lock that the running service holds, and who that is.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};

/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(10);

/// Returns the processes that have the lock's file as their standard input.
pub(super) fn holders(lock: &Path) -> io::Result<Vec<Pid>> {
    let Some(wanted) = crate::disk::optional(fs::metadata(lock))? else {
        return Ok(Vec::new());
    };
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            continue;
        };
        // Processes end while they are looked at, and others' can't be.
        let Ok(input) = fs::metadata(entry.path().join("fd/0")) else {
            continue;
        };
        if input.dev() == wanted.dev() && input.ino() == wanted.ino() {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// Takes the lock for a program that is to be started; kills what is left of one before it, and its group.
pub(crate) async fn acquire(lock: &Path) -> io::Result<File> {
    let file = open(lock)?;
    let deadline = Instant::now() + PATIENCE;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let holders = holders(lock)?;
        for pid in &holders {
            tracing::warn!(
                "process {} is left of a former run and is killed",
                pid.as_raw_nonzero()
            );
            let is_leader = getpgid(Some(*pid)).is_ok_and(|group| group == *pid);
            // One that is gone already is what is wanted.
            if is_leader {
                kill_process_group(*pid, Signal::KILL).ok();
            } else {
                kill_process(*pid, Signal::KILL).ok();
            }
        }
        if Instant::now() > deadline {
            let pids: Vec<_> = holders
                .iter()
                .map(|pid| pid.as_raw_nonzero().get())
                .collect();
            return Err(io::Error::other(format!(
                "what is left of a former run still runs (processes {pids:?}) and can't be killed; end it by hand"
            )));
        }
        tokio::time::sleep(GLANCE).await;
    }
    Ok(file)
}

/// Opens the lock's file for reading, so that a service can't write to its standard input.
fn open(lock: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(lock)
        .and_then(|_| File::open(lock))
}
