//! `bundle`: a tree of files. Versions lie side by side in `versions/`, and the link `current` points to one of them.

mod examine;
mod extension;
mod files;
mod intake;
mod name;
mod reuse;
mod unpack;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use otter_protocol::{ArtifactKind, Version};
use tokio::sync::watch;

use super::{Downloads, InstallError, Installer, Intake, Started};
use crate::config::{BundleConfig, ServiceConfig};
use crate::disk::Disk;
use crate::doctor::Finding;
use crate::journal::{Installed, Signed};
use crate::service::{Run, Service, Status, Trial};

use files::Files;
use intake::BundleIntake;
pub use unpack::{Limits, Unpacked, unpack};

/// Installs bundles, and keeps their service running.
#[derive(Debug)]
pub struct BundleInstaller {
    files: Files,
    initial: Option<(PathBuf, Version)>,
    /// Whether downloads are kept until they are unpacked.
    keeps_downloads: bool,
    service: Option<Box<dyn Service>>,
    env: BTreeMap<String, String>,
    patience: Duration,
}

impl BundleInstaller {
    /// Takes the bundle section; `env` is for the service.
    pub fn new(
        disk: Arc<dyn Disk>,
        config: &BundleConfig,
        keeps_downloads: bool,
        service: Option<Box<dyn Service>>,
        mut env: BTreeMap<String, String>,
    ) -> Self {
        let configured = config.service.as_ref();
        env.extend(
            configured
                .map(|service| service.env.clone())
                .unwrap_or_default(),
        );
        Self {
            files: Files {
                disk,
                root: config.root.clone(),
                limits: Limits {
                    bytes: config.max_unpacked_bytes,
                    entries: config.max_entries,
                },
            },
            keeps_downloads,
            initial: config.initial.clone().zip(config.initial_version.clone()),
            service,
            env,
            patience: configured.map_or(Duration::ZERO, ServiceConfig::patience),
        }
    }

    fn run(&self, version: &Installed) -> Run {
        Run {
            version: version.version.clone(),
            folder: self.folder(version),
            env: self.env.clone(),
        }
    }

    /// Points `current` elsewhere. What runs from it is stopped before, whoever started it: then what runs after is what it
    /// leads to.
    async fn switch(&self, version: Option<&Installed>) -> Result<(), InstallError> {
        let name = version.map(|version| version.name.clone());
        let is_there = self.on_disk(move |files| {
            let current = files.current()?;
            Ok(current.map(|current| current.name) == name)
        });
        if !is_there.await? {
            self.stop().await?;
        }
        let version = version.cloned();
        self.on_disk(move |files| files.switch(version.as_ref()))
            .await
    }

    /// Runs what keeps the disk busy where it holds up nothing else.
    async fn on_disk<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Files) -> Result<T, InstallError> + Send + 'static,
    ) -> Result<T, InstallError> {
        let files = self.files.clone();
        super::on_disk(move || what(&files)).await
    }
}

#[async_trait]
impl Installer for BundleInstaller {
    fn kind(&self) -> ArtifactKind {
        ArtifactKind::Bundle
    }

    async fn recover(
        &self,
        believed: Option<&Installed>,
    ) -> Result<Option<Installed>, InstallError> {
        if let Some(installed) = believed {
            self.apply(installed).await?;
            return Ok(Some(installed.clone()));
        }
        let initial = self.initial.clone();
        self.on_disk(move |files| match files.current()? {
            Some(installed) => Ok(Some(installed)),
            None => initial
                .map(|(folder, version)| files.take_initial(&folder, &version))
                .transpose(),
        })
        .await
    }

    async fn intake(
        &self,
        signed: &Signed,
        downloads: &Downloads,
        in_use: &[Installed],
    ) -> Result<Box<dyn Intake>, InstallError> {
        // What an agent with other settings began is finished as it was begun.
        if self.keeps_downloads || downloads.has_any(signed)? {
            return Ok(Box::new(downloads.open(signed)?));
        }
        let intake = BundleIntake::open(self.files.clone(), signed.clone(), in_use.to_vec());
        Ok(Box::new(intake?))
    }

    async fn prepare(
        &self,
        signed: &Signed,
        downloads: &Downloads,
        in_use: &[Installed],
    ) -> Result<Installed, InstallError> {
        let artifact = signed.sha256;
        if let Some(ready) = self.on_disk(move |files| files.ready(&artifact)).await? {
            return Ok(ready);
        }
        if !downloads.has_any(signed)? {
            return Err(InstallError::Missing);
        }
        let artifact = downloads.verified(signed).await?;
        let (signed, in_use) = (signed.clone(), in_use.to_vec());
        self.on_disk(move |files| files.prepare(&signed, &artifact, &in_use))
            .await
    }

    async fn stop(&self) -> Result<(), InstallError> {
        let Some(service) = &self.service else {
            return Ok(());
        };
        let run = match self.on_disk(|files| files.current()).await {
            Ok(current) => current.map(|version| self.run(&version)),
            // The agent knows its own process without the disk.
            Err(error) if !service.outlives_agent() => {
                tracing::warn!("{error}");
                None
            }
            Err(error) => return Err(error),
        };
        service
            .stop(run)
            .await
            .map_err(|cause| InstallError::Service {
                what: "stopped",
                cause,
            })
    }

    async fn leave(&self) -> Result<(), InstallError> {
        match &self.service {
            Some(service) if service.outlives_agent() => Ok(()),
            _ => self.stop().await,
        }
    }

    async fn apply(&self, version: &Installed) -> Result<(), InstallError> {
        self.switch(Some(version)).await
    }

    async fn start(&self, version: &Installed, trial: Trial) -> Result<Started, InstallError> {
        let Some(service) = &self.service else {
            return Ok(Started::Running);
        };
        service
            .start(self.run(version), trial)
            .await
            .map(|()| Started::Running)
            .map_err(|cause| InstallError::Service {
                what: "started",
                cause,
            })
    }

    async fn commit(&self, _: &Installed) -> Result<(), InstallError> {
        if let Some(service) = &self.service {
            service.trust();
        }
        Ok(())
    }

    async fn roll_back(
        &self,
        _: Option<&Installed>,
        old: Option<&Installed>,
    ) -> Result<(), InstallError> {
        self.switch(old).await
    }

    async fn clean(&self, keep: &[Installed]) -> Result<(), InstallError> {
        let keep = keep.to_vec();
        self.on_disk(move |files| files.clean(&keep)).await
    }

    async fn keeps(&self, version: &Installed) -> Result<(), InstallError> {
        let version = version.clone();
        self.on_disk(move |files| files.has(&version)).await
    }

    async fn output(&self) -> Vec<String> {
        let service = self.service.as_ref();
        service.map(|service| service.output()).unwrap_or_default()
    }

    fn service(&self) -> Option<watch::Receiver<Status>> {
        self.service.as_ref()?.status()
    }

    fn patience(&self) -> Duration {
        super::PATIENCE.saturating_add(self.patience)
    }

    fn folder(&self, version: &Installed) -> PathBuf {
        self.files.folder(version)
    }

    fn examine(&self) -> Vec<Finding> {
        self.files.examine()
    }
}

#[cfg(test)]
mod service_tests;
#[cfg(test)]
mod tests;
