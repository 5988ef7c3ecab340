//! The agent: everything that its states work with, and the loop that takes one step after another.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use otter_protocol::Version;
use tokio::time::Instant;

use crate::config::Config;
use crate::disk::{self, Disk};
use crate::enroll::Enrollment;
use crate::history::History;
use crate::identity::Identity;
use crate::install::Installer;
use crate::install::bundle::BundleInstaller;
use crate::journal::{Installed, Journal, Record, Step};
use crate::lock::StateLock;
use crate::net::Client;
use crate::net::backoff::Backoff;
use crate::service::{ServiceFiles, Supervisor, Trial};
use crate::{outbox, states};

/// How often the agent may be started anew while a new version is, before that is the version's fault.
const MOST_RESTARTS: u32 = 5;
/// How long `check` waits for the last reports to be delivered.
const LAST_DELIVERY: Duration = Duration::from_secs(30);

/// One device's agent.
#[derive(Debug)]
pub struct Agent {
    pub(crate) config: Config,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) history: History,
    pub(crate) identity: Identity,
    pub(crate) client: Arc<Client>,
    pub(crate) installer: Arc<dyn Installer>,
    pub(crate) next_check_in: NextCheckIn,
    _lock: StateLock,
}

/// When the server is asked next; kept by whoever asks.
#[derive(Debug)]
pub(crate) struct NextCheckIn(Mutex<(Instant, Backoff)>);

impl NextCheckIn {
    /// Waits until it is time.
    pub(crate) async fn is_due(&self) {
        let at = self.0.lock().unwrap_or_else(PoisonError::into_inner).0;
        tokio::time::sleep_until(at).await;
    }

    /// Sets the time after an answer.
    pub(crate) fn answered(&self, wait: Duration) {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        next.1.succeeded();
        next.0 = Instant::now() + wait;
    }

    /// Sets the time after a failure, and returns how long that is.
    pub(crate) fn failed(&self, retry_after: Option<Duration>) -> Duration {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = next.1.failed(retry_after);
        next.0 = Instant::now() + wait;
        wait
    }
}

impl Agent {
    /// Takes the state folder and gets everything ready; starts nothing yet.
    pub fn open(config: Config, disk: Arc<dyn Disk>) -> anyhow::Result<Self> {
        let state = config.state_dir.clone();
        disk::make_dirs(disk.as_ref(), &state)
            .with_context(|| format!("the state folder {} can't be made", state.display()))?;
        let lock = StateLock::take(&state)?;
        let journal = Arc::new(Journal::open(disk.clone(), &state)?);
        let identity = Identity::new(disk.clone(), &state);
        let client = Client::new(&config.server, config.download.stall_timeout())?;
        client.set_token(
            identity
                .token()
                .context("the device's token can't be read")?,
        );
        let installer = Arc::new(bundle_installer(&config, disk.clone(), &state)?);
        Ok(Self {
            journal,
            history: History::new(disk.clone(), &state),
            identity,
            client: Arc::new(client),
            installer,
            next_check_in: NextCheckIn(Mutex::new((Instant::now(), Backoff::new(config.retry)))),
            config,
            disk,
            _lock: lock,
        })
    }

    /// Works until `stop` is over, then stops the service.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let work = async {
            let mut backoff = Backoff::new(self.config.retry);
            while let Err(error) = self.boot().await {
                let wait = backoff.failed(None);
                tracing::error!(
                    "the agent can't begin: {error:#}; it is tried again in {wait:.1?}"
                );
                tokio::time::sleep(wait).await;
            }
            loop {
                self.step_or_wait(&mut backoff).await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = work => {}
            () = outbox::deliver(&self.journal, &self.client, self.config.retry) => {}
        }
        tracing::info!("the agent stops, and the service with it");
        self.installer.stop().await?;
        Ok(())
    }

    /// Asks the server once, follows its decision to the end, and delivers what there is to say. The service runs on.
    pub async fn check(&self) -> anyhow::Result<()> {
        let work = async {
            self.boot().await?;
            if let Enrollment::Pending { fingerprint, .. } = self.try_enroll().await? {
                anyhow::bail!(
                    "an operator has to accept this device's key {fingerprint}; then check again"
                );
            }
            if self.journal.record().attempt.is_none() {
                self.ask().await?;
            }
            let mut backoff = Backoff::new(self.config.retry);
            while self.journal.record().attempt.is_some() {
                self.step_or_wait(&mut backoff).await;
            }
            if tokio::time::timeout(LAST_DELIVERY, outbox::is_empty(&self.journal))
                .await
                .is_err()
            {
                tracing::warn!(
                    "some reports are not delivered yet; the next run goes on with them"
                );
            }
            Ok(())
        };
        tokio::select! {
            result = work => result,
            () = outbox::deliver(&self.journal, &self.client, self.config.retry) => Ok(()),
        }
    }

    /// Goes on where the journal says: what should run is started, before anything asks the network.
    pub(crate) async fn boot(&self) -> anyhow::Result<()> {
        if self.journal.record().installed.is_none() {
            let found = self.installer.discover().await?;
            self.journal.change(|record| record.installed = found)?;
        }
        let record = self.journal.record();
        match record.attempt.as_ref().map(|attempt| attempt.step) {
            None => self.start_installed(&record).await?,
            Some(step) if step.is_before_change() => self.start_installed(&record).await?,
            Some(step) => {
                tracing::info!("the agent goes on with an attempt: {step}");
                self.journal.change(resume)?;
            }
        }
        if let Err(error) = self.installer.clean(&kept(&record)).await {
            tracing::warn!("{error}");
        }
        Ok(())
    }

    async fn start_installed(&self, record: &Record) -> anyhow::Result<()> {
        let Some(installed) = &record.installed else {
            tracing::info!("nothing is installed yet");
            return Ok(());
        };
        self.installer.apply(Some(installed)).await?;
        if let Err(error) = self.installer.start(installed, Trial::Trusted).await {
            tracing::error!("{error}");
        }
        Ok(())
    }

    async fn step_or_wait(&self, backoff: &mut Backoff) {
        match states::step(self).await {
            Ok(()) => backoff.succeeded(),
            Err(error) => {
                let wait = backoff.failed(None);
                tracing::error!("{error:#}; it is tried again in {wait:.1?}");
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Returns the version that runs; empty on a device that has none.
    pub(crate) fn version(&self) -> Version {
        let installed = self.journal.record().installed;
        installed
            .map(|installed| installed.version)
            .unwrap_or_default()
    }

    /// Returns the folder of downloads.
    pub(crate) fn downloads(&self) -> std::path::PathBuf {
        self.config.state_dir.join("downloads")
    }
}

/// Counts the agent's own restarts while a new version is on trial.
fn resume(record: &mut Record) {
    let Some(attempt) = &mut record.attempt else {
        return;
    };
    if !matches!(attempt.step, Step::Starting | Step::HealthCheck) {
        return;
    }
    attempt.restarts += 1;
    // Its health is judged from its start, which may be over.
    attempt.step = Step::Starting;
    if attempt.restarts > MOST_RESTARTS {
        attempt.step = Step::RollingBack;
        attempt.reason = Some(format!(
            "the agent itself was restarted {} times while the new version was being started",
            attempt.restarts
        ));
    }
}

/// Returns the versions that may not be removed.
pub(crate) fn kept(record: &Record) -> Vec<Installed> {
    let target = record
        .attempt
        .as_ref()
        .and_then(|attempt| attempt.target.clone());
    [record.installed.clone(), record.previous.clone(), target]
        .into_iter()
        .flatten()
        .collect()
}

fn bundle_installer(
    config: &Config,
    disk: Arc<dyn Disk>,
    state: &Path,
) -> io::Result<BundleInstaller> {
    let service = config.bundle.service.clone();
    let supervisor = service
        .map(|service| Supervisor::begin(service, ServiceFiles::new(state)))
        .transpose()?;
    let env = BTreeMap::from([
        ("OTTER_DEVICE_ID".to_owned(), config.device_id.to_string()),
        ("OTTER_MODEL".to_owned(), config.model.to_string()),
    ]);
    Ok(BundleInstaller::new(disk, &config.bundle, supervisor, env))
}
