//! One agent a state folder.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Held as long as the agent works; the system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

/// The folder can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Somebody else has it.
    #[error(
        "another agent (process {pid}) works in {folder}. Stop it first, or give this one a `state_dir` of its own"
    )]
    Taken {
        /// The state folder.
        folder: String,
        /// The other process, as far as it is known.
        pid: String,
    },
    /// The lock's file can't be opened.
    #[error("{folder} can't be locked: {cause}. Check that the folder can be written to")]
    Disk {
        /// The state folder.
        folder: String,
        /// What the system said.
        cause: std::io::Error,
    },
}

impl StateLock {
    /// Takes the folder, or says who has it.
    pub(crate) fn take(folder: &Path) -> Result<Self, LockError> {
        let name = folder.display().to_string();
        let disk = |cause| LockError::Disk {
            folder: name.clone(),
            cause,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join("lock"))
            .map_err(disk)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(disk)?;
            return Err(LockError::Taken {
                folder: name,
                pid: pid.trim().to_owned(),
            });
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(disk)?;
        Ok(Self { _file: file })
    }

    /// Returns the process that has the folder, where one has it; takes nothing itself.
    pub(crate) fn holder(folder: &Path) -> Option<String> {
        let path = folder.join("lock");
        let inode = std::fs::metadata(&path).ok()?.ino();
        let pid = std::fs::read_to_string(&path).ok()?.trim().to_owned();
        // Fields as proc_locks(5) has them: number, FLOCK, ADVISORY, WRITE, process, major:minor:inode, …
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        let is_held = locks.lines().any(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            fields.get(1) == Some(&"FLOCK")
                && fields.get(4) == Some(&pid.as_str())
                && fields
                    .get(5)
                    .and_then(|place| place.rsplit(':').next())
                    .is_some_and(|place| place == inode.to_string())
        });
        is_held.then_some(pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(StateLock::holder(folder.path()), None);
        let first = StateLock::take(folder.path()).unwrap();
        let error = StateLock::take(folder.path()).unwrap_err().to_string();
        let pid = std::process::id().to_string();
        assert!(
            error.contains(&pid) && error.contains("state_dir"),
            "{error}"
        );
        assert_eq!(StateLock::holder(folder.path()), Some(pid));
        drop(first);
        StateLock::take(folder.path()).unwrap();
    }
}
