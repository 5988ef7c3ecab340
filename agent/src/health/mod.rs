//! Whether a version that was just started is healthy: its service lives, and every check passes before the deadline.

mod command;
mod file_age;
mod http;
mod mqtt;
mod tcp;
mod unit;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use otter_protocol::Version;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::config::{Check, HealthPolicy, Probe};
use crate::service::Status;
use crate::systemctl::Systemctl;

/// What is judged.
#[derive(Debug, Clone)]
pub struct Patient {
    /// The version that must be running.
    pub version: Version,
    /// Where its commands run.
    pub folder: PathBuf,
    /// Its service, where there is one.
    pub service: Option<watch::Receiver<Status>>,
}

/// What asks over HTTP, once something asks.
type LazyClient = LazyLock<Result<reqwest::Client, String>>;

/// A check of an embedder's own.
#[async_trait]
pub trait HealthCheck: Send + Sync + std::fmt::Debug {
    /// Returns when a version has proven itself; the error says what is wrong with it, in words for the device's report.
    async fn prove(&self, patient: &Patient) -> Result<(), String>;
}

/// Returns when a version has proven itself; the error says what is wrong with it, in words for the device's report.
pub async fn prove(
    policy: &HealthPolicy,
    own: &[Arc<dyn HealthCheck>],
    patient: &Patient,
) -> Result<(), String> {
    let tools = Tools {
        http: LazyLock::new(http::client),
        systemctl: Systemctl::default(),
    };
    prove_with(&tools, policy, own, patient).await
}

/// What probes work with.
struct Tools {
    /// Made by the first check that needs it: it reads every certificate that the device trusts.
    http: LazyClient,
    systemctl: Systemctl,
}

async fn prove_with(
    tools: &Tools,
    policy: &HealthPolicy,
    own: &[Arc<dyn HealthCheck>],
    patient: &Patient,
) -> Result<(), String> {
    let words: Vec<Mutex<String>> = policy.check.iter().map(|_| Mutex::default()).collect();
    let checks = policy
        .check
        .iter()
        .zip(&words)
        .map(|(check, words)| pass(check, patient, tools, words));
    let healthy = async {
        let settled = async {
            sleep(policy.settle()).await;
            Ok(())
        };
        let own = try_join_all(own.iter().map(|check| check.prove(patient)));
        tokio::try_join!(try_join_all(checks), own, settled).map(|_| ())
    };
    tokio::select! {
        biased;
        how = ended(patient.service.clone()) => Err(how),
        result = timeout(policy.deadline(), healthy) => {
            result.unwrap_or_else(|_| Err(too_late(policy, &words)))
        }
    }
}

/// Waits until the service ends by itself, and returns how.
async fn ended(service: Option<watch::Receiver<Status>>) -> String {
    let Some(mut service) = service else {
        return std::future::pending().await;
    };
    let status = service
        .wait_for(|status| !matches!(status, Status::Running { .. }))
        .await;
    match status.as_deref() {
        Ok(Status::Exited(how)) => how.clone(),
        _ => "the service was stopped".to_owned(),
    }
}

/// Tries until a check passes, or has failed once too often.
async fn pass(
    check: &Check,
    patient: &Patient,
    tools: &Tools,
    words: &Mutex<String>,
) -> Result<(), String> {
    let probe = check.probe()?;
    let grace_ends = Instant::now() + check.grace();
    let (mut failures, mut successes) = (0, 0);
    loop {
        let tried = timeout(check.timeout(), probe_once(&probe, patient, tools)).await;
        let result = tried.unwrap_or_else(|_| {
            Err(format!(
                "{} took longer than {:?}",
                name(&probe),
                check.timeout()
            ))
        });
        match result {
            Ok(()) => {
                successes += 1;
                failures = 0;
                words.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            Err(why) => {
                if Instant::now() >= grace_ends {
                    failures += 1;
                }
                successes = 0;
                tracing::debug!("{why}");
                if check.retries.is_some_and(|retries| failures > retries) {
                    return Err(why);
                }
                *words.lock().unwrap_or_else(PoisonError::into_inner) = why;
            }
        }
        if successes >= check.successes {
            return Ok(());
        }
        sleep(check.interval()).await;
    }
}

async fn probe_once(probe: &Probe, patient: &Patient, tools: &Tools) -> Result<(), String> {
    match probe {
        Probe::Http {
            url,
            status,
            contains,
        } => {
            let client = (*tools.http).as_ref().map_err(Clone::clone)?;
            let contains = contains.as_deref();
            http::probe(client, url, *status, contains, &patient.version).await
        }
        Probe::Command(argv) => command::probe(argv, patient).await,
        Probe::Process => match patient
            .service
            .as_ref()
            .map(|service| service.borrow().clone())
        {
            Some(Status::Running { .. }) => Ok(()),
            Some(Status::Exited(how)) => Err(how),
            Some(Status::Stopped) | None => Err("the service does not run".to_owned()),
        },
        Probe::Tcp(address) => tcp::connect(address).await.map(|_| ()),
        Probe::Mqtt(login) => mqtt::probe(login).await,
        Probe::Unit(unit) => unit::probe(&tools.systemctl, unit).await,
        Probe::FileAge { path, max_age } => file_age::probe(path, *max_age).await,
    }
}

fn name(probe: &Probe) -> String {
    match probe {
        Probe::Http { url, .. } => format!("GET {url}"),
        Probe::Command(argv) => format!("`{}`", argv.join(" ")),
        Probe::Process => "the service".to_owned(),
        Probe::Tcp(address) => format!("connecting to {address}"),
        Probe::Mqtt(login) => format!("CONNACK of the MQTT broker at {}", login.address),
        Probe::Unit(unit) => format!("asking systemd for {unit}"),
        Probe::FileAge { path, .. } => format!("looking at {}", path.display()),
    }
}

fn too_late(policy: &HealthPolicy, words: &[Mutex<String>]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|words| words.lock().unwrap_or_else(PoisonError::into_inner).clone())
        .filter(|words| !words.is_empty())
        .collect();
    let deadline: Duration = policy.deadline();
    if words.is_empty() {
        format!("not healthy within {deadline:?}")
    } else {
        format!("not healthy within {deadline:?}: {}", words.join("; "))
    }
}

/// Puts the version where a text has `{version}`.
fn with_version(text: &str, version: &Version) -> String {
    text.replace("{version}", version.as_str())
}

#[cfg(test)]
mod tests;
