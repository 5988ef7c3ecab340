//! A SQLite database is one server's at a time: a second one would do its periodic work beside the first.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, bail};

/// The right to serve a SQLite database; ends with the process, however that ends.
#[derive(Debug)]
pub(crate) struct DatabaseLock {
    _file: File,
}

impl DatabaseLock {
    /// Takes the lock beside a database's file, `otter.lock` for `otter.db`; fails while another server has it.
    pub(crate) fn take(database: &Path) -> anyhow::Result<Self> {
        let path = database.with_extension("lock");
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "another otter-server works in the folder {} and has locked {}. Stop that one, or give this one another \
                 folder (OTTER_DATA_DIR); for several servers on one fleet, set DATABASE_URL to a PostgreSQL database",
                folder.display(),
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_one_servers_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = DatabaseLock::take(&data.join("otter.db")).unwrap();
        assert!(data.join("otter.lock").is_file());
        let error = DatabaseLock::take(&data.join("otter.db")).unwrap_err();
        let named = format!("works in the folder {}", data.display());
        assert!(error.to_string().contains(&named), "{error}");
        DatabaseLock::take(&data.join("other.db")).unwrap();
        drop(first);
        DatabaseLock::take(&data.join("otter.db")).unwrap();
    }
}
