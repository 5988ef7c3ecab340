//! Watches what runs: whether it ended, and with which words, or says itself that it is unhealthy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use super::engine::{Call, Engine, EngineError, optional};
use super::life::{Inspected, Life, last_words, status};
use crate::service::{Status, Trial};

/// How often it is looked, as long as what runs was started lately.
const OFTEN: Duration = Duration::from_millis(300);
/// How often after that.
const SELDOM: Duration = Duration::from_secs(5);
/// Until when it is looked often: longer than most trials.
const LATELY: Duration = Duration::from_secs(5 * 60);
/// Lines of a log that are asked for.
const LINES: &str = "20";
/// The label that compose puts on a project's containers.
const PROJECT: &str = "com.docker.compose.project";
/// The label with the name that a container has in the compose file.
const SERVICE: &str = "com.docker.compose.service";
/// Most containers of a project that are looked at.
const MOST_CONTAINERS: usize = 64;

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// A container, by its id.
    Container(String),
    /// All containers of a compose project.
    Project(String),
}

#[derive(Debug, Clone)]
struct Target {
    subject: Subject,
    trial: Trial,
    since: Instant,
    /// How often the engine had started containers anew before the trial began.
    restarts: BTreeMap<String, u64>,
}

/// The watch on what runs.
#[derive(Debug)]
pub(super) struct Watch {
    engine: Arc<Engine>,
    target: Mutex<Option<Target>>,
    changed: Notify,
    status: watch::Sender<Status>,
}

impl Watch {
    /// Begins to watch, as long as somebody holds what is returned.
    pub(super) fn begin(engine: Arc<Engine>) -> Arc<Self> {
        let watch = Arc::new(Self {
            engine,
            target: Mutex::default(),
            changed: Notify::new(),
            status: watch::Sender::new(Status::Stopped),
        });
        let weak = Arc::downgrade(&watch);
        tokio::spawn(async move {
            while let Some(watch) = weak.upgrade() {
                watch.round().await;
            }
        });
        watch
    }

    /// Returns the service's status, as it changes.
    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Watches this from now on; its status is known when this returns.
    pub(super) async fn look_at(&self, subject: Subject, trial: Trial) -> Result<(), EngineError> {
        let inspected = self.inspect(&subject).await?;
        let restarts = inspected.iter().map(|c| (c.id.clone(), c.restart_count));
        let target = Target {
            restarts: restarts.collect(),
            subject,
            trial,
            since: Instant::now(),
        };
        let status = self.judge(&target, &inspected).await;
        let mut current = self.lock();
        *current = Some(target);
        self.status.send_replace(status);
        drop(current);
        self.changed.notify_one();
        Ok(())
    }

    /// Watches nothing any more.
    pub(super) fn look_away(&self) {
        let mut current = self.lock();
        *current = None;
        self.status.send_replace(Status::Stopped);
    }

    /// Ends the trial of what is watched.
    pub(super) fn trust(&self) {
        if let Some(target) = self.lock().as_mut() {
            target.trial = Trial::Trusted;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Target>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks once, when it is time.
    async fn round(&self) {
        let target = self.lock().clone();
        let pause = match &target {
            Some(target) if target.since.elapsed() < LATELY => OFTEN,
            _ => SELDOM,
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = self.changed.notified() => return,
        }
        let Some(target) = target else {
            return;
        };
        let status = match self.inspect(&target.subject).await {
            Ok(inspected) => self.judge(&target, &inspected).await,
            Err(error) => {
                // Whether what runs still runs is not known: it is left at what was known last.
                tracing::debug!("{error}");
                return;
            }
        };
        let current = self.lock();
        // Meanwhile something else may be watched.
        let is_current = |t: &Target| t.subject == target.subject && t.since == target.since;
        if current.as_ref().is_some_and(is_current) {
            self.status.send_if_modified(|known| {
                let has_changed = *known != status;
                if let (true, Status::Exited(how)) = (has_changed, &status) {
                    tracing::warn!("{how}");
                }
                *known = status;
                has_changed
            });
        }
    }

    async fn inspect(&self, subject: &Subject) -> Result<Vec<Inspected>, EngineError> {
        let ids = match subject {
            Subject::Container(id) => vec![id.clone()],
            Subject::Project(project) => self.containers(project).await?,
        };
        let mut inspected = Vec::new();
        for id in ids {
            let call = Call::new(
                Method::GET,
                format!("/containers/{id}/json"),
                "inspecting a container",
            );
            inspected.extend(optional(self.engine.ask(call).await)?);
        }
        Ok(inspected)
    }

    async fn containers(&self, project: &str) -> Result<Vec<String>, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listed {
            id: String,
        }
        let filters = json!({"label": [format!("{PROJECT}={project}")]});
        let call = Call::new(
            Method::GET,
            "/containers/json".to_owned(),
            "listing a project's containers",
        );
        let call = call.query("all", "1").query("filters", filters.to_string());
        let listed: Vec<Listed> = self.engine.ask(call).await?;
        let ids = listed.into_iter().map(|container| container.id);
        Ok(ids.take(MOST_CONTAINERS).collect())
    }

    /// Returns the status of all that was inspected.
    async fn judge(&self, target: &Target, inspected: &[Inspected]) -> Status {
        let of_project = matches!(target.subject, Subject::Project(_));
        let mut found = None;
        for container in inspected {
            let life = restarted(target, container).unwrap_or_else(|| container.life());
            match life {
                Life::Lives(_) | Life::New => {}
                // In a project some containers only prepare others.
                Life::Ended { code: 0, .. } if of_project => continue,
                Life::Ended { .. } | Life::Ails(_) => {
                    let status = self.epitaph(container, life).await;
                    return if of_project {
                        named(container, status)
                    } else {
                        status
                    };
                }
            }
            if !matches!(found, Some(Status::Running { .. })) {
                found = Some(status(life, None));
            }
        }
        found.unwrap_or_else(|| Status::Exited(nothing(&target.subject)))
    }

    async fn epitaph(&self, container: &Inspected, life: Life) -> Status {
        let words = match life {
            Life::Ended { .. } => self.last_words(container).await,
            _ => None,
        };
        status(life, words)
    }

    async fn last_words(&self, container: &Inspected) -> Option<String> {
        let path = format!("/containers/{}/logs", container.id);
        let call = Call::new(Method::GET, path, "reading a container's log");
        let call = call
            .query("stdout", "1")
            .query("stderr", "1")
            .query("tail", LINES);
        // A log that can't be had is no reason for anything: not every log driver lets it be read.
        let log = self.engine.bytes(call, None).await.ok()?;
        last_words(&log, container.has_terminal())
    }
}

/// Tells whether the engine had to start a container anew while it is on trial: compose files have restart policies of
/// their own.
fn restarted(target: &Target, container: &Inspected) -> Option<Life> {
    let before = target.restarts.get(&container.id).copied().unwrap_or(0);
    let times = container.restart_count.checked_sub(before)?;
    if target.trial == Trial::Trusted || times == 0 {
        return None;
    }
    Some(Life::Ended {
        code: 1,
        how: format!("the container keeps dying: the engine started it anew {times} times"),
    })
}

/// Puts the name of a container before what is said of it.
fn named(container: &Inspected, status: Status) -> Status {
    let own = container.name.trim_start_matches('/');
    let name = container.label(SERVICE).unwrap_or(own);
    match status {
        Status::Exited(how) => Status::Exited(format!("`{name}`: {how}")),
        other => other,
    }
}

fn nothing(subject: &Subject) -> String {
    match subject {
        Subject::Container(_) => "the container is gone".to_owned(),
        Subject::Project(project) => {
            format!("compose project {project} has no container that runs")
        }
    }
}
