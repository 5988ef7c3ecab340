//! Installers: what is done with an artifact, by its kind, behind one trait.

pub mod bundle;

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use otter_protocol::ArtifactKind;
use tokio::sync::watch;

use crate::journal::{Installed, Signed};
use crate::service::{Status, Trial};

/// Why an artifact can't be installed; the text is the device's report.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The artifact isn't what an installer takes.
    #[error("{0}")]
    Unfit(String),
    /// The disk said no.
    #[error("{what}: {cause}. Check the disk's space and permissions")]
    Disk {
        /// What was tried.
        what: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The service won't start or stop.
    #[error("the service can't be {what}: {cause}")]
    Service {
        /// Started or stopped.
        what: &'static str,
        /// What the system said.
        cause: io::Error,
    },
}

/// Installs artifacts of one kind.
///
/// Every call may be the second one: the agent is killed at any instant, reads its journal and calls again. Until
/// [`apply`](Self::apply) nothing that runs may be touched.
#[async_trait]
pub trait Installer: Send + Sync + std::fmt::Debug {
    /// Returns the kind of artifact that it takes.
    fn kind(&self) -> ArtifactKind;

    /// Finds what is installed where the journal knows nothing: on the first start, or without a journal.
    async fn discover(&self) -> Result<Option<Installed>, InstallError>;

    /// Puts a verified artifact beside what runs, whole and synced; `in_use` may not be touched.
    async fn prepare(
        &self,
        signed: &Signed,
        artifact: &Path,
        in_use: &[Installed],
    ) -> Result<Installed, InstallError>;

    /// Stops what runs.
    async fn stop(&self) -> Result<(), InstallError>;

    /// Makes a version the one that starts, at one instant; `None` for a device that had none.
    async fn apply(&self, version: Option<&Installed>) -> Result<(), InstallError>;

    /// Starts a version; what runs just so already is left alone.
    async fn start(&self, version: &Installed, trial: Trial) -> Result<(), InstallError>;

    /// Ends the trial of what runs: from now on it is kept running.
    fn trust(&self);

    /// Removes every version but these, and whatever was left half done.
    async fn clean(&self, keep: &[Installed]) -> Result<(), InstallError>;

    /// Returns a watch on the service, where there is one.
    fn service(&self) -> Option<watch::Receiver<Status>>;

    /// Returns the folder in which a version's own programs run.
    fn folder(&self, version: &Installed) -> PathBuf;
}
