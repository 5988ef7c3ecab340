//! `firmware`: a file that a flasher brings into a controller behind this device.
//!
//! There is no second slot: while it is flashed the controller holds neither version. So what it ran is kept here, a flash
//! that was interrupted is done again from its start, and what counts is the version that the controller says itself.

mod controller;
mod flashed;
mod shelf;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use otter_protocol::{ArtifactKind, Version};

use super::exclusive::Exclusive;
use super::{Downloads, InstallError, Installer, Started, on_disk};
use crate::config::FirmwareConfig;
use crate::disk::Disk;
use crate::doctor::{Finding, programs};
use crate::journal::{Installed, Signed};
use crate::service::Trial;

use controller::Controller;
use flashed::{Flashed, FlashedFile};
use shelf::Shelf;

/// How often flashing the old version may fail before that is left to a person: every try wears the controller.
const MOST_FAILURES: u32 = 5;

/// Installs firmware into a controller.
#[derive(Debug)]
pub struct FirmwareInstaller {
    controller: Controller,
    flashed: FlashedFile,
    shelf: Shelf,
}

impl FirmwareInstaller {
    /// Takes the firmware section; `env` is for the programs.
    pub fn new(
        disk: Arc<dyn Disk>,
        config: &FirmwareConfig,
        state: &Path,
        env: BTreeMap<String, String>,
    ) -> Self {
        Self {
            controller: Controller {
                config: config.clone(),
                env,
                exclusive: Exclusive::new(&state.join("firmware.lock")),
            },
            flashed: FlashedFile::new(disk.clone(), state),
            shelf: Shelf::new(disk, state, &config.extension),
        }
    }

    fn flashed(&self) -> Result<Flashed, InstallError> {
        self.flashed.read().map_err(unwritable)
    }

    /// Tells whether the controller runs this already, whole, as it says itself.
    async fn runs(&self, version: &Installed) -> Result<bool, InstallError> {
        if !self.flashed()?.may_be(version) {
            return Ok(false);
        }
        Ok(self.controller.version().await.as_ref() == Ok(&version.version))
    }

    /// Flashes what is kept of a version, from its start.
    async fn flash(&self, version: &Installed) -> Result<(), InstallError> {
        let (shelf, kept) = (self.shelf.clone(), version.clone());
        let file = on_disk(move || shelf.verified(&kept)).await?;
        let failures = self.flashed()?.failures(version);
        let begun = |failures| Flashed::Begun {
            name: version.name.clone(),
            failures,
        };
        self.flashed.write(&begun(failures)).map_err(unwritable)?;
        tracing::info!("the controller is flashed with {}", version.version);
        if let Err(error) = self.controller.flash(&file, &version.version).await {
            let failures = failures.saturating_add(1);
            self.flashed.write(&begun(failures)).map_err(unwritable)?;
            return Err(InstallError::Unfit(error));
        }
        let name = version.name.clone();
        self.flashed
            .write(&Flashed::Whole { name })
            .map_err(unwritable)
    }

    /// Flashes what ran before a flash was interrupted, and returns whether the controller runs that again.
    async fn mend(&self, believed: &Installed) -> Option<Installed> {
        let mended = async {
            // The journal may have been told of a version that nobody knew.
            let kept = self.shelf.named(&believed.name)?;
            let kept = kept.unwrap_or_else(|| believed.clone());
            self.flash(&kept).await?;
            let version = self.controller.version_until(Some(&kept.version)).await;
            version.map_err(InstallError::Unfit)
        };
        match mended.await {
            Ok(version) => Some(Installed {
                version,
                ..believed.clone()
            }),
            Err(error) => {
                tracing::error!("the controller is half flashed, and can't be mended: {error}");
                None
            }
        }
    }

    /// Returns what the controller says, as far as it is known here.
    fn known(
        &self,
        version: Version,
        believed: Option<&Installed>,
    ) -> Result<Installed, InstallError> {
        if let Some(believed) = believed.filter(|believed| believed.version == version) {
            return Ok(believed.clone());
        }
        // Whoever put it there: nothing older than what publishers signed comes after it.
        let release_counter = believed.map_or(0, |believed| believed.release_counter);
        Ok(match self.shelf.of_version(&version)? {
            Some(kept) => Installed {
                release_counter: kept.release_counter.max(release_counter),
                ..kept
            },
            None => Shelf::found(version, release_counter),
        })
    }
}

fn unwritable(cause: io::Error) -> InstallError {
    InstallError::Disk {
        what: "what the controller was flashed with can't be kept".to_owned(),
        cause,
    }
}

#[async_trait]
impl Installer for FirmwareInstaller {
    fn kind(&self) -> ArtifactKind {
        ArtifactKind::Firmware
    }

    /// A controller that says nothing keeps no device from its server, which may have the cure: its version is unknown then.
    async fn recover(
        &self,
        believed: Option<&Installed>,
    ) -> Result<Option<Installed>, InstallError> {
        let unknown = || {
            believed.map(|believed| Installed {
                version: Version::default(),
                ..believed.clone()
            })
        };
        if self.flashed()?.is_begun() {
            let mended = match believed {
                Some(believed) => self.mend(believed).await,
                None => None,
            };
            return Ok(mended.or_else(unknown));
        }
        match self.controller.version_until(None).await {
            Ok(version) => self.known(version, believed).map(Some),
            Err(error) => {
                tracing::error!("nobody knows what the controller runs: {error}");
                Ok(unknown())
            }
        }
    }

    async fn prepare(
        &self,
        signed: &Signed,
        downloads: &Downloads,
        _: &[Installed],
    ) -> Result<Installed, InstallError> {
        let artifact = downloads.verified(signed).await?;
        let (shelf, signed) = (self.shelf.clone(), signed.clone());
        on_disk(move || shelf.keep(&signed, &artifact)).await
    }

    async fn back_up(&self, old: Option<&Installed>) -> Result<(), InstallError> {
        let Some(old) = old else {
            return Ok(());
        };
        if self.shelf.has(old)? {
            return Ok(());
        }
        let Some(read_out) = &self.controller.config.read_out else {
            tracing::warn!(
                "nothing is kept of version {}: this update can't be taken back",
                old.version
            );
            return Ok(());
        };
        let file = self.shelf.stage(old).map_err(unwritable)?;
        let read = self.controller.read_out(read_out, &file).await;
        read.map_err(InstallError::Unfit)?;
        let (shelf, old) = (self.shelf.clone(), old.clone());
        on_disk(move || shelf.keep_staged(&old)).await
    }

    async fn stop(&self) -> Result<(), InstallError> {
        Ok(())
    }

    async fn apply(&self, version: &Installed) -> Result<(), InstallError> {
        // Only what was flashed from here to its end is left alone: the same version may have had other bytes.
        let is_flashed = self.flashed()? != Flashed::Never && self.runs(version).await?;
        if is_flashed {
            tracing::info!("the controller runs {} already", version.version);
            return Ok(());
        }
        self.flash(version).await
    }

    async fn start(&self, version: &Installed, _: Trial) -> Result<Started, InstallError> {
        if self.flashed()?.is_begun() {
            return Err(InstallError::Unfit(
                "the controller is half flashed: the flasher was interrupted, or failed".to_owned(),
            ));
        }
        let version = &version.version;
        let wanted = (*version != Version::default()).then_some(version);
        let read = self.controller.version_until(wanted).await;
        read.map(|_| Started::Running).map_err(InstallError::Unfit)
    }

    async fn commit(&self, _: &Installed) -> Result<(), InstallError> {
        Ok(())
    }

    async fn roll_back(
        &self,
        _: Option<&Installed>,
        old: Option<&Installed>,
    ) -> Result<(), InstallError> {
        let Some(old) = old else {
            return Ok(());
        };
        if self.runs(old).await? {
            return Ok(());
        }
        // Both are told with the version that runs instead: nothing is left to try.
        if !self.shelf.has(old)? {
            tracing::error!("nothing is kept of version {} to flash", old.version);
            return Ok(());
        }
        if self.flashed()?.failures(old) >= MOST_FAILURES {
            tracing::error!("flashing version {} failed too often", old.version);
            return Ok(());
        }
        self.flash(old).await
    }

    async fn keeps(&self, version: &Installed) -> Result<(), InstallError> {
        let (shelf, version) = (self.shelf.clone(), version.clone());
        on_disk(move || shelf.verified(&version).map(|_| ())).await
    }

    async fn clean(&self, keep: &[Installed]) -> Result<(), InstallError> {
        let (shelf, keep) = (self.shelf.clone(), keep.to_vec());
        on_disk(move || shelf.clean(&keep)).await
    }

    fn folder(&self, _: &Installed) -> PathBuf {
        PathBuf::from("/")
    }

    fn patience(&self) -> Duration {
        // Read out, flashed, and asked until it is up again.
        let config = &self.controller.config;
        config.flash_timeout() * 2 + config.read_back() + config.read_timeout() * 2
    }

    fn examine(&self) -> Vec<Finding> {
        let (config, root) = (&self.controller.config, Path::new("/"));
        let look = |key: &str, argv| programs::examine("controller", key, argv, root);
        let mut findings = vec![
            look("firmware.flash", &config.flash),
            look("firmware.read_version", &config.read_version),
        ];
        findings.push(match &config.read_out {
            Some(argv) => look("firmware.read_out", argv),
            None => Finding::warning(
                "controller",
                "the first update can't be taken back: nothing is kept of what the controller runs now",
                "set `firmware.read_out`, where the controller can be read",
            ),
        });
        findings
    }
}

#[cfg(test)]
mod tests;
