//! Who the simulated devices are, and running all of them until an end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use otter_protocol::DeviceId;
use otter_trust::SecretKey;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::device::{Device, Gone};
use super::link::Link;
use super::report::{Board, Display};
use super::store::{Record, Store};
use super::temper;
use crate::{Failure, Output};

/// What all devices share.
pub(super) struct Fleet {
    pub(super) settings: Settings,
    pub(super) link: Link,
    pub(super) board: Board,
    pub(super) store: Store,
    end: CancellationToken,
    fault: OnceLock<String>,
}

impl Fleet {
    /// Ends the simulation for a fault of this machine.
    pub(super) fn stop(&self, fault: String) {
        // The first fault tells; others follow from it.
        let _ = self.fault.set(fault);
        self.end.cancel();
    }
}

/// Runs a simulation until it is ended, by its own settings or from outside.
pub async fn run(settings: Settings, output: Output) -> Result<(), Failure> {
    let (store, known) = match &settings.state {
        Some(folder) => Store::open(folder)?,
        None => Default::default(),
    };
    let ids = ids(&settings)?;
    let tempers = temper::assign(&ids, settings.tempers, &settings.fail_devices)?;
    let mut records = Vec::with_capacity(ids.len());
    for (place, id) in ids.into_iter().enumerate() {
        records.push(match known.get(&id) {
            Some(record) => record.clone(),
            None => new_record(id, place, &settings)?,
        });
    }
    let fleet = Arc::new(Fleet {
        link: Link::new(&settings.server, settings.concurrency)?,
        board: Board::new(records.iter().map(|record| record.version.clone())),
        store,
        end: CancellationToken::new(),
        fault: OnceLock::new(),
        settings,
    });
    let mut devices = JoinSet::new();
    for (seat, record) in records.into_iter().enumerate() {
        // A key must be on disk before the server hears of it.
        fleet
            .store
            .save(&record)
            .map_err(Failure::file("the devices' state"))?;
        let temper = tempers.get(&record.id).copied().unwrap_or_default();
        let device = Device::new(Arc::clone(&fleet), seat, record, temper);
        let end = fleet.end.clone();
        devices.spawn(async move { end.run_until_cancelled(device.live()).await });
    }
    let mut display = Display::new(output);
    let watched = watch(&fleet, &mut devices, &mut display).await;
    fleet.end.cancel();
    while devices.join_next().await.is_some() {}
    let summary = fleet.board.summary(fleet.link.retries());
    display.end(&summary)?;
    watched?;
    match fleet.fault.get() {
        Some(fault) => Err(Failure::Refused(fault.clone())),
        None if summary.is_all_refused() => Err(none_let_in(&summary)),
        None => Ok(()),
    }
}

/// Shows how it goes until the run is at its end.
async fn watch(
    fleet: &Fleet,
    devices: &mut JoinSet<Option<Gone>>,
    display: &mut Display,
) -> Result<(), Failure> {
    let mut ticks = interval(display.every());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut checks = interval(Duration::from_millis(100));
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let deadline = fleet.settings.duration.map(|time| Instant::now() + time);
    let mut interrupt = std::pin::pin!(interrupted());
    loop {
        tokio::select! {
            () = &mut interrupt => return Ok(()),
            () = fleet.end.cancelled() => return Ok(()),
            ended = devices.join_next() => match ended {
                Some(Ok(Some(Gone(why)))) => fleet.board.note(why),
                Some(_) => {}
                None => return Ok(()),
            },
            _ = ticks.tick() => display.update(&fleet.board.summary(fleet.link.retries()))?,
            now = checks.tick() => {
                let is_idle = fleet.settings.until_idle.is_some_and(|t| fleet.board.is_idle_for(t));
                if is_idle || deadline.is_some_and(|deadline| now >= deadline) {
                    return Ok(());
                }
            }
        }
    }
}

/// Returns once somebody asks the program to end.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // Without signals only the settings can end the run.
        std::future::pending::<()>().await;
    }
}

/// Returns the devices' ids, the first with number 1.
fn ids(settings: &Settings) -> Result<Vec<DeviceId>, Failure> {
    (1..=settings.devices)
        .map(|number| id_of(&settings.id_prefix, number))
        .collect()
}

/// Returns the id of the device with a number.
pub(super) fn id_of(prefix: &str, number: u32) -> Result<DeviceId, Failure> {
    DeviceId::new(format!("{prefix}{number:04}"))
        .map_err(|error| Failure::Usage(format!("--id-prefix: {error}")))
}

/// Makes a device that nobody knows yet, with a key of its own.
fn new_record(id: DeviceId, place: usize, settings: &Settings) -> Result<Record, Failure> {
    let models = &settings.models;
    let model = models
        .get(place % models.len().max(1))
        .ok_or_else(|| Failure::Usage("--models names no model".to_owned()))?;
    Ok(Record {
        id,
        model: model.clone(),
        version: settings.version.clone(),
        key: SecretKey::generate()?.to_text().to_string(),
        token: None,
        attempt: None,
        sequence: 0,
    })
}

fn none_let_in(summary: &super::Summary) -> Failure {
    let reasons = summary.refused.keys().cloned().collect::<Vec<_>>();
    Failure::Refused(format!(
        "the server has no device of these any more: {}.\n\
         Give a token that counts with --enrollment-token; \
         `otter enrollment-token create` makes one.",
        reasons.join("; ").trim_end_matches('.')
    ))
}
