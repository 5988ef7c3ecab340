//! A folder for one run of the programs: locked against others, begun anew, and left without a process in it.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{paths, process};

/// The programs that are put into the folder.
const PROGRAMS: [&str; 4] = ["otter-server", "otter-agent", "otter", "greeter"];

/// A folder for one run of the programs.
pub(crate) struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Begins a folder of the target folder anew: ends what an earlier run left running there, and empties it.
    pub(crate) fn fresh(name: &str) -> Result<Self> {
        let target = paths::target();
        fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
        let target = target.canonicalize()?;
        let root = target.join(name);
        let lock = lock(&target.join(format!("{name}.lock")), name)?;
        process::kill_programs_in(&root);
        if root.exists() {
            fs::remove_dir_all(&root)
                .with_context(|| format!("cannot empty {}; delete it by hand", root.display()))?;
        }
        fs::create_dir_all(root.join("logs"))
            .with_context(|| format!("cannot make {}", root.display()))?;
        process::kill_on_interrupt(&root);
        Ok(Self { root, _lock: lock })
    }

    /// Puts the programs into the folder, so that a build beside the run doesn't change them under it.
    pub(crate) fn take_programs(&self, release: bool) -> Result<()> {
        let into = self.path("programs");
        fs::create_dir_all(&into)?;
        for name in PROGRAMS {
            let from = paths::binaries(release).join(name);
            link_or_copy(&from, &into.join(name))
                .with_context(|| format!("cannot use {}", from.display()))?;
        }
        Ok(())
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Where a program is.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.path("programs").join(name)
    }

    /// Where a program's output goes.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.path("logs").join(format!("{name}.log"))
    }

    /// Makes a folder in the folder, with its parents.
    pub(crate) fn make(&self, relative: &str) -> Result<PathBuf> {
        let path = self.path(relative);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        process::kill_programs_in(&self.root);
    }
}

fn lock(path: &Path, name: &str) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another run works in target/{name} at this moment. Stop it with Ctrl-C, or wait for its end"
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Gives a file a second name, where nothing is yet; copies it where the file system can't.
fn link_or_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    match fs::hard_link(from, to) {
        // To copy over a second name of the same file would empty both.
        Err(error) if error.kind() != ErrorKind::AlreadyExists => fs::copy(from, to).map(drop),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_name_is_never_copied_over() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, to) = (scratch.path().join("a"), scratch.path().join("b"));
        fs::write(&from, "whole").unwrap();
        link_or_copy(&from, &to).unwrap();
        assert!(link_or_copy(&from, &to).is_err());
        assert_eq!(fs::read_to_string(&from).unwrap(), "whole");
    }
}
