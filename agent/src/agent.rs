//! The agent: everything that its states work with, and the loop that takes one step after another.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use otter_protocol::Version;
use tokio::time::Instant;

use crate::attempt_logs::AttemptLogs;
use crate::backup::Backups;
use crate::bootloader::Bootloader;
use crate::config::Config;
use crate::disk::{self, CountingDisk, Disk, RealDisk};
use crate::health::HealthCheck;
use crate::history::History;
use crate::identity::Identity;
use crate::install::{self, Downloads, InstallError, Installer};
use crate::journal::{Installed, Journal, Record, Step};
use crate::life::{BeatingDisk, Feeder, Heart, Signs, Watchdog};
use crate::machine::{Held, Machine, ThisMachine};
use crate::net::backoff::Backoff;
use crate::net::transport::Transport;
use crate::net::{Client, links};
use crate::observer::{Observer, Observers};
use crate::orders::{Order, Orders, Outcome};
use crate::policy::{Senses, interval};
use crate::service::Trial;
use crate::states::Patience;
use crate::{clock, states};

/// How often the agent may be started anew while a new version is, before that is the version's fault.
const MOST_RESTARTS: u32 = 5;

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
    pub(crate) downloads: Downloads,
    pub(crate) backups: Backups,
    pub(crate) machine: Arc<dyn Machine>,
    pub(crate) checks: Vec<Arc<dyn HealthCheck>>,
    pub(crate) next_check_in: NextCheckIn,
    pub(crate) senses: Senses,
    pub(crate) heart: Heart,
    pub(crate) observers: Observers,
    pub(crate) orders: Orders,
    pub(crate) logs: AttemptLogs,
    pub(crate) bootloader: Bootloader,
    /// Until `run` takes them.
    watchdogs: Mutex<Vec<Box<dyn Watchdog>>>,
    _held: Held,
}

/// What an agent is made of; [`Parts::of_this_machine`] has the usual ones, and each can be exchanged.
#[derive(Debug)]
pub struct Parts {
    /// What is written to.
    pub disk: Arc<dyn Disk>,
    /// What restarts.
    pub machine: Arc<dyn Machine>,
    /// How the server is reached.
    pub transport: Arc<dyn Transport>,
    /// What installs; `None` for what the configuration says.
    pub installer: Option<Arc<dyn Installer>>,
    /// What must hold for a new version to stay, beside the configuration's checks.
    pub checks: Vec<Arc<dyn HealthCheck>>,
    /// Who wants to know how the agent gets on.
    pub observer: Option<Arc<dyn Observer>>,
    /// How the agent shows that it lives.
    pub signs: Signs,
}

impl Parts {
    /// Takes this machine's disk and network.
    pub fn of_this_machine(config: &Config) -> anyhow::Result<Self> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        Ok(Self {
            transport: links::configured(config, &disk)?,
            signs: Signs::of_this_machine(config, &disk),
            disk,
            machine: Arc::new(ThisMachine::new(config.restart.clone())),
            installer: None,
            checks: Vec::new(),
            observer: None,
        })
    }
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
    pub fn open(config: Config, parts: Parts) -> anyhow::Result<Self> {
        let disk = CountingDisk::new(parts.disk);
        let (written, state) = (disk.written(), config.state_dir.clone());
        let disk: Arc<dyn Disk> = Arc::new(disk);
        disk::make_dirs(disk.as_ref(), &state)
            .with_context(|| format!("the state folder {} can't be made", state.display()))?;
        let held = parts.machine.take(&state)?;
        settle(disk.as_ref(), &config);
        let journal = Arc::new(Journal::open(disk.clone(), &state)?.counting(written));
        let identity = Identity::new(disk.clone(), &state);
        let client = Client::new(&config.server, parts.transport);
        client.set_token(
            identity
                .token()
                .context("the device's token can't be read")?,
        );
        let heart = Heart::default();
        let working: Arc<dyn Disk> = Arc::new(BeatingDisk::new(disk.clone(), heart.clone()));
        let installer = match parts.installer {
            Some(installer) => installer,
            None => install::configured(&config, &working)?,
        };
        let checked_in_at = journal.record().checked_in_at;
        let wait = interval::wait(checked_in_at, clock::now(), config.check_in.min_interval());
        let first = (Instant::now() + wait, Backoff::new(config.retry));
        Ok(Self {
            journal,
            history: History::new(disk.clone(), &state, config.policy.history_limit),
            identity,
            client: Arc::new(client),
            installer,
            downloads: Downloads::new(working.clone(), &state),
            backups: Backups::new(working, &state, &config.backup),
            machine: parts.machine,
            checks: parts.checks,
            next_check_in: NextCheckIn(Mutex::new(first)),
            senses: Senses::new(disk.clone(), &config.policy),
            heart,
            observers: Observers::new(parts.signs.observers.into_iter().chain(parts.observer)),
            orders: Orders::default(),
            logs: AttemptLogs::new(disk.clone(), &state),
            bootloader: Bootloader::new(disk.clone(), config.bootloader_version.clone()),
            watchdogs: Mutex::new(parts.signs.watchdogs),
            config,
            disk,
            _held: held,
        })
    }

    /// Works until `stop` is over, then stops the service, unless somebody else keeps it running.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let patience = Patience::of(self);
        let work = async {
            let mut backoff = Backoff::new(self.config.retry);
            while let Err(error) = self.boot().await {
                let wait = backoff.failed(None);
                tracing::error!(
                    "the agent can't begin: {error:#}; it is tried again in {wait:.1?}"
                );
                self.heart.sleep(wait).await;
            }
            self.observers.booted();
            loop {
                self.step_or_wait(&mut backoff).await;
            }
        };
        self.heart.promise(patience.with_boot());
        let watchdogs = std::mem::take(
            &mut *self
                .watchdogs
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let feeder = Feeder::begin(watchdogs, &self.heart);
        tokio::select! {
            () = stop => {}
            () = work => {}
            () = self.deliver() => {}
            () = self.count_crashes() => {}
        }
        tracing::info!(
            "the agent stops, and the service with it, unless somebody else keeps it running"
        );
        self.observers.stopping();
        self.heart.promise(patience.installer);
        let left = self.installer.leave().await;
        feeder.end().await;
        Ok(left?)
    }

    /// Asks the server once, follows its decision to the end, or as far as the device's own policy lets it now, and delivers
    /// what there is to say. The service runs on.
    pub async fn check(&self) -> anyhow::Result<()> {
        let say = |text: &str| tracing::info!("{text}");
        match self.carry_out(Order::Check, say).await? {
            Outcome::Refused(why) => anyhow::bail!(why),
            Outcome::Pending => anyhow::bail!(
                "an operator has to accept this device's key; `otter-agent enroll` shows it"
            ),
            _ => Ok(()),
        }
    }

    /// Goes on where the journal says: what should run is started, before anything asks the network.
    pub(crate) async fn boot(&self) -> anyhow::Result<()> {
        self.heart.promise(Patience::of(self).with_boot());
        self.count_boot();
        // What was begun to be put back is put back whole, before anything that needs it starts.
        self.backups.go_on().await?;
        let record = self.journal.record();
        match record.attempt.as_ref().map(|attempt| attempt.step) {
            None => self.start_installed().await?,
            Some(step) if step.is_before_change() => self.start_installed().await?,
            Some(step) => {
                tracing::info!("the agent goes on with an attempt: {step}");
                self.journal.change(|record| {
                    record.remark(format!("an agent goes on with it: {step}"));
                    resume(record);
                })?;
            }
        }
        if let Err(error) = self.installer.clean(&kept(&self.journal.record())).await {
            tracing::warn!("{error}");
        }
        Ok(())
    }

    async fn start_installed(&self) -> anyhow::Result<()> {
        let believed = self.journal.record().installed;
        let found = match self.installer.recover(believed.as_ref()).await {
            // It can't update, but it can say so.
            Err(error @ InstallError::Boot(_)) => {
                tracing::error!("{error}");
                believed.clone()
            }
            found => found?,
        };
        if found != believed {
            if let (Some(believed), Some(found)) = (&believed, &found) {
                tracing::error!(
                    "the device runs {}, although {} was committed: something else than this agent changed that",
                    found.version,
                    believed.version
                );
            }
            self.journal
                .change(|record| record.installed = found.clone())?;
        }
        let Some(installed) = found else {
            tracing::info!("nothing is installed yet");
            return Ok(());
        };
        if let Err(error) = self.installer.start(&installed, Trial::Trusted).await {
            tracing::error!("{error}");
        }
        Ok(())
    }

    /// Takes a step; one that fails is taken again after a while.
    pub(crate) async fn step_or_wait(&self, backoff: &mut Backoff) {
        match states::step(self).await {
            Ok(()) => backoff.succeeded(),
            Err(error) => {
                let wait = backoff.failed(None);
                self.remark(format!("{error:#}"));
                tracing::error!("{error:#}; it is tried again in {wait:.1?}");
                self.heart.sleep(wait).await;
            }
        }
    }

    /// Puts a line into the log of the attempt under way; on the disk with the next change of the journal.
    pub(crate) fn remark(&self, text: impl AsRef<str>) {
        self.journal
            .note(|record| record.remark(text), |_, _| false)
            // Nothing is written, so that nothing can fail.
            .ok();
    }

    /// Returns the version that runs; empty on a device that has none.
    pub(crate) fn version(&self) -> Version {
        let installed = self.journal.record().installed;
        installed
            .map(|installed| installed.version)
            .unwrap_or_default()
    }
}

/// Brings to the disk what an agent before this one did and, killed, did not sync: what this one sees and goes on from must not
/// be gone after the next power cut.
fn settle(disk: &dyn Disk, config: &Config) {
    for path in config.written() {
        let mut above = path.ancestors();
        let there = above.find(|path| disk.kind(path).is_ok());
        let synced = there.map_or(Ok(()), |path| disk.sync_all(path));
        if let Err(error) = synced {
            tracing::error!("{} can't be synced: {error}", path.display());
        }
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
