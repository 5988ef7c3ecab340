//! Logs of ended attempts, kept until the server has them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use otter_protocol::{AttemptId, AttemptState};

use crate::agent::Agent;
use crate::config::UploadLogs;
use crate::disk::{self, Disk, SECRET};
use crate::journal::Attempt;
use crate::redact::{is_secret_name, redact};

/// Longest log, in bytes. The server takes 1 MiB; this much is written to flash at most.
const LARGEST: u64 = 256 << 10;

/// The folder of logs, a file each.
#[derive(Debug, Clone)]
pub(crate) struct AttemptLogs {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

impl AttemptLogs {
    /// Takes the logs in a state folder.
    pub(crate) fn new(disk: Arc<dyn Disk>, state: &Path) -> Self {
        Self {
            disk,
            folder: state.join("logs"),
        }
    }

    fn path(&self, attempt: AttemptId) -> PathBuf {
        self.folder.join(attempt.to_string())
    }

    /// Keeps the log of an attempt, and of others only those that wait.
    fn keep(&self, attempt: AttemptId, text: &str, waiting: &[AttemptId]) -> io::Result<()> {
        let disk = self.disk.as_ref();
        disk::make_dirs(disk, &self.folder)?;
        for name in disk.list(&self.folder)? {
            let id = name.to_str().and_then(|name| name.parse().ok());
            if id.is_none_or(|id| !waiting.contains(&id)) {
                disk::remove_if_there(disk, &self.folder.join(name))?;
            }
        }
        disk::write_whole(disk, &self.path(attempt), text.as_bytes(), SECRET)
    }

    /// Returns a log; none where it was lost, or nobody can read it.
    pub(crate) fn load(&self, attempt: AttemptId) -> io::Result<Option<Vec<u8>>> {
        disk::read(self.disk.as_ref(), &self.path(attempt), LARGEST)
    }

    /// Removes a log that nobody waits for any more.
    pub(crate) fn remove(&self, attempt: AttemptId) -> io::Result<()> {
        disk::remove_if_there(self.disk.as_ref(), &self.path(attempt))
    }
}

impl Agent {
    /// Writes down the log of an attempt that ends, where the server is to have it, and returns whether it is.
    pub(crate) fn keep_log(&self, attempt: &Attempt, outcome: AttemptState) -> bool {
        let is_wanted = match self.config.upload_logs {
            UploadLogs::Always => true,
            UploadLogs::Failures => outcome != AttemptState::Succeeded,
            UploadLogs::Never => false,
        };
        if !is_wanted || attempt.is_by_hand() {
            return false;
        }
        let text = self.head(attempt) + &attempt.log.as_text();
        let text = redact(&text, &self.secrets());
        let (id, record) = (attempt.offer.attempt, self.journal.record());
        let kept = self.logs.keep(id, &text, &record.logs);
        if let Err(error) = &kept {
            // How the attempt ended is reported in any case.
            tracing::warn!("the log of attempt {id} can't be kept: {error}");
        }
        kept.is_ok()
    }

    fn head(&self, attempt: &Attempt) -> String {
        format!(
            "otter-agent {} on {} ({}): attempt {} from {} to {}\n",
            env!("CARGO_PKG_VERSION"),
            self.config.device_id,
            self.config.model,
            attempt.offer.attempt,
            self.version(),
            attempt.offer.version
        )
    }

    /// Returns every secret that the agent knows by itself.
    fn secrets(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        // A token that can't be read now was not in anybody's hands to be printed.
        let token = self.identity.token().ok().flatten();
        secrets.extend(token.map(|token| token.secret().to_owned()));
        secrets.extend(self.config.enrollment_token().ok().flatten());
        let proxy = self.config.proxy.as_ref();
        secrets.extend(proxy.and_then(|proxy| proxy.password()).map(str::to_owned));
        let env = self.config.service().into_iter().flat_map(|it| &it.env);
        secrets.extend(
            env.filter(|(name, _)| is_secret_name(name))
                .map(|(_, value)| value.clone()),
        );
        secrets
    }
}
