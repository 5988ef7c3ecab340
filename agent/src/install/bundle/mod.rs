//! `bundle`: a tree of files. Versions lie side by side in `versions/`, and the link `current` points to one of them.

mod extension;
mod reuse;
mod unpack;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use otter_protocol::{ArtifactKind, Version};
use tokio::sync::watch;

use super::{Downloads, InstallError, Installer, Started};
use crate::config::{BundleConfig, ServiceConfig};
use crate::disk::{self, Disk, Kind};
use crate::journal::{Installed, Signed};
use crate::service::{Launch, Status, Supervisor, Trial};

pub use unpack::{Limits, Unpacked, unpack};

const VERSIONS: &str = "versions";
const CURRENT: &str = "current";
const STAGING: &str = ".staging-";
/// Longest version in a folder's name, in characters.
const LONGEST_NAME: usize = 64;

/// Installs bundles, and keeps their service running.
#[derive(Debug)]
pub struct BundleInstaller {
    files: Files,
    initial: Option<(PathBuf, Version)>,
    service: Option<(ServiceConfig, Supervisor)>,
    env: BTreeMap<String, String>,
}

impl BundleInstaller {
    /// Takes the bundle section; `env` is for the service.
    pub fn new(
        disk: Arc<dyn Disk>,
        config: &BundleConfig,
        service: Option<Supervisor>,
        env: BTreeMap<String, String>,
    ) -> Self {
        Self {
            files: Files {
                disk,
                root: config.root.clone(),
                limits: Limits {
                    bytes: config.max_unpacked_bytes,
                    entries: config.max_entries,
                },
            },
            initial: config.initial.clone().zip(config.initial_version.clone()),
            service: config.service.clone().zip(service),
            env,
        }
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

    async fn prepare(
        &self,
        signed: &Signed,
        downloads: &Downloads,
        in_use: &[Installed],
    ) -> Result<Installed, InstallError> {
        let artifact = downloads.verified(signed).await?;
        let (signed, in_use) = (signed.clone(), in_use.to_vec());
        self.on_disk(move |files| files.prepare(&signed, &artifact, &in_use))
            .await
    }

    async fn stop(&self) -> Result<(), InstallError> {
        let Some((_, supervisor)) = &self.service else {
            return Ok(());
        };
        supervisor
            .stop()
            .await
            .map_err(|cause| InstallError::Service {
                what: "stopped",
                cause,
            })
    }

    async fn apply(&self, version: &Installed) -> Result<(), InstallError> {
        let version = version.clone();
        self.on_disk(move |files| files.switch(Some(&version)))
            .await
    }

    async fn start(&self, version: &Installed, trial: Trial) -> Result<Started, InstallError> {
        let Some((config, supervisor)) = &self.service else {
            return Ok(Started::Running);
        };
        let mut env = self.env.clone();
        env.extend(config.env.clone());
        let launch = Launch::new(
            &config.command,
            &self.folder(version),
            &version.version,
            &env,
        );
        supervisor
            .start(launch, trial)
            .await
            .map(|()| Started::Running)
            .map_err(|cause| InstallError::Service {
                what: "started",
                cause,
            })
    }

    async fn commit(&self, _: &Installed) -> Result<(), InstallError> {
        if let Some((_, supervisor)) = &self.service {
            supervisor.trust();
        }
        Ok(())
    }

    async fn roll_back(
        &self,
        _: Option<&Installed>,
        old: Option<&Installed>,
    ) -> Result<(), InstallError> {
        let old = old.cloned();
        self.on_disk(move |files| files.switch(old.as_ref())).await
    }

    async fn clean(&self, keep: &[Installed]) -> Result<(), InstallError> {
        let keep = keep.to_vec();
        self.on_disk(move |files| files.clean(&keep)).await
    }

    fn service(&self) -> Option<watch::Receiver<Status>> {
        self.service
            .as_ref()
            .map(|(_, supervisor)| supervisor.status())
    }

    fn folder(&self, version: &Installed) -> PathBuf {
        self.files.folder(version)
    }
}

/// The root folder and what is in it.
#[derive(Debug, Clone)]
struct Files {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    limits: Limits,
}

impl Files {
    fn versions(&self) -> PathBuf {
        self.root.join(VERSIONS)
    }

    fn folder(&self, version: &Installed) -> PathBuf {
        self.versions().join(&version.name)
    }

    fn disk<T>(&self, what: &str, result: io::Result<T>) -> Result<T, InstallError> {
        result.map_err(|cause| InstallError::Disk {
            what: format!("{what} in {}", self.root.display()),
            cause,
        })
    }

    /// Reads what `current` points to.
    fn current(&self) -> Result<Option<Installed>, InstallError> {
        let link = self.disk.read_link(&self.root.join(CURRENT));
        let Some(target) = self.disk("`current` can't be read", disk::optional(link))? else {
            return Ok(None);
        };
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let installed = from_name(&name);
        let found = disk::find(self.disk.as_ref(), &self.folder(&installed));
        let found = self.disk("versions can't be read", found)?;
        Ok(found.map(|_| installed))
    }

    fn prepare(
        &self,
        signed: &Signed,
        artifact: &Path,
        in_use: &[Installed],
    ) -> Result<Installed, InstallError> {
        let target = self.unused(&signed.version(), signed.facts.release_counter, in_use);
        let staging = self.staging(&target)?;
        let old = in_use.first().map(|version| self.folder(version));
        let bytes = self.disk("the download can't be read", self.disk.open(artifact))?;
        let unpacked = unpack(
            self.disk.as_ref(),
            bytes,
            &staging,
            old.as_deref(),
            self.limits,
        )?;
        tracing::info!(
            "{} files unpacked to {}, {} of them unchanged",
            unpacked.files,
            target.name,
            unpacked.reused
        );
        self.settle(&staging, &target)?;
        Ok(target)
    }

    /// Copies the version that came with the device to where versions are, and makes it current.
    fn take_initial(&self, folder: &Path, version: &Version) -> Result<Installed, InstallError> {
        let target = self.unused(version, 0, &[]);
        let staging = self.staging(&target)?;
        let what = format!(
            "the initial version can't be copied from {}",
            folder.display()
        );
        self.disk(
            &what,
            reuse::copy_tree(self.disk.as_ref(), folder, &staging),
        )?;
        self.settle(&staging, &target)?;
        self.switch(Some(&target))?;
        tracing::info!(
            "the device starts with version {version}, from {}",
            folder.display()
        );
        Ok(target)
    }

    /// Returns a name that nothing in use has: the same release may come again, with other bytes.
    fn unused(&self, version: &Version, release_counter: u64, in_use: &[Installed]) -> Installed {
        let plain = folder_name(release_counter, version);
        let mut name = plain.clone();
        let mut count = 1;
        while in_use.iter().any(|other| other.name == name) {
            count += 1;
            name = format!("{plain}~{count}");
        }
        Installed {
            version: version.clone(),
            release_counter,
            name,
        }
    }

    /// Makes an empty folder to unpack to.
    fn staging(&self, target: &Installed) -> Result<PathBuf, InstallError> {
        let staging = self.versions().join(format!("{STAGING}{}", target.name));
        let disk = self.disk.as_ref();
        let made = disk::make_dirs(disk, &self.versions())
            .and_then(|()| disk::remove_tree(disk, &staging))
            .and_then(|()| disk.make_dir(&staging));
        self.disk("no folder to unpack to can be made", made)?;
        Ok(staging)
    }

    /// Gives a folder whose contents are synced its final name.
    fn settle(&self, staging: &Path, target: &Installed) -> Result<(), InstallError> {
        let folder = self.folder(target);
        let disk = self.disk.as_ref();
        let settled = disk::remove_tree(disk, &folder)
            .and_then(|()| disk.rename(staging, &folder))
            .and_then(|()| disk.sync_dir(&self.versions()));
        self.disk("the new version can't be put beside the old one", settled)
    }

    fn switch(&self, version: Option<&Installed>) -> Result<(), InstallError> {
        let link = self.root.join(CURRENT);
        let disk = self.disk.as_ref();
        let switched = match version {
            Some(version) => {
                let target = Path::new(VERSIONS).join(&version.name);
                disk::switch_link(disk, &target, &link)
            }
            None => disk::remove_if_there(disk, &link).and_then(|()| {
                match disk::find(disk, &self.root)? {
                    Some(_) => disk.sync_dir(&self.root),
                    None => Ok(()),
                }
            }),
        };
        self.disk("`current` can't be switched", switched)
    }

    fn clean(&self, keep: &[Installed]) -> Result<(), InstallError> {
        let disk = self.disk.as_ref();
        let cleaned = || -> io::Result<()> {
            if disk::find(disk, &self.versions())? != Some(Kind::Folder) {
                return Ok(());
            }
            for name in disk.list(&self.versions())? {
                if keep.iter().all(|version| name != *version.name) {
                    disk::remove_tree(disk, &self.versions().join(&name))?;
                }
            }
            // What a cut brings back is removed the next time.
            Ok(())
        };
        self.disk("old versions can't be removed", cleaned())
    }
}

/// Returns the folder's name for a version: `7-1.1.0`.
fn folder_name(release_counter: u64, version: &Version) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_') {
            c
        } else {
            '_'
        }
    };
    let version: String = version
        .as_str()
        .chars()
        .take(LONGEST_NAME)
        .map(plain)
        .collect();
    format!("{release_counter}-{version}")
}

/// Reads a folder's name, as far as it tells.
fn from_name(name: &str) -> Installed {
    let (counter, version) = name.split_once('-').unwrap_or(("0", name));
    let version = version.split('~').next().unwrap_or(version);
    Installed {
        version: version.into(),
        release_counter: counter.parse().unwrap_or(0),
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests;
