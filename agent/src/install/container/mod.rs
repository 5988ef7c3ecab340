//! `container`: an image for the Docker Engine, as an archive or by its digest in a registry, through the engine's socket.
//!
//! What runs is an image's id, never a tag. The new container takes the old one's name, and the old one is put aside until
//! the new one is to stay; which is which is in their labels, so that the engine itself is the record of how far an update
//! came. Compose files are the other way: there compose replaces the containers, and only the image is the agent's.

mod arrangement;
mod auth;
mod body;
mod compose;
mod engine;
mod images;
mod life;
mod progress;
mod single;
mod source;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use otter_protocol::ArtifactKind;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::{Downloads, InstallError, Installer, Started};
use crate::config::{ContainerConfig, Way};
use crate::disk::Disk;
use crate::journal::{Installed, Signed};
use crate::service::{Status, Trial};

use compose::Compose;
use engine::Engine;
pub use engine::EngineError;
use images::Images;
use single::Single;
use watch::{Subject, Watch};

/// How often it is tried to start what should run while the engine is away.
const AGAIN: Duration = Duration::from_secs(2);

/// Installs images, and has their containers run.
#[derive(Debug)]
pub struct ContainerInstaller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Arc<Engine>,
    images: Images,
    runner: Runner,
    watch: Arc<Watch>,
    config: ContainerConfig,
    /// What should run, though the engine was away when it was to be started. Whoever changes what runs holds this.
    overdue: Mutex<Option<Installed>>,
}

/// How containers are made.
#[derive(Debug)]
enum Runner {
    Single(Single),
    Compose(Compose),
}

impl ContainerInstaller {
    /// Takes the container section, whether the engine is there or not; `env` is for the containers.
    pub fn begin(
        disk: Arc<dyn Disk>,
        config: &ContainerConfig,
        state: &Path,
        env: BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let engine = Arc::new(Engine::new(&config.socket, config.call_timeout())?);
        let images = Images::new(engine.clone(), disk.clone(), config, state);
        let runner = match config.way() {
            Some(Way::Create(body)) => {
                Runner::Single(Single::new(engine.clone(), disk, config, body, env))
            }
            Some(Way::Compose(file)) => {
                Runner::Compose(Compose::new(&engine, disk, config, file, state, env))
            }
            None => anyhow::bail!("set either `container.create` or `container.compose`"),
        };
        Ok(Self(Arc::new(Inner {
            images,
            runner,
            watch: Watch::begin(engine.clone()),
            engine,
            config: config.clone(),
            overdue: Mutex::default(),
        })))
    }

    /// Returns once the engine answers: before it says what is there, nothing can be done.
    async fn engine(&self) -> Result<(), InstallError> {
        Ok(self.0.engine.is_there(self.0.config.wait()).await?)
    }

    /// Starts a version as soon as the engine is back, unless something else is wanted by then.
    fn start_later(&self, version: &Installed) {
        let (inner, version) = (self.0.clone(), version.clone());
        tokio::spawn(async move {
            loop {
                sleep(AGAIN).await;
                let mut overdue = inner.overdue.lock().await;
                if overdue.as_ref() != Some(&version) {
                    return;
                }
                match inner.start(&version, Trial::Trusted).await {
                    Err(InstallError::Engine(error)) if error.may_pass() => continue,
                    Err(error) => tracing::error!("{error}"),
                    Ok(()) => {
                        tracing::info!("the engine is back, and version {} runs", version.version)
                    }
                }
                *overdue = None;
                return;
            }
        });
    }
}

impl Inner {
    async fn start(&self, version: &Installed, trial: Trial) -> Result<(), InstallError> {
        // Compose doesn't say why it fails.
        self.engine.is_there(Duration::ZERO).await?;
        let subject = match &self.runner {
            Runner::Single(single) => Subject::Container(single.start(version, trial).await?),
            Runner::Compose(compose) => {
                compose.start(version).await?;
                Subject::Project(compose.project().to_owned())
            }
        };
        Ok(self.watch.look_at(subject, trial).await?)
    }
}

#[async_trait]
impl Installer for ContainerInstaller {
    fn kind(&self) -> ArtifactKind {
        ArtifactKind::Container
    }

    async fn recover(
        &self,
        believed: Option<&Installed>,
    ) -> Result<Option<Installed>, InstallError> {
        let single = match &self.0.runner {
            Runner::Single(single) => single,
            Runner::Compose(compose) => return compose.recover(believed),
        };
        let found = match believed {
            Some(_) => single.recover(believed).await,
            // What came with the device is known to the engine alone.
            None => match self.engine().await {
                Ok(()) => single.recover(None).await,
                Err(error) => Err(error),
            },
        };
        match found {
            Err(InstallError::Engine(error)) => {
                tracing::error!("{error}. The journal is believed until then");
                Ok(believed.cloned())
            }
            found => found,
        }
    }

    async fn prepare(
        &self,
        signed: &Signed,
        downloads: &Downloads,
        _: &[Installed],
    ) -> Result<Installed, InstallError> {
        let artifact = downloads.verified(signed).await?;
        self.engine().await?;
        Ok(Installed {
            version: signed.version(),
            release_counter: signed.facts.release_counter,
            name: self.0.images.bring(signed, &artifact).await?,
        })
    }

    async fn back_up(&self, _: Option<&Installed>) -> Result<(), InstallError> {
        // What would fail later fails now, while nothing has changed.
        self.engine().await?;
        match &self.0.runner {
            Runner::Single(single) => single.body().map(|_| ()),
            Runner::Compose(compose) => compose.check(),
        }
    }

    async fn stop(&self) -> Result<(), InstallError> {
        let mut overdue = self.0.overdue.lock().await;
        *overdue = None;
        self.engine().await?;
        // What is stopped on purpose hasn't died.
        self.0.watch.look_away();
        match &self.0.runner {
            Runner::Single(single) => single.stop().await,
            Runner::Compose(compose) => compose.stop().await,
        }
    }

    /// The engine keeps containers running, whether there is an agent or not.
    async fn leave(&self) -> Result<(), InstallError> {
        Ok(())
    }

    fn patience(&self) -> Duration {
        // An image is brought, a container stopped, and some calls are made beside.
        let config = &self.0.config;
        config.wait() + config.image_timeout() + config.stop_grace() + config.call_timeout() * 4
    }

    async fn apply(&self, version: &Installed) -> Result<(), InstallError> {
        self.engine().await?;
        match &self.0.runner {
            Runner::Single(single) => single.apply(version).await,
            Runner::Compose(compose) => compose.apply(version),
        }
    }

    async fn start(&self, version: &Installed, trial: Trial) -> Result<Started, InstallError> {
        let mut overdue = self.0.overdue.lock().await;
        let before = overdue.take();
        if trial == Trial::OnTrial {
            self.engine().await?;
        }
        let started = self.0.start(version, trial).await;
        if let (Err(InstallError::Engine(error)), Trial::Trusted) = (&started, trial)
            && error.may_pass()
        {
            *overdue = Some(version.clone());
            // Where the same was overdue before, somebody sees to it already.
            if before != *overdue {
                self.start_later(version);
            }
        }
        started.map(|()| Started::Running)
    }

    async fn commit(&self, version: &Installed) -> Result<(), InstallError> {
        if let Runner::Single(single) = &self.0.runner {
            single.commit(version).await?;
        }
        self.0.watch.trust();
        Ok(())
    }

    async fn roll_back(
        &self,
        new: Option<&Installed>,
        old: Option<&Installed>,
    ) -> Result<(), InstallError> {
        let single = match &self.0.runner {
            Runner::Single(single) => single,
            Runner::Compose(compose) => return compose.roll_back(old).await,
        };
        single.roll_back(new, old).await?;
        // What came with the device is back, although the journal never knew it: the engine was away then.
        if old.is_none()
            && let Some(found) = single.recover(None).await?
        {
            self.start(&found, Trial::Trusted).await?;
        }
        Ok(())
    }

    async fn clean(&self, keep: &[Installed]) -> Result<(), InstallError> {
        if let Runner::Single(single) = &self.0.runner {
            single.clean(keep).await?;
        }
        self.0.images.clean(keep).await
    }

    async fn keeps(&self, version: &Installed) -> Result<(), InstallError> {
        self.engine().await?;
        self.0.images.has(&version.name).await
    }

    fn service(&self) -> Option<tokio::sync::watch::Receiver<Status>> {
        Some(self.0.watch.status())
    }

    fn folder(&self, _: &Installed) -> PathBuf {
        PathBuf::from("/")
    }
}

#[cfg(test)]
mod tests;
