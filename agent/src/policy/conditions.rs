//! What the device says of its circumstances with each check-in: only what is known.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use otter_protocol::device::Conditions;
use tokio::time::Instant;

use super::power::Gauge;
use super::{Circumstances, Verdict, judge, zone};
use crate::agent::Agent;
use crate::clock;
use crate::config::{PolicyConfig, Software};
use crate::disk::Disk;
use crate::journal::Attempt;
use crate::service::Status;

/// So long after a crash a service that runs again is not yet called healthy.
const CONVALESCENCE: Duration = Duration::from_secs(60);

/// How the agent knows what goes on around it.
#[derive(Debug)]
pub(crate) struct Senses {
    gauge: Gauge,
    memory: Mutex<Memory>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    last_crash: Option<Instant>,
    /// Whether what runs had proven itself when it was last asked to.
    last_proof: Option<bool>,
}

impl Senses {
    pub(crate) fn new(disk: Arc<dyn Disk>, policy: &PolicyConfig) -> Self {
        Self {
            gauge: Gauge::new(disk, &policy.power_supply),
            memory: Mutex::default(),
        }
    }

    /// Takes note that the service ended by itself.
    pub(super) fn crashed(&self) {
        self.remember(|memory| memory.last_crash = Some(Instant::now()));
    }

    /// Takes note of whether what runs has proven itself.
    pub(crate) fn proved(&self, is_healthy: bool) {
        self.remember(|memory| memory.last_proof = Some(is_healthy));
    }

    fn remember(&self, change: impl FnOnce(&mut Memory)) {
        change(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn memory(&self) -> Memory {
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agent {
    /// Judges by the device's own policy whether an attempt may begin, or go on.
    pub(crate) async fn verdict_on(&self, attempt: &Attempt) -> Verdict {
        let power = self.senses.gauge.read().await;
        let (device, disk) = (&self.config.device_id, self.disk.as_ref());
        let circumstances = Circumstances::with(power, device, disk, &self.journal.record());
        // A server that was stolen may call anything required; what was signed says whether it is.
        let signed = attempt.signed.as_ref();
        let is_required = attempt.is_by_hand()
            || attempt.offer.required && signed.is_none_or(|signed| signed.facts.required);
        judge(
            &self.config.policy,
            &circumstances,
            clock::now(),
            is_required,
        )
    }

    /// Gathers what a check-in says.
    pub(crate) async fn conditions(&self) -> Conditions {
        let power = self.senses.gauge.read().await;
        let service = self.installer.service();
        let status = service.as_ref().map(|service| service.borrow().clone());
        let memory = self.senses.memory();
        let since_crash = memory.last_crash.map(|at| at.elapsed());
        Conditions {
            battery_percent: power.percent(),
            on_mains: power.on_mains,
            is_metered: None,
            free_bytes: self.free_bytes(),
            crashes_since_boot: service.map(|_| self.journal.record().counters.crashes),
            is_healthy: is_healthy(status.as_ref(), memory.last_proof, since_crash),
            time_zone: zone::of_device(self.disk.as_ref()),
        }
    }

    /// Returns the bytes that an artifact and what it unpacks to may take. An image goes to its slot, where none are free
    /// and none are needed; of an installer that isn't ours nothing is known.
    fn free_bytes(&self) -> Option<u64> {
        let free = |path: &Path| self.disk.free_bytes(path).ok();
        let here = free(&self.config.state_dir);
        let least = match self.config.software()? {
            Software::Image(_) => None,
            Software::Bundle(bundle) => here.min(free(&bundle.root).or(here)),
            Software::Container(_) | Software::Firmware(_) | Software::Module(_) => here,
        };
        least.map(rounded)
    }
}

/// Rounds down to four binary digits: a number that changes with every line of a log would make every check-in news.
fn rounded(bytes: u64) -> u64 {
    let insignificant = (u64::BITS - bytes.leading_zeros()).saturating_sub(4);
    bytes >> insignificant << insignificant
}

/// Judges what runs: by its service, where there is one, else by what it last proved.
fn is_healthy(
    service: Option<&Status>,
    last_proof: Option<bool>,
    since_crash: Option<Duration>,
) -> Option<bool> {
    match service {
        Some(Status::Running { .. }) => {
            let is_well = since_crash.is_none_or(|since| since >= CONVALESCENCE);
            Some(is_well && last_proof != Some(false))
        }
        Some(Status::Exited(_)) => Some(false),
        Some(Status::Stopped) => None,
        None => last_proof,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_said_only_where_it_is_known() {
        let running = Status::Running { pid: 1 };
        let exited = Status::Exited("it ended".to_owned());
        let (soon, later) = (Some(CONVALESCENCE / 2), Some(CONVALESCENCE));
        let table = [
            (Some(&running), None, None, Some(true)),
            (Some(&running), Some(true), later, Some(true)),
            (Some(&running), Some(true), soon, Some(false)),
            (Some(&running), Some(false), None, Some(false)),
            (Some(&exited), Some(true), None, Some(false)),
            (Some(&Status::Stopped), Some(true), None, None),
            (None, None, None, None),
            (None, Some(true), None, Some(true)),
            (None, Some(false), None, Some(false)),
        ];
        for (service, proof, since, expected) in table {
            let got = is_healthy(service, proof, since);
            assert_eq!(got, expected, "{service:?} {proof:?} {since:?}");
        }
    }

    #[test]
    fn free_bytes_are_rounded_down_a_little() {
        for (bytes, expected) in [(0, 0), (7, 7), (15, 15), (17, 16), (1_000_000, 983_040)] {
            assert_eq!(rounded(bytes), expected);
        }
        for shift in 0..64 {
            let bytes = u64::MAX >> shift;
            let rounded = rounded(bytes);
            assert!(rounded <= bytes && bytes - rounded <= bytes / 8, "{bytes}");
        }
    }
}
