//! What is counted over the device's life: boots, resets by the watchdog, crashes of the service.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::disk::{self, Disk};
use crate::journal::Record;
use crate::service::Status;

/// The watchdog reset the machine: `WDIOF_CARDRESET` of linux/watchdog.h.
const CARD_RESET: u32 = 0x20;
const LONGEST: u64 = 4096;
/// So many crashes are each worth a write; of more, every so many-th is: flash wears, and a service that dies all day long
/// is not known better by its exact number.
const EACH_WRITTEN: u32 = 16;

/// Counts, as the journal keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Runs of the system that had an agent.
    pub boots: u64,
    /// Those of them that began with a reset by the watchdog; `None` where the device shows no watchdog.
    pub watchdog_resets: Option<u64>,
    /// Ends of the service by itself, since the device booted or its version was committed, whichever is later.
    pub crashes: u32,
    /// The run of the system that was counted last.
    pub boot_id: Option<String>,
}

impl Counters {
    /// Counts a run of the system, once.
    fn count_boot(&mut self, boot_id: &str, by_watchdog: Option<bool>) {
        if self.boot_id.as_deref() == Some(boot_id) {
            return;
        }
        self.boots = self.boots.saturating_add(1);
        if let Some(reset) = by_watchdog {
            let before = self.watchdog_resets.unwrap_or(0);
            self.watchdog_resets = Some(before.saturating_add(reset.into()));
        }
        self.crashes = 0;
        self.boot_id = Some(boot_id.to_owned());
    }
}

/// Tells whether crashes are to be written now, or with the next change of the journal.
fn is_worth_a_write(on_disk: &Record, now: &Record) -> bool {
    let (written, counted) = (on_disk.counters.crashes, now.counters.crashes);
    counted <= EACH_WRITTEN || counted.saturating_sub(written) >= EACH_WRITTEN
}

/// Tells whether this run of the system began with a reset by the watchdog; `None` where there is none to ask.
fn reset_by_watchdog(disk: &dyn Disk, watchdog: &Path) -> Option<bool> {
    let bytes = disk::read(disk, &watchdog.join("bootstatus"), LONGEST).ok()??;
    let text = String::from_utf8(bytes).ok()?;
    let text = text.trim();
    let status = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => text.parse().ok()?,
    };
    Some(status & CARD_RESET != 0)
}

impl Agent {
    /// Counts this run of the system. What can't be counted keeps nothing from starting.
    pub(crate) fn count_boot(&self) {
        let counted = self.machine.boot_id().and_then(|boot_id| {
            let watchdog = &self.config.policy.watchdog;
            let by_watchdog = reset_by_watchdog(self.disk.as_ref(), watchdog);
            self.journal
                .change(|record| record.counters.count_boot(&boot_id, by_watchdog))
        });
        if let Err(error) = counted {
            tracing::warn!("this boot can't be counted: {error}");
        }
    }

    /// Counts how often the service ends by itself, for ever. One on trial is judged by its trial.
    pub(crate) async fn count_crashes(&self) {
        let Some(mut service) = self.installer.service() else {
            return std::future::pending().await;
        };
        while service.changed().await.is_ok() {
            let has_ended = matches!(*service.borrow_and_update(), Status::Exited(_));
            let attempt = self.journal.record().attempt;
            let is_on_trial = attempt.is_some_and(|attempt| !attempt.step.is_before_change());
            if !has_ended || is_on_trial {
                continue;
            }
            self.senses.crashed();
            let noted = self.journal.note(
                |record| record.counters.crashes = record.counters.crashes.saturating_add(1),
                is_worth_a_write,
            );
            if let Err(error) = noted {
                tracing::warn!("a crash of the service can't be written to the journal: {error}");
            }
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{PUBLIC, SimulatedDisk, write_whole};

    #[test]
    fn a_boot_counts_once_and_forgets_crashes() {
        let mut counters = Counters::default();
        counters.count_boot("a", None);
        counters.crashes = 3;
        counters.count_boot("a", Some(true));
        assert_eq!((counters.boots, counters.crashes), (1, 3));
        assert_eq!(counters.watchdog_resets, None);
        counters.count_boot("b", Some(true));
        counters.count_boot("c", Some(false));
        assert_eq!((counters.boots, counters.crashes), (3, 0));
        assert_eq!(counters.watchdog_resets, Some(1));
    }

    #[test]
    fn crashes_are_written_less_and_less() {
        let record = |crashes| Record {
            counters: Counters {
                crashes,
                ..Counters::default()
            },
            ..Record::default()
        };
        let (mut written, mut writes) = (0, 0);
        for crashes in 1..=160 {
            if is_worth_a_write(&record(written), &record(crashes)) {
                (written, writes) = (crashes, writes + 1);
            }
            assert!(crashes - written < EACH_WRITTEN);
        }
        assert_eq!(writes, 16 + 9);
    }

    #[test]
    fn a_reset_by_the_watchdog_is_one_bit() {
        let folder = Path::new("/watchdog0");
        let table = [
            ("32\n", Some(true)),
            ("0\n", Some(false)),
            ("0x21", Some(true)),
            ("1", Some(false)),
            ("?", None),
        ];
        for (text, reset) in table {
            let disk = SimulatedDisk::default();
            disk.make_dir(folder).unwrap();
            let file = folder.join("bootstatus");
            write_whole(&disk, &file, text.as_bytes(), PUBLIC).unwrap();
            assert_eq!(reset_by_watchdog(&disk, folder), reset, "{text}");
        }
        assert_eq!(reset_by_watchdog(&SimulatedDisk::default(), folder), None);
    }
}
