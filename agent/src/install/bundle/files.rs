//! The root folder of bundles: versions side by side, and the link to one of them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use otter_protocol::{Sha256Digest, Version};

use super::super::InstallError;
use super::name::{folder_name, from_name};
use super::reuse;
use super::unpack::{Limits, unpack};
use crate::disk::{self, Disk, Kind, PUBLIC};
use crate::journal::{Installed, Signed};

const VERSIONS: &str = "versions";
const CURRENT: &str = "current";
const STAGING: &str = ".staging-";
/// Names the folder that a version was unpacked to while it came.
const READY: &str = ".ready-";

/// The root folder and what is in it.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) root: PathBuf,
    pub(super) limits: Limits,
}

impl Files {
    pub(super) fn versions(&self) -> PathBuf {
        self.root.join(VERSIONS)
    }

    pub(super) fn folder(&self, version: &Installed) -> PathBuf {
        self.versions().join(&version.name)
    }

    fn disk<T>(&self, what: &str, result: io::Result<T>) -> Result<T, InstallError> {
        result.map_err(|cause| InstallError::Disk {
            what: format!("{what} in {}", self.root.display()),
            cause,
        })
    }

    /// Reads what `current` points to.
    pub(super) fn current(&self) -> Result<Option<Installed>, InstallError> {
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

    /// Fails unless a version is there: folders have their names only once they are whole.
    pub(super) fn has(&self, version: &Installed) -> Result<(), InstallError> {
        let folder = self.folder(version);
        let found = disk::find(self.disk.as_ref(), &folder);
        match self.disk("versions can't be read", found)? {
            Some(Kind::Folder) => Ok(()),
            _ => Err(InstallError::Unfit(format!(
                "{} is not there any more",
                folder.display()
            ))),
        }
    }

    pub(super) fn prepare(
        &self,
        signed: &Signed,
        artifact: &Path,
        in_use: &[Installed],
    ) -> Result<Installed, InstallError> {
        let bytes = self.disk("the download can't be read", self.disk.open(artifact))?;
        let (target, staging) = self.unpack(signed, bytes, in_use)?;
        self.settle(&staging, &target)?;
        Ok(target)
    }

    /// Unpacks a bundle beside what is there, and returns what it will be, and where it is until then.
    pub(super) fn unpack(
        &self,
        signed: &Signed,
        bytes: impl Read,
        in_use: &[Installed],
    ) -> Result<(Installed, PathBuf), InstallError> {
        let target = self.unused(&signed.version(), signed.facts.release_counter, in_use);
        let staging = self.staging(&target)?;
        let old = in_use.first().map(|version| self.folder(version));
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
        Ok((target, staging))
    }

    /// Gives what was unpacked from an artifact its place, and remembers from which.
    pub(super) fn keep_ready(
        &self,
        artifact: &Sha256Digest,
        target: &Installed,
        staging: &Path,
    ) -> Result<(), InstallError> {
        self.settle(staging, target)?;
        let kept = serde_json::to_vec(target)
            .map_err(io::Error::from)
            .and_then(|bytes| {
                disk::write_whole(
                    self.disk.as_ref(),
                    &self.ready_path(artifact),
                    &bytes,
                    PUBLIC,
                )
            });
        self.disk("what was unpacked can't be noted", kept)
    }

    /// Returns what was unpacked from an artifact while it came, where it is there still.
    pub(super) fn ready(&self, artifact: &Sha256Digest) -> Result<Option<Installed>, InstallError> {
        const LARGEST: u64 = 64 << 10;
        let disk = self.disk.as_ref();
        let bytes = disk::read(disk, &self.ready_path(artifact), LARGEST);
        let bytes = self.disk("what was unpacked can't be found", bytes)?;
        let installed: Option<Installed> =
            bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(installed.filter(|installed| disk.kind(&self.folder(installed)).is_ok()))
    }

    fn ready_path(&self, artifact: &Sha256Digest) -> PathBuf {
        self.versions().join(format!("{READY}{artifact}"))
    }

    /// Copies the version that came with the device to where versions are, and makes it current.
    pub(super) fn take_initial(
        &self,
        folder: &Path,
        version: &Version,
    ) -> Result<Installed, InstallError> {
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

    pub(super) fn switch(&self, version: Option<&Installed>) -> Result<(), InstallError> {
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

    pub(super) fn clean(&self, keep: &[Installed]) -> Result<(), InstallError> {
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
