//! The data that versions write: kept before an update, and put back where it is taken back.
//!
//! It is kept twice: once while the old version still runs, which takes as long as it takes, and once more when it has
//! stopped, which writes only what changed in between. Files that did not change since the last time share their bytes with
//! what was kept then.

mod keep;
mod plan;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use otter_protocol::AttemptId;

use crate::config::BackupConfig;
use crate::disk::{self, Disk};
use crate::install::{InstallError, on_disk};
use crate::program;
use crate::service::Launch;

use keep::Kept;
use plan::Plan;

/// The folder of back-ups, and what they are of.
#[derive(Debug, Clone)]
pub(crate) struct Backups {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    paths: Vec<PathBuf>,
    before: Option<Vec<String>>,
    timeout: Duration,
}

/// Which of an attempt's two back-ups: that of the running version, or that of the stopped one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pass {
    Running = 1,
    Stopped = 2,
}

impl Backups {
    /// Takes the back-ups in a state folder.
    pub(crate) fn new(disk: Arc<dyn Disk>, state: &Path, config: &BackupConfig) -> Self {
        Self {
            disk,
            folder: state.join("backup"),
            paths: config.paths.clone(),
            before: config.before.clone(),
            timeout: config.timeout(),
        }
    }

    /// Keeps the data while the old version runs.
    pub(crate) async fn keep_while_running(&self, attempt: AttemptId) -> Result<(), InstallError> {
        if let Some(argv) = &self.before {
            let launch = Launch {
                argv: argv.clone(),
                folder: PathBuf::from("/"),
                env: Default::default(),
            };
            program::succeed(&launch, self.timeout)
                .await
                .map_err(|error| {
                    InstallError::Unfit(format!(
                        "the data can't be made ready for its back-up: {error}"
                    ))
                })?;
        }
        self.keep(attempt, Pass::Running).await
    }

    /// Keeps what changed until the old version had stopped.
    pub(crate) async fn keep_when_stopped(&self, attempt: AttemptId) -> Result<(), InstallError> {
        self.keep(attempt, Pass::Stopped).await
    }

    async fn keep(&self, attempt: AttemptId, pass: Pass) -> Result<(), InstallError> {
        if self.paths.is_empty() {
            return Ok(());
        }
        let backups = self.clone();
        on_disk(move || {
            backups
                .keep_now(attempt, pass)
                .map_err(|cause| InstallError::Disk {
                    what: "the data can't be backed up".to_owned(),
                    cause,
                })
        })
        .await
    }

    /// Puts an attempt's data back, as it was before; nothing to do where none was kept.
    pub(crate) async fn put_back(&self, attempt: AttemptId) -> Result<(), InstallError> {
        let backups = self.clone();
        on_disk(move || {
            backups
                .plan(attempt)
                .and_then(|()| backups.go_on_now())
                .map_err(not_put_back)
        })
        .await
    }

    /// Goes on with what was begun to be put back, if something was.
    pub(crate) async fn go_on(&self) -> Result<(), InstallError> {
        let backups = self.clone();
        on_disk(move || backups.go_on_now().map_err(not_put_back)).await
    }

    /// Removes an attempt's back-ups.
    pub(crate) async fn discard(&self, attempt: AttemptId) -> Result<(), InstallError> {
        let backups = self.clone();
        on_disk(move || {
            let mut passes = [Pass::Running, Pass::Stopped].into_iter();
            let removed = passes.try_for_each(|pass| {
                disk::remove_tree(backups.disk.as_ref(), &backups.place(attempt, pass))
            });
            removed.map_err(|cause| InstallError::Disk {
                what: "old back-ups can't be removed".to_owned(),
                cause,
            })
        })
        .await
    }

    /// Removes every back-up but the newest.
    pub(crate) async fn clean(&self) -> Result<(), InstallError> {
        let backups = self.clone();
        on_disk(move || {
            backups.clean_now().map_err(|cause| InstallError::Disk {
                what: "old back-ups can't be removed".to_owned(),
                cause,
            })
        })
        .await
    }

    fn place(&self, attempt: AttemptId, pass: Pass) -> PathBuf {
        self.folder.join(format!("{attempt}-{}", pass as u32))
    }

    fn keep_now(&self, attempt: AttemptId, pass: Pass) -> io::Result<()> {
        let disk = self.disk.as_ref();
        let place = self.place(attempt, pass);
        if disk::find(disk, &place)?.is_some() {
            return Ok(());
        }
        disk::make_dirs(disk, &self.folder)?;
        let newest = self.newest()?;
        let staging = self.folder.join(".staging");
        disk::remove_tree(disk, &staging)?;
        let kept = Kept::make(disk, &self.paths, &staging, newest.as_deref())?;
        kept.save(disk, &staging)?;
        disk.rename(&staging, &place)?;
        disk.sync_dir(&self.folder)
    }

    /// Returns the newest back-up.
    fn newest(&self) -> io::Result<Option<PathBuf>> {
        let names = disk::optional(self.disk.list(&self.folder))?.unwrap_or_default();
        let newest = names
            .iter()
            .filter_map(|name| {
                let (attempt, pass) = name.to_str()?.split_once('-')?;
                Some((attempt.parse::<i64>().ok()?, pass.parse::<u32>().ok()?))
            })
            .max();
        Ok(newest.map(|(attempt, pass)| self.folder.join(format!("{attempt}-{pass}"))))
    }

    /// Writes down everything that is to be done, before the first of it is.
    fn plan(&self, attempt: AttemptId) -> io::Result<()> {
        let disk = self.disk.as_ref();
        let place = [Pass::Stopped, Pass::Running]
            .map(|pass| self.place(attempt, pass))
            .into_iter()
            .find(|place| disk.kind(place).is_ok());
        let Some(place) = place else {
            return Ok(());
        };
        if Plan::load(disk, &self.folder)?.is_some() {
            return Ok(());
        }
        let kept = Kept::load(disk, &place)?;
        let plan = Plan::make(disk, &kept, &place)?;
        if plan.is_empty() {
            return Ok(());
        }
        tracing::info!("{} files and folders are put back", plan.len());
        plan.save(disk, &self.folder)
    }

    fn go_on_now(&self) -> io::Result<()> {
        let disk = self.disk.as_ref();
        match Plan::load(disk, &self.folder)? {
            Some(plan) => {
                plan.carry_out(disk)?;
                Plan::remove(disk, &self.folder)
            }
            None => Ok(()),
        }
    }

    fn clean_now(&self) -> io::Result<()> {
        let disk = self.disk.as_ref();
        let Some(newest) = self.newest()? else {
            return Ok(());
        };
        for name in disk.list(&self.folder)? {
            let path = self.folder.join(name);
            let is_old = disk.kind(&path)? == disk::Kind::Folder && path != newest;
            if is_old {
                disk::remove_tree(disk, &path)?;
            }
        }
        Ok(())
    }
}

fn not_put_back(cause: io::Error) -> InstallError {
    InstallError::Disk {
        what: "the data can't be put back".to_owned(),
        cause,
    }
}

#[cfg(test)]
mod tests;
