//! One container, made by the engine's own call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use otter_protocol::Version;
use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::super::InstallError;
use super::arrangement::{Act, Arrangement, Found, Listed};
use super::body::{self, Body};
use super::engine::{Call, Engine, EngineError, optional};
use crate::config::ContainerConfig;
use crate::disk::{self, Disk};
use crate::journal::Installed;
use crate::service::Trial;

/// How often it is looked whether what was in the way is gone.
const GLANCE: Duration = Duration::from_millis(100);

/// The container that has the configured name.
#[derive(Debug)]
pub(super) struct Single {
    engine: Arc<Engine>,
    disk: Arc<dyn Disk>,
    name: String,
    create: PathBuf,
    env: BTreeMap<String, String>,
    grace: Duration,
    initial_version: Option<Version>,
}

impl Single {
    pub(super) fn new(
        engine: Arc<Engine>,
        disk: Arc<dyn Disk>,
        config: &ContainerConfig,
        create: &Path,
        env: BTreeMap<String, String>,
    ) -> Self {
        Self {
            engine,
            disk,
            name: config.name.clone(),
            create: create.to_owned(),
            env,
            grace: config.stop_grace(),
            initial_version: config.initial_version.clone(),
        }
    }

    /// Reads the file with the body; before anything changes, that is the check of it.
    pub(super) fn body(&self) -> Result<Body, InstallError> {
        let wrong = |why: String| {
            InstallError::Unfit(format!(
                "`container.create` {}: {why}",
                self.create.display()
            ))
        };
        let read = disk::read(self.disk.as_ref(), &self.create, body::LONGEST);
        let bytes = read.map_err(|error| wrong(error.to_string()))?;
        let bytes = bytes.ok_or_else(|| wrong("there is no such file".to_owned()))?;
        Body::parse(&bytes).map_err(wrong)
    }

    async fn arrangement(&self) -> Result<Arrangement, EngineError> {
        // The engine takes a part of a name; which ones are meant is seen here.
        let filters = json!({"name": [format!("^/{}", self.name)]});
        let call = Call::new(
            Method::GET,
            "/containers/json".to_owned(),
            "listing containers",
        );
        let call = call.query("all", "1").query("filters", filters.to_string());
        let listed: Vec<Listed> = self.engine.ask(call).await?;
        Ok(Arrangement::of(&self.name, &listed))
    }

    /// Carries a plan out. What an agent before this one asked for may still be under way, so what is in the way gets time.
    async fn carry_out(
        &self,
        version: Option<&Installed>,
        plan: impl Fn(&Arrangement) -> Vec<Act>,
    ) -> Result<(), InstallError> {
        let deadline = Instant::now() + self.engine.limit();
        loop {
            let acts = plan(&self.arrangement().await?);
            match self.carry_out_once(version, acts).await {
                Err(InstallError::Engine(error))
                    if error.is_conflict() && Instant::now() < deadline =>
                {
                    tracing::debug!("{error}");
                    sleep(GLANCE).await;
                }
                result => return result,
            }
        }
    }

    async fn carry_out_once(
        &self,
        version: Option<&Installed>,
        acts: Vec<Act>,
    ) -> Result<(), InstallError> {
        for act in acts {
            tracing::debug!("container {}: {act:?}", self.name);
            match (act, version) {
                (Act::Remove(id), _) => self.remove(&id).await?,
                (Act::Rename(id, to), _) => {
                    let what = format!("renaming container {id} to {to}");
                    let call = Call::new(Method::POST, format!("/containers/{id}/rename"), what);
                    self.engine.bytes(call.query("name", to), None).await?;
                }
                (Act::Create, Some(version)) => self.create(version).await?,
                (Act::Create, None) => {}
            }
        }
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let path = format!("/containers/{id}");
        let call = Call::new(Method::DELETE, path, format!("removing container {id}"));
        // `v`: volumes without a name, which nobody else can find.
        let call = call.query("force", "1").query("v", "1");
        optional(self.engine.bytes(call, None).await).map(|_| ())
    }

    async fn create(&self, version: &Installed) -> Result<(), InstallError> {
        let body = self.body()?.of(version, &self.env);
        let what = format!("creating container {} from {}", self.name, version.name);
        let call = Call::new(Method::POST, "/containers/create".to_owned(), what);
        let call = call.query("name", self.name.clone());
        self.engine.post::<IgnoredAny>(call, &body).await?;
        Ok(())
    }

    async fn set_restart_policy(&self, id: &str, policy: Value) -> Result<(), EngineError> {
        let what = format!("setting the restart policy of container {}", self.name);
        let call = Call::new(Method::POST, format!("/containers/{id}/update"), what);
        let body = json!({"RestartPolicy": policy});
        self.engine.post::<IgnoredAny>(call, &body).await?;
        Ok(())
    }

    /// Stops what has the name, so that the engine doesn't start it by itself.
    pub(super) async fn stop(&self) -> Result<(), InstallError> {
        let Some(current) = self.arrangement().await?.current else {
            return Ok(());
        };
        let no = self.set_restart_policy(&current.id, json!({"Name": "no"}));
        optional(no.await)?;
        if !current.is_up {
            return Ok(());
        }
        let path = format!("/containers/{}/stop", current.id);
        // The engine takes whole seconds.
        let grace = self.grace.as_secs_f64().ceil();
        let call = Call::new(
            Method::POST,
            path,
            format!("stopping container {}", self.name),
        );
        let call = call
            .query("t", format!("{grace:.0}"))
            .within(self.grace + self.engine.limit());
        optional(self.engine.bytes(call, None).await)?;
        Ok(())
    }

    pub(super) async fn apply(&self, version: &Installed) -> Result<(), InstallError> {
        self.carry_out(Some(version), |found| found.to_apply(version))
            .await
    }

    /// Starts a version's container, and returns its id; one that is gone is made anew.
    pub(super) async fn start(
        &self,
        version: &Installed,
        trial: Trial,
    ) -> Result<String, InstallError> {
        let current = self.version(version).await?;
        if trial == Trial::Trusted {
            self.trust(&current).await?;
        }
        let path = format!("/containers/{}/start", current.id);
        let call = Call::new(
            Method::POST,
            path,
            format!("starting container {}", self.name),
        );
        self.engine.bytes(call, None).await?;
        Ok(current.id)
    }

    /// Returns the container that has the name, which must be a version's.
    async fn version(&self, version: &Installed) -> Result<Found, InstallError> {
        let mut arrangement = self.arrangement().await?;
        if arrangement.current.is_none() {
            self.apply(version).await?;
            arrangement = self.arrangement().await?;
        }
        match arrangement.current {
            Some(current) if current.is(version) => Ok(current),
            other => Err(InstallError::Unfit(format!(
                "container {} should be of version {}, but is of {}: something else than this agent changed that",
                self.name,
                version.version,
                other.map_or_else(
                    || "none".to_owned(),
                    |found| found
                        .installed(self.initial_version.as_ref())
                        .version
                        .to_string()
                )
            ))),
        }
    }

    async fn trust(&self, current: &Found) -> Result<(), InstallError> {
        let policy = self.body()?.restart_policy();
        Ok(self.set_restart_policy(&current.id, policy).await?)
    }

    pub(super) async fn commit(&self, version: &Installed) -> Result<(), InstallError> {
        let current = self.version(version).await?;
        self.trust(&current).await?;
        self.carry_out(None, Arrangement::to_commit).await
    }

    pub(super) async fn roll_back(
        &self,
        new: Option<&Installed>,
        old: Option<&Installed>,
    ) -> Result<(), InstallError> {
        self.carry_out(None, |found| found.to_roll_back(new, old))
            .await
    }

    pub(super) async fn clean(&self, keep: &[Installed]) -> Result<(), InstallError> {
        self.carry_out(None, |found| found.to_clean(keep)).await
    }

    pub(super) async fn recover(
        &self,
        believed: Option<&Installed>,
    ) -> Result<Option<Installed>, InstallError> {
        if let Some(believed) = believed {
            self.carry_out(None, |found| found.to_mend(believed))
                .await?;
        }
        let current = self.arrangement().await?.current;
        Ok(match (current, believed) {
            // One that is gone is made anew at its start.
            (None, believed) => believed.cloned(),
            (Some(current), Some(believed)) if current.is(believed) => Some(believed.clone()),
            (Some(current), _) => Some(current.installed(self.initial_version.as_ref())),
        })
    }
}
