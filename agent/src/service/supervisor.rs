//! Keeps the service running, or watches it on trial.

use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::log::Log;
use super::process::Process;
use super::{Launch, ServiceFiles};
use crate::config::ServiceConfig;
use crate::net::backoff::Backoff;

/// A service that lived this long is not one that keeps dying.
const LONG_LIFE: Duration = Duration::from_secs(10);
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Whether the service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nobody wants it to.
    Stopped,
    /// It does.
    Running {
        /// Its process; 0 where it has none of its own.
        pid: i32,
    },
    /// It ended by itself; the text says how.
    Exited(String),
}

/// What happens when the service ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// Nothing: it failed its trial.
    OnTrial,
    /// It is started again.
    Trusted,
}

enum Command {
    Start(Launch, Trial, oneshot::Sender<io::Result<()>>),
    Trust,
    Stop(oneshot::Sender<()>),
}

/// The service's supervisor: a task that goes on beside everything else.
#[derive(Debug)]
pub struct Supervisor {
    commands: mpsc::UnboundedSender<Command>,
    status: watch::Receiver<Status>,
    /// What the service prints since it was started last.
    log: watch::Receiver<Option<Log>>,
}

impl Supervisor {
    /// Begins to supervise, with the service that an agent before this one left, where there is one.
    pub fn begin(config: ServiceConfig, files: ServiceFiles) -> io::Result<Self> {
        let process = Process::adopt(&files)?;
        let (commands, inbox) = mpsc::unbounded_channel();
        let first = process.as_ref().map_or(Status::Stopped, running);
        let (status, watched) = watch::channel(first);
        let (log, logged) = watch::channel(process.as_ref().map(Process::log));
        let actor = Actor {
            backoff: Backoff::new(config.restarts()),
            config,
            files,
            status,
            log,
            process,
            wanted: None,
            restart_at: None,
        };
        tokio::spawn(actor.run(inbox));
        Ok(Self {
            commands,
            status: watched,
            log: logged,
        })
    }

    /// Starts a version in place of whatever runs; what already runs just so is left alone.
    pub async fn start(&self, launch: Launch, trial: Trial) -> io::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Command::Start(launch, trial, reply))
            .ok();
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Keeps what was on trial running from now on.
    pub fn trust(&self) {
        self.commands.send(Command::Trust).ok();
    }

    /// Stops the service and returns when all of it is gone.
    pub async fn stop(&self) -> io::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Stop(reply)).ok();
        answer.await.map_err(|_| gone())
    }

    /// Returns the last lines that the service printed since it was started last.
    pub fn output(&self) -> Vec<String> {
        let log = self.log.borrow().clone();
        log.map(|log| log.last_lines()).unwrap_or_default()
    }

    /// Returns a watch on whether the service runs.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}

fn gone() -> io::Error {
    io::Error::other("the service's supervisor ended")
}

fn running(process: &Process) -> Status {
    Status::Running {
        pid: process.pid().as_raw_nonzero().get(),
    }
}

struct Actor {
    config: ServiceConfig,
    files: ServiceFiles,
    status: watch::Sender<Status>,
    log: watch::Sender<Option<Log>>,
    process: Option<Process>,
    wanted: Option<(Launch, Trial)>,
    backoff: Backoff,
    restart_at: Option<Instant>,
}

impl Actor {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        let mut ticks = tokio::time::interval(LOG_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let restart_at = self.restart_at;
            let process = self.process.as_mut();
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                status = wait(process) => self.ended(status),
                () = at(restart_at) => self.restart().await,
                _ = ticks.tick() => self.trim_log(),
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        // Who asked may have given up waiting; the command is carried out all the same.
        match command {
            Command::Start(launch, trial, reply) => {
                reply.send(self.start(launch, trial).await).ok();
            }
            Command::Trust => {
                if let Some((_, trial)) = &mut self.wanted {
                    *trial = Trial::Trusted;
                }
                if self.process.is_none() && self.wanted.is_some() {
                    self.restart_at = Some(Instant::now());
                }
            }
            Command::Stop(reply) => {
                self.stop().await;
                reply.send(()).ok();
            }
        }
    }

    async fn start(&mut self, launch: Launch, trial: Trial) -> io::Result<()> {
        let runs_already = self
            .process
            .as_ref()
            .is_some_and(|process| process.is(&launch));
        if !runs_already {
            self.stop().await;
        }
        self.backoff.succeeded();
        self.wanted = Some((launch, trial));
        if runs_already {
            return Ok(());
        }
        let result = self.spawn().await;
        if let (Err(error), Trial::Trusted) = (&result, trial) {
            self.try_later(&error.to_string());
        }
        result
    }

    async fn spawn(&mut self) -> io::Result<()> {
        self.restart_at = None;
        let Some((launch, _)) = &self.wanted else {
            return Ok(());
        };
        let process = Process::spawn(launch, &self.files).await?;
        tracing::info!(
            "the service runs from {} as process {}",
            launch.folder.display(),
            process.pid().as_raw_nonzero()
        );
        self.status.send_replace(running(&process));
        self.log.send_replace(Some(process.log()));
        self.process = Some(process);
        Ok(())
    }

    async fn stop(&mut self) {
        self.wanted = None;
        self.restart_at = None;
        if let Some(process) = self.process.take() {
            process.stop(self.config.stop_grace()).await;
        }
        self.status.send_replace(Status::Stopped);
    }

    fn ended(&mut self, status: Option<std::process::ExitStatus>) {
        let Some(process) = self.process.take() else {
            return;
        };
        if process.age() >= LONG_LIFE {
            self.backoff.succeeded();
        }
        let epitaph = process.epitaph(status);
        match &self.wanted {
            Some((_, Trial::Trusted)) => self.try_later(&epitaph),
            _ => tracing::warn!("{epitaph}"),
        }
        self.status.send_replace(Status::Exited(epitaph));
    }

    async fn restart(&mut self) {
        if let Err(error) = self.spawn().await {
            self.try_later(&error.to_string());
        }
    }

    fn try_later(&mut self, why: &str) {
        let wait = self.backoff.failed(None);
        tracing::warn!("{why}; it is started again in {wait:.1?}");
        self.restart_at = Some(Instant::now() + wait);
    }

    fn trim_log(&mut self) {
        if let Some(Err(error)) = self.process.as_mut().map(Process::trim_log) {
            tracing::warn!("{} can't be shortened: {error}", self.files.log.display());
        }
    }
}

async fn wait(process: Option<&mut Process>) -> Option<std::process::ExitStatus> {
    match process {
        Some(process) => process.wait().await,
        None => std::future::pending().await,
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
