//! Several containers, made by compose from a file in which `OTTER_IMAGE` stands for the release's image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use otter_protocol::Version;

use super::super::InstallError;
use super::engine::Engine;
use crate::config::ContainerConfig;
use crate::disk::{self, Disk, PUBLIC};
use crate::journal::Installed;
use crate::program;
use crate::service::Launch;

const LARGEST: u64 = 64 << 10;

/// A compose project.
#[derive(Debug)]
pub(super) struct Compose {
    disk: Arc<dyn Disk>,
    file: PathBuf,
    command: Vec<String>,
    project: String,
    env: BTreeMap<String, String>,
    grace: Duration,
    limit: Duration,
    /// Holds the version that is to run.
    applied: PathBuf,
    initial_version: Option<Version>,
}

impl Compose {
    pub(super) fn new(
        engine: &Engine,
        disk: Arc<dyn Disk>,
        config: &ContainerConfig,
        file: &Path,
        state: &Path,
        mut env: BTreeMap<String, String>,
    ) -> Self {
        let socket = engine.socket().display();
        env.insert("DOCKER_HOST".to_owned(), format!("unix://{socket}"));
        Self {
            disk,
            file: file.to_owned(),
            command: config.compose_command.clone(),
            project: config.name.clone(),
            env,
            grace: config.stop_grace(),
            limit: config.call_timeout(),
            applied: state.join("compose.json"),
            initial_version: config.initial_version.clone(),
        }
    }

    /// Returns the project's name, which is a label of each of its containers.
    pub(super) fn project(&self) -> &str {
        &self.project
    }

    /// Looks for the file, before anything changes.
    pub(super) fn check(&self) -> Result<(), InstallError> {
        let found = disk::find(self.disk.as_ref(), &self.file);
        match found.map_err(|cause| self.disk_error("read", cause))? {
            Some(_) => Ok(()),
            None => Err(InstallError::Unfit(format!(
                "`container.compose`: there is no {}",
                self.file.display()
            ))),
        }
    }

    async fn run(
        &self,
        version: Option<&Installed>,
        arguments: &[&str],
    ) -> Result<(), InstallError> {
        let mut argv = self.command.clone();
        argv.extend(["-f".to_owned(), self.file.display().to_string()]);
        argv.extend(["-p".to_owned(), self.project.clone()]);
        argv.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let mut env = self.env.clone();
        if let Some(version) = version {
            env.insert("OTTER_VERSION".to_owned(), version.version.to_string());
            // What came with the device is the default that the file has for it.
            if !version.name.is_empty() {
                env.insert("OTTER_IMAGE".to_owned(), version.name.clone());
            }
        }
        let folder = self.file.parent().unwrap_or(Path::new("/")).to_owned();
        let launch = Launch { argv, folder, env };
        let done = program::succeed(&launch, self.grace + self.limit).await;
        done.map(|_| ()).map_err(InstallError::Unfit)
    }

    fn applied(&self) -> Result<Option<Installed>, InstallError> {
        let bytes = disk::read(self.disk.as_ref(), &self.applied, LARGEST);
        let bytes = bytes.map_err(|cause| self.disk_error("read", cause))?;
        // What makes no sense says nothing: the journal says it, too.
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn disk_error(&self, what: &str, cause: std::io::Error) -> InstallError {
        InstallError::Disk {
            what: format!("{} can't be {what}", self.applied.display()),
            cause,
        }
    }

    pub(super) async fn stop(&self) -> Result<(), InstallError> {
        let Some(applied) = self.applied()? else {
            return Ok(());
        };
        let grace = format!("{:.0}", self.grace.as_secs_f64().ceil());
        self.run(Some(&applied), &["stop", "--timeout", &grace])
            .await
    }

    /// Writes down which version is to run; compose itself replaces containers when it is started.
    pub(super) fn apply(&self, version: &Installed) -> Result<(), InstallError> {
        let bytes = serde_json::to_vec(version)
            .map_err(|error| self.disk_error("written", error.into()))?;
        disk::write_whole(self.disk.as_ref(), &self.applied, &bytes, PUBLIC)
            .map_err(|cause| self.disk_error("written", cause))
    }

    pub(super) async fn start(&self, version: &Installed) -> Result<(), InstallError> {
        self.run(Some(version), &["up", "-d"]).await
    }

    pub(super) async fn roll_back(&self, old: Option<&Installed>) -> Result<(), InstallError> {
        if let Some(old) = old {
            return self.apply(old);
        }
        if let Some(applied) = self.applied()? {
            self.run(Some(&applied), &["down"]).await?;
        }
        let removed = disk::remove_if_there(self.disk.as_ref(), &self.applied)
            .and_then(|()| disk::sync_parent(self.disk.as_ref(), &self.applied));
        removed.map_err(|cause| self.disk_error("removed", cause))
    }

    pub(super) fn recover(
        &self,
        believed: Option<&Installed>,
    ) -> Result<Option<Installed>, InstallError> {
        let applied = self.applied()?;
        let found = match (believed, applied.clone(), &self.initial_version) {
            (Some(believed), _, _) => Some(believed.clone()),
            (None, Some(applied), _) => Some(applied),
            (None, None, Some(initial)) => Some(Installed {
                version: initial.clone(),
                release_counter: 0,
                name: String::new(),
            }),
            (None, None, None) => None,
        };
        if let Some(found) = found.as_ref().filter(|_| found != applied) {
            self.apply(found)?;
        }
        Ok(found)
    }
}
