//! One build of the site at a time: two at once would leave a script, a wasm and a server that don't fit together.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::paths;

/// The right to change the site and to build the server that embeds it; ends when it is dropped, or with the process.
pub(crate) struct SiteLock {
    _file: File,
}

impl SiteLock {
    /// Takes the lock of this tree; says so where another build has it, and waits for that one's end.
    pub(crate) fn take() -> Result<Self> {
        let path = paths::site_lock();
        Self::at(&path, || {
            eprintln!(
                "  another build of the site runs in {}; waiting for its end",
                paths::root().display()
            );
        })
    }

    fn at(path: &Path, on_wait: impl FnOnce()) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let locked = match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                on_wait();
                file.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        locked.with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_second_build_says_that_it_waits_and_goes_on_after_the_first() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("target/site.lock");
        let first = SiteLock::at(&path, || panic!("nobody else has it")).unwrap();
        let (say, said) = mpsc::channel();
        let second = thread::spawn(move || {
            let waiting = say.clone();
            let lock = SiteLock::at(&path, move || waiting.send("waits").unwrap()).unwrap();
            say.send("has it").unwrap();
            drop(lock);
        });
        assert_eq!(said.recv().unwrap(), "waits");
        assert!(said.try_recv().is_err(), "it has the lock beside the first");
        drop(first);
        assert_eq!(said.recv().unwrap(), "has it");
        second.join().unwrap();
    }
}
