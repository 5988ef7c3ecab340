//! A service that systemd keeps running.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Run, Service, Status, Trial};
use crate::systemctl::{Systemctl, UnitState};

/// How often systemd is asked, while somebody wants to know.
const GLANCE: Duration = Duration::from_secs(1);

/// A unit of systemd's. What starts in it is the unit's own affair; whatever `current` leads to, as a rule.
#[derive(Debug)]
pub(super) struct Unit {
    name: String,
    timeout: Duration,
    systemctl: Systemctl,
    watched: Arc<Watched>,
}

#[derive(Debug)]
struct Watched {
    status: watch::Sender<Status>,
    /// How often systemd had restarted the unit when it was started here.
    restarts: AtomicU32,
}

impl Unit {
    pub(super) fn new(name: String, timeout: Duration, systemctl: Systemctl) -> Self {
        let watched = Watched {
            status: watch::Sender::new(Status::Stopped),
            restarts: AtomicU32::new(0),
        };
        Self {
            name,
            timeout,
            systemctl,
            watched: Arc::new(watched),
        }
    }

    async fn order(&self, verb: &str) -> io::Result<()> {
        self.systemctl
            .order(verb, &self.name, self.timeout)
            .await
            .map_err(io::Error::other)
    }
}

#[async_trait]
impl Service for Unit {
    /// It is stopped before each switch, so that a unit that is active runs what `current` leads to.
    async fn start(&self, _: Run, _: Trial) -> io::Result<()> {
        let before = self.systemctl.show(&self.name).await;
        let before = before.map_err(io::Error::other)?;
        if before.is_active() {
            self.watched.begin(&self.name, &before, before.restarts);
            return Ok(());
        }
        // One that failed too often isn't started again until that is forgotten; others have nothing to forget.
        if let Err(error) = self.order("reset-failed").await {
            tracing::debug!("{error}");
        }
        self.order("start").await?;
        let after = self.systemctl.show(&self.name).await;
        // systemd counts anew with every start that it is asked for.
        self.watched
            .begin(&self.name, &after.map_err(io::Error::other)?, 0);
        Ok(())
    }

    fn trust(&self) {}

    async fn stop(&self, _: Option<Run>) -> io::Result<()> {
        self.order("stop").await?;
        self.watched.status.send_replace(Status::Stopped);
        Ok(())
    }

    fn outlives_agent(&self) -> bool {
        true
    }

    /// Asks systemd for as long as somebody holds the watch.
    fn status(&self) -> Option<watch::Receiver<Status>> {
        let status = self.watched.status.subscribe();
        let (watched, systemctl, name) = (
            self.watched.clone(),
            self.systemctl.clone(),
            self.name.clone(),
        );
        tokio::spawn(async move { watched.keep_asking(&systemctl, &name).await });
        Some(status)
    }
}

impl Watched {
    fn begin(&self, name: &str, state: &UnitState, restarts: u32) {
        self.restarts.store(restarts, Ordering::Relaxed);
        self.status.send_replace(judge(name, state, restarts));
    }

    async fn keep_asking(&self, systemctl: &Systemctl, name: &str) {
        loop {
            tokio::select! {
                () = self.status.closed() => return,
                () = tokio::time::sleep(GLANCE) => {}
            }
            // Who was asked to stop it needs no news, and mustn't get old ones.
            if *self.status.borrow() == Status::Stopped {
                continue;
            }
            match systemctl.show(name).await {
                Ok(state) => {
                    let now = judge(name, &state, self.restarts.load(Ordering::Relaxed));
                    self.status.send_if_modified(|status| {
                        let is_news = *status != Status::Stopped && *status != now;
                        if is_news {
                            *status = now;
                        }
                        is_news
                    });
                }
                // Not to know is no news.
                Err(error) => tracing::warn!("{error}"),
            }
        }
    }
}

/// Tells what a unit's state means to somebody who started it when it had been restarted so often.
fn judge(name: &str, state: &UnitState, restarts: u32) -> Status {
    if state.restarts > restarts || state.is_between_restarts() {
        return Status::Exited(format!(
            "{name} ended, and systemd starts it again: {state}. `journalctl -u {name}` has its words"
        ));
    }
    if state.is_active() || state.active == "activating" {
        return Status::Running {
            pid: state.main_pid,
        };
    }
    Status::Exited(format!(
        "{name} should be active, but is {state}. `journalctl -u {name}` has its words"
    ))
}

#[cfg(test)]
mod tests;
