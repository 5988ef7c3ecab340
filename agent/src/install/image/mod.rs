//! `image`: a whole system, written to the slot that doesn't run.
//!
//! The bytes go straight to their slot, and only where they differ from what it holds. A slot's record says which version it
//! holds whole; it is removed before the first byte changes and written after all of them were read back. So a slot without
//! a record is never started.

mod examine;
mod intake;
mod slots;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use otter_protocol::ArtifactKind;

use super::{Downloads, InstallError, Installer, Intake, Started, on_disk};
use crate::boot::{self, BootError, BootFlow};
use crate::config::ImageConfig;
use crate::disk::Disk;
use crate::doctor::Finding;
use crate::journal::{Installed, Signed};
use crate::service::Trial;

use intake::SlotIntake;
use slots::{SlotRecord, Slots};

impl From<BootError> for InstallError {
    fn from(error: BootError) -> Self {
        Self::Boot(error.to_string())
    }
}

/// Installs images in two slots.
#[derive(Debug)]
pub struct ImageInstaller {
    slots: Slots,
    boot: Arc<dyn BootFlow>,
    disk: Arc<dyn Disk>,
    config: ImageConfig,
}

impl ImageInstaller {
    /// Takes the image section; what the slots hold is written down in the state folder.
    pub fn new(disk: Arc<dyn Disk>, config: &ImageConfig, state: &Path) -> Self {
        Self {
            boot: boot::configured(disk.clone(), config),
            slots: Slots::new(disk.clone(), config, state),
            disk,
            config: config.clone(),
        }
    }

    /// Returns the slot that doesn't run.
    async fn free_slot(&self) -> Result<String, InstallError> {
        let current = self.boot.current().await?;
        self.slots.other(&current).ok_or_else(|| {
            InstallError::Boot(format!(
                "slot `{current}` runs, which is none of `image.slots`"
            ))
        })
    }

    /// Fails unless a version's slot holds all of it.
    async fn holds(&self, version: &Installed) -> Result<(), InstallError> {
        let wanted = version.clone();
        if self.on_slots(move |slots| slots.holds(&wanted)).await? {
            return Ok(());
        }
        Err(InstallError::Unfit(format!(
            "slot `{}` does not hold version {} whole",
            version.name, version.version
        )))
    }

    /// Runs what keeps the disk busy where it holds up nothing else.
    async fn on_slots<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Slots) -> Result<T, InstallError> + Send + 'static,
    ) -> Result<T, InstallError> {
        let slots = self.slots.clone();
        on_disk(move || what(&slots)).await
    }
}

#[async_trait]
impl Installer for ImageInstaller {
    fn kind(&self) -> ArtifactKind {
        ArtifactKind::Image
    }

    async fn recover(
        &self,
        believed: Option<&Installed>,
    ) -> Result<Option<Installed>, InstallError> {
        let current = self.boot.current().await?;
        if let Some(believed) = believed.filter(|believed| believed.name == current) {
            return Ok(Some(believed.clone()));
        }
        let slot = current.clone();
        let record = self.on_slots(move |slots| slots.record(&slot)).await?;
        let (version, release_counter) = match record {
            Some(record) => (record.version, record.release_counter),
            None => (self.config.initial_version.clone().unwrap_or_default(), 0),
        };
        Ok(Some(Installed {
            version,
            release_counter,
            name: current,
        }))
    }

    async fn intake(
        &self,
        signed: &Signed,
        _: &Downloads,
        _: &[Installed],
    ) -> Result<Box<dyn Intake>, InstallError> {
        let slot = self.free_slot().await?;
        let signed = signed.clone();
        let intake = self.on_slots(move |slots| SlotIntake::open(slots, &slot, &signed));
        Ok(Box::new(intake.await?))
    }

    async fn prepare(
        &self,
        signed: &Signed,
        _: &Downloads,
        _: &[Installed],
    ) -> Result<Installed, InstallError> {
        let name = self.free_slot().await?;
        let (slot, signed) = (name.clone(), signed.clone());
        self.on_slots(move |slots| {
            let content = slots.verify(&slot, &signed.sha256)?;
            let record = SlotRecord {
                version: signed.version(),
                release_counter: signed.facts.release_counter,
                content,
            };
            slots.keep_record(&slot, &record)?;
            Ok(Installed {
                version: record.version,
                release_counter: record.release_counter,
                name: slot,
            })
        })
        .await
    }

    async fn back_up(&self, old: Option<&Installed>) -> Result<(), InstallError> {
        match old.cloned() {
            Some(old) => self.on_slots(move |slots| slots.keep_ran(&old)).await,
            None => Ok(()),
        }
    }

    async fn stop(&self) -> Result<(), InstallError> {
        Ok(())
    }

    async fn apply(&self, version: &Installed) -> Result<(), InstallError> {
        if self.boot.current().await? == version.name {
            // It runs already, on trial or for good.
            return Ok(());
        }
        self.holds(version).await?;
        Ok(self.boot.try_once(&version.name).await?)
    }

    async fn start(&self, version: &Installed, _: Trial) -> Result<Started, InstallError> {
        if self.boot.current().await? == version.name {
            Ok(Started::Running)
        } else {
            Ok(Started::ByRestart(self.boot.restart_argument()))
        }
    }

    async fn commit(&self, version: &Installed) -> Result<(), InstallError> {
        Ok(self.boot.commit(&version.name).await?)
    }

    async fn roll_back(
        &self,
        _: Option<&Installed>,
        old: Option<&Installed>,
    ) -> Result<(), InstallError> {
        match old {
            Some(old) => Ok(self.boot.commit(&old.name).await?),
            None => Ok(()),
        }
    }

    async fn keeps(&self, version: &Installed) -> Result<(), InstallError> {
        self.holds(version).await
    }

    async fn clean(&self, _: &[Installed]) -> Result<(), InstallError> {
        Ok(())
    }

    fn folder(&self, _: &Installed) -> PathBuf {
        PathBuf::from("/")
    }

    fn examine(&self) -> Vec<Finding> {
        self.look()
    }
}

#[cfg(test)]
mod tests;
