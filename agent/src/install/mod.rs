//! Installers: what is done with an artifact, by its kind, behind one trait.

pub mod bundle;
pub mod container;
mod exclusive;
pub mod firmware;
pub mod image;
pub mod intake;
pub mod module;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use otter_protocol::ArtifactKind;
use tokio::sync::watch;

use crate::config::{Config, Software};
use crate::disk::Disk;
use crate::doctor::Finding;
use crate::journal::{Installed, Signed};
use crate::service::{self, Service, ServiceFiles, Status, Trial};
use bundle::BundleInstaller;
use container::ContainerInstaller;
use firmware::FirmwareInstaller;
use image::ImageInstaller;
use module::ModuleInstaller;

pub use intake::{Downloads, Intake};

/// Why an artifact can't be installed; the text is the device's report.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// What was taken in is not there any more; it is to be fetched again.
    #[error("what was fetched is not there any more")]
    Missing,
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
    /// The boot loader can't be told, or says what makes no sense.
    #[error("{0}")]
    Boot(String),
    /// The container engine is away, or says no.
    #[error(transparent)]
    Engine(#[from] container::EngineError),
    /// The service won't start or stop.
    #[error("the service can't be {what}: {cause}")]
    Service {
        /// Started or stopped.
        what: &'static str,
        /// What the system said.
        cause: io::Error,
    },
}

/// What starting a version came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It runs.
    Running,
    /// It runs once the device is restarted; this is what the boot loader is to be told.
    ByRestart(Option<&'static str>),
}

/// How long a call of an installer may work without a sign, unless it says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Installs artifacts of one kind.
///
/// Every call may be the second one: the agent is killed at any instant, reads its journal and calls again. Until
/// [`stop`](Self::stop) nothing that runs may be touched.
#[async_trait]
pub trait Installer: Send + Sync + std::fmt::Debug {
    /// Returns the kind of artifact that it takes.
    fn kind(&self) -> ArtifactKind;

    /// Returns what is really installed, where no attempt is under way; `believed` is what the journal says. What differs
    /// is mended where the journal is right, and told where it isn't.
    async fn recover(
        &self,
        believed: Option<&Installed>,
    ) -> Result<Option<Installed>, InstallError>;

    /// Returns what takes the artifact's bytes as they come. The default keeps them in a file of this folder.
    async fn intake(
        &self,
        signed: &Signed,
        downloads: &Downloads,
        in_use: &[Installed],
    ) -> Result<Box<dyn Intake>, InstallError> {
        let _ = in_use;
        Ok(Box::new(downloads.open(signed)?))
    }

    /// Puts an artifact that was taken in beside what runs, whole, synced and verified; `in_use` may not be touched.
    async fn prepare(
        &self,
        signed: &Signed,
        downloads: &Downloads,
        in_use: &[Installed],
    ) -> Result<Installed, InstallError>;

    /// Keeps what is needed to go back, beyond what every installer has kept for it; nothing by default.
    async fn back_up(&self, old: Option<&Installed>) -> Result<(), InstallError> {
        let _ = old;
        Ok(())
    }

    /// Stops what runs.
    async fn stop(&self) -> Result<(), InstallError>;

    /// Makes a prepared version the one that starts next, at one instant.
    async fn apply(&self, version: &Installed) -> Result<(), InstallError>;

    /// Starts a version; what runs just so already is left alone.
    async fn start(&self, version: &Installed, trial: Trial) -> Result<Started, InstallError>;

    /// Ends the trial of what runs: from now on it is kept running, and it is what every restart starts.
    async fn commit(&self, version: &Installed) -> Result<(), InstallError>;

    /// Makes the old version the one that starts, at one instant; `None` for a device that had none.
    async fn roll_back(
        &self,
        new: Option<&Installed>,
        old: Option<&Installed>,
    ) -> Result<(), InstallError>;

    /// Removes every version but these, and whatever was left half done.
    async fn clean(&self, keep: &[Installed]) -> Result<(), InstallError>;

    /// Tells whether a version that ran before is there still, whole, so that it can be applied once more; the error says what
    /// is missing. By default nothing is.
    async fn keeps(&self, version: &Installed) -> Result<(), InstallError> {
        let _ = version;
        Err(InstallError::Unfit(format!(
            "what installs {}s keeps no former version to apply again",
            self.kind()
        )))
    }

    /// Returns the last lines that the version printed which runs, or ran last; none by default.
    async fn output(&self) -> Vec<String> {
        Vec::new()
    }

    /// Ends what doesn't outlive the agent, which stops in order; everything that runs by default.
    async fn leave(&self) -> Result<(), InstallError> {
        self.stop().await
    }

    /// Returns how long one call may work without touching the agent's disk before that means that it hangs.
    fn patience(&self) -> Duration {
        PATIENCE
    }

    /// Returns a watch on the service that the installer keeps running, where there is one.
    fn service(&self) -> Option<watch::Receiver<Status>> {
        None
    }

    /// Returns the folder in which a version's health checks run.
    fn folder(&self, version: &Installed) -> PathBuf;

    /// Looks at whatever it needs on this device; changes nothing, and works beside an agent that runs.
    fn examine(&self) -> Vec<Finding> {
        Vec::new()
    }
}

/// Makes the installer that a configuration asks for, and takes over the service where there is one.
pub(crate) fn configured(
    config: &Config,
    disk: &Arc<dyn Disk>,
) -> anyhow::Result<Arc<dyn Installer>> {
    let files = ServiceFiles::new(&config.state_dir);
    let service = config.service();
    let service = service.map(|config| service::configured(config, files));
    let installer = with(config, disk, service.transpose()?)?;
    installer.ok_or_else(|| {
        anyhow::anyhow!(
            "the configuration says nothing of what is installed: add `[bundle]`, `[image]`, `[container]`, `[firmware]` \
             or `[module]`, as in otter-agent.example.toml"
        )
    })
}

/// Makes the installer that a configuration asks for, with what starts and stops its service; without that it leaves the
/// service alone.
pub(crate) fn with(
    config: &Config,
    disk: &Arc<dyn Disk>,
    service: Option<Box<dyn Service>>,
) -> anyhow::Result<Option<Arc<dyn Installer>>> {
    let env = BTreeMap::from([
        ("OTTER_DEVICE_ID".to_owned(), config.device_id.to_string()),
        ("OTTER_MODEL".to_owned(), config.model.to_string()),
    ]);
    let (disk, state) = (disk.clone(), &config.state_dir);
    let Some(software) = config.software() else {
        return Ok(None);
    };
    Ok(Some(match software {
        Software::Bundle(bundle) => {
            let keeps = config.keeps_downloads();
            Arc::new(BundleInstaller::new(disk, bundle, keeps, service, env))
        }
        Software::Image(image) => Arc::new(ImageInstaller::new(disk, image, state)),
        Software::Firmware(firmware) => {
            Arc::new(FirmwareInstaller::new(disk, firmware, state, env))
        }
        Software::Module(module) => Arc::new(ModuleInstaller::new(disk, module, state, env)),
        Software::Container(container) => {
            Arc::new(ContainerInstaller::begin(disk, container, state, env)?)
        }
    }))
}

/// Runs what keeps the disk busy where it holds up nothing else.
pub(crate) async fn on_disk<T: Send + 'static>(
    what: impl FnOnce() -> Result<T, InstallError> + Send + 'static,
) -> Result<T, InstallError> {
    tokio::task::spawn_blocking(what)
        .await
        .unwrap_or_else(|error| {
            Err(InstallError::Unfit(format!(
                "the installer failed: {error}"
            )))
        })
}
