//! `module`: an executable of the user's that answers the installer's verbs. docs/DEVICES.md says what it must do.
//!
//! It is called for one verb at a time, in a process group of its own and under a deadline. What the verbs of one update are
//! about is written down before the first of them, so that a restart in between changes nothing.

mod call;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use otter_protocol::{ArtifactKind, Version};
use serde::{Deserialize, Serialize};

use super::exclusive::Exclusive;
use super::{Downloads, InstallError, Installer, Started};
use crate::config::{ModuleConfig, Verb};
use crate::disk::{self, Disk, PUBLIC};
use crate::doctor::Finding;
use crate::journal::{Installed, Signed};
use crate::service::Trial;

use call::{Answer, Facts, Module, version_in};

const LARGEST: u64 = 64 << 10;

/// What the verbs of one update are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Update {
    new: Installed,
    old: Option<Installed>,
    artifact: PathBuf,
}

/// Installs by an executable of the user's.
#[derive(Debug)]
pub struct ModuleInstaller {
    disk: Arc<dyn Disk>,
    module: Module,
    /// The update's file.
    note: PathBuf,
    /// What `stop` is about where no update is under way.
    runs: Mutex<Option<Installed>>,
}

impl ModuleInstaller {
    /// Takes the module section; `env` is for the module.
    pub fn new(
        disk: Arc<dyn Disk>,
        config: &ModuleConfig,
        state: &Path,
        env: BTreeMap<String, String>,
    ) -> Self {
        Self {
            disk,
            module: Module {
                config: config.clone(),
                state: state.join("module"),
                env,
                exclusive: Exclusive::new(&state.join("module.lock")),
            },
            note: state.join("module.json"),
            runs: Mutex::default(),
        }
    }

    async fn call(&self, verb: Verb, facts: &Facts) -> Result<Answer, InstallError> {
        disk::make_dirs(self.disk.as_ref(), &self.module.state).map_err(unwritable)?;
        self.module.call(verb, facts).await
    }

    /// Asks what is installed; the outer `None` is from a module that can't tell.
    async fn found(&self) -> Result<Option<Option<Version>>, InstallError> {
        let Answer::Done(printed) = self.call(Verb::Recover, &Facts::default()).await? else {
            return Ok(None);
        };
        let version = version_in(&printed).map_err(|error| {
            InstallError::Unfit(format!("the module's `recover` makes no sense: {error}"))
        })?;
        Ok(Some(version))
    }

    fn update(&self) -> Result<Option<Update>, InstallError> {
        let bytes = disk::read(self.disk.as_ref(), &self.note, LARGEST).map_err(unwritable)?;
        // One that rotted is as good as none.
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn keep_update(&self, update: &Update) -> Result<(), InstallError> {
        let bytes = serde_json::to_vec(update).map_err(|error| unwritable(error.into()))?;
        disk::write_whole(self.disk.as_ref(), &self.note, &bytes, PUBLIC).map_err(unwritable)
    }

    /// Returns what a call that is about a version is about.
    fn facts_of(&self, version: &Installed) -> Result<Facts, InstallError> {
        let update = self.update()?.filter(|update| update.new == *version);
        Ok(update.map_or_else(|| installed(Some(version)), facts))
    }

    fn runs(&self, version: Option<&Installed>) {
        *self.runs.lock().unwrap_or_else(PoisonError::into_inner) = version.cloned();
    }
}

/// Tells whether an update has come to its end, by what is to be kept: what is installed comes first.
fn is_over(update: &Update, keep: &[Installed]) -> bool {
    let is_committed = update.old.is_some() && keep.first() == Some(&update.new);
    is_committed || !keep.contains(&update.new)
}

fn facts(update: Update) -> Facts {
    Facts {
        version: Some(update.new.version),
        release_counter: Some(update.new.release_counter),
        old_version: update.old.map(|old| old.version),
        artifact: Some(update.artifact),
    }
}

fn installed(version: Option<&Installed>) -> Facts {
    Facts {
        version: version.map(|version| version.version.clone()),
        release_counter: version.map(|version| version.release_counter),
        ..Facts::default()
    }
}

fn unwritable(cause: io::Error) -> InstallError {
    InstallError::Disk {
        what: "the module's state can't be kept".to_owned(),
        cause,
    }
}

#[async_trait]
impl Installer for ModuleInstaller {
    fn kind(&self) -> ArtifactKind {
        ArtifactKind::Module
    }

    /// A module that can't tell what is installed keeps no device from its server, which may have the cure.
    async fn recover(
        &self,
        believed: Option<&Installed>,
    ) -> Result<Option<Installed>, InstallError> {
        let found = self.found().await.unwrap_or_else(|error| {
            tracing::error!("{error}. The journal's word is taken for what is installed");
            None
        });
        let version = match (found, believed) {
            (Some(version), _) => version,
            (None, Some(believed)) => Some(believed.version.clone()),
            (None, None) => self.module.config.initial_version.clone(),
        };
        let found = version.map(|version| match believed {
            Some(believed) if believed.version == version => believed.clone(),
            // Whoever put it there: nothing older than what publishers signed comes after it.
            _ => Installed {
                version,
                release_counter: believed.map_or(0, |believed| believed.release_counter),
                name: String::new(),
            },
        });
        self.runs(found.as_ref());
        Ok(found)
    }

    async fn prepare(
        &self,
        signed: &Signed,
        downloads: &Downloads,
        in_use: &[Installed],
    ) -> Result<Installed, InstallError> {
        let artifact = downloads.verified(signed).await?;
        let update = Update {
            new: Installed {
                version: signed.version(),
                release_counter: signed.facts.release_counter,
                name: signed.sha256.to_string(),
            },
            old: in_use.first().cloned(),
            artifact,
        };
        self.keep_update(&update)?;
        let new = update.new.clone();
        self.call(Verb::Prepare, &facts(update)).await?;
        Ok(new)
    }

    async fn back_up(&self, old: Option<&Installed>) -> Result<(), InstallError> {
        let mut facts = self.update()?.map(facts).unwrap_or_default();
        facts.old_version = old.map(|old| old.version.clone());
        self.call(Verb::BackUp, &facts).await.map(|_| ())
    }

    async fn stop(&self) -> Result<(), InstallError> {
        let facts = match self.update()? {
            Some(update) => facts(update),
            None => {
                let runs = self.runs.lock();
                installed(runs.unwrap_or_else(PoisonError::into_inner).as_ref())
            }
        };
        self.call(Verb::Stop, &facts).await.map(|_| ())
    }

    async fn apply(&self, version: &Installed) -> Result<(), InstallError> {
        let facts = self.facts_of(version)?;
        if facts.artifact.is_none() {
            return Err(InstallError::Unfit(format!(
                "nothing tells any more which artifact is version {}: {} is gone",
                version.version,
                self.note.display()
            )));
        }
        self.call(Verb::Apply, &facts).await.map(|_| ())
    }

    async fn start(&self, version: &Installed, _: Trial) -> Result<Started, InstallError> {
        let facts = self.facts_of(version)?;
        if self.call(Verb::Start, &facts).await? == Answer::AfterRestart {
            return Ok(Started::ByRestart(None));
        }
        // That it runs is only its word; which version does is asked.
        match self.found().await? {
            Some(found) if found.as_ref() != Some(&version.version) => {
                let found = found.map_or("nothing".to_owned(), |found| found.to_string());
                Err(InstallError::Unfit(format!(
                    "the module says that {found} is installed, not {}",
                    version.version
                )))
            }
            _ => {
                self.runs(Some(version));
                Ok(Started::Running)
            }
        }
    }

    async fn commit(&self, version: &Installed) -> Result<(), InstallError> {
        let facts = self.facts_of(version)?;
        self.call(Verb::Commit, &facts).await.map(|_| ())
    }

    async fn roll_back(
        &self,
        new: Option<&Installed>,
        old: Option<&Installed>,
    ) -> Result<(), InstallError> {
        let mut facts = match new {
            Some(new) => self.facts_of(new)?,
            None => Facts::default(),
        };
        facts.old_version = old.map(|old| old.version.clone());
        if self.call(Verb::RollBack, &facts).await? == Answer::Unknown {
            tracing::error!("the module has no `roll-back`: what it applied stays");
        }
        Ok(())
    }

    async fn clean(&self, keep: &[Installed]) -> Result<(), InstallError> {
        let mut update = self.update()?;
        if update.as_ref().is_some_and(|update| is_over(update, keep)) {
            disk::remove_if_there(self.disk.as_ref(), &self.note).map_err(unwritable)?;
            update = None;
        }
        // Both versions that a call is about stay.
        let about = match update {
            Some(update) => facts(update),
            None => Facts {
                old_version: keep.get(1).map(|old| old.version.clone()),
                ..installed(keep.first())
            },
        };
        self.call(Verb::Clean, &about).await.map(|_| ())
    }

    fn folder(&self, _: &Installed) -> PathBuf {
        self.module.state.clone()
    }

    fn patience(&self) -> Duration {
        // One verb, and those that are asked beside it.
        self.module.config.longest_timeout() * 3
    }

    fn examine(&self) -> Vec<Finding> {
        let path = self.module.config.executable.display();
        vec![match self.module.trouble() {
            None => Finding::ok("module", format!("{path} can be run")),
            Some(trouble) => Finding::problem(
                "module",
                trouble,
                "put the module there and make it executable (chmod +x), or correct `module.executable`",
            ),
        }]
    }
}

#[cfg(test)]
mod tests;
