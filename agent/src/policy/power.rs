//! Batteries and chargers, as the kernel shows them in `/sys/class/power_supply` (sysfs-class-power).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::disk::{self, Disk};

/// No file there is longer.
const LONGEST: u64 = 4096;
/// More supplies than any device has.
const MOST: usize = 64;
/// A gauge behind a slow bus takes its time; one that takes longer is broken.
const PATIENCE: Duration = Duration::from_secs(5);

/// The charge of a device's batteries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// It has none.
    NoBattery,
    /// It has one that doesn't say.
    Unknown,
    /// So much, 0 to 100; of several batteries the mean.
    Percent(u8),
}

/// What a device runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Power {
    /// Its batteries.
    pub charge: Charge,
    /// Whether it is on mains, where that is known.
    pub on_mains: Option<bool>,
}

impl Power {
    /// A device that doesn't say.
    const UNKNOWN: Self = Self {
        charge: Charge::Unknown,
        on_mains: None,
    };

    /// Returns the charge, where it is known.
    pub fn percent(&self) -> Option<u8> {
        match self.charge {
            Charge::Percent(percent) => Some(percent),
            Charge::NoBattery | Charge::Unknown => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    In,
    Out,
}

/// One supply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Supply {
    Battery {
        percent: Option<u8>,
        flow: Option<Flow>,
    },
    Charger {
        is_online: Option<bool>,
    },
}

/// Puts supplies together.
fn power(supplies: &[Supply]) -> Power {
    let batteries = || {
        supplies.iter().filter_map(|supply| match supply {
            Supply::Battery { percent, flow } => Some((*percent, *flow)),
            Supply::Charger { .. } => None,
        })
    };
    let chargers = || {
        supplies.iter().filter_map(|supply| match supply {
            Supply::Charger { is_online } => *is_online,
            Supply::Battery { .. } => None,
        })
    };
    let percents = || batteries().filter_map(|(percent, _)| percent);
    let sum: usize = percents().map(usize::from).sum();
    let mean = sum.checked_div(percents().count());
    let has_battery = batteries().next().is_some();
    let charge = match mean.and_then(|mean| u8::try_from(mean).ok()) {
        Some(mean) => Charge::Percent(mean),
        None if has_battery => Charge::Unknown,
        None => Charge::NoBattery,
    };
    let flows = |wanted: Flow| batteries().any(|(_, flow)| flow == Some(wanted));
    let on_mains = if chargers().any(|is_online| is_online) {
        Some(true)
    } else if !has_battery {
        // A port that gives no power says nothing of a device that runs all the same.
        None
    } else if chargers().next().is_some() || flows(Flow::Out) {
        Some(false)
    } else {
        flows(Flow::In).then_some(true)
    };
    Power { charge, on_mains }
}

/// Reads every supply in a folder; what can't be read is passed over, or unknown.
pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Power {
    let names = disk.list(folder).unwrap_or_default();
    let paths = names.iter().take(MOST).map(|name| folder.join(name));
    let supplies: Vec<Supply> = paths.filter_map(|path| supply(disk, &path)).collect();
    power(&supplies)
}

fn supply(disk: &dyn Disk, folder: &Path) -> Option<Supply> {
    let text = |name: &str| {
        let bytes = disk::read(disk, &folder.join(name), LONGEST)
            .ok()
            .flatten()?;
        Some(String::from_utf8(bytes).ok()?.trim().to_owned())
    };
    let number = |name: &str| text(name)?.parse::<u64>().ok();
    // A mouse's battery is not the device's, and an empty compartment is none.
    if text("scope").as_deref() == Some("Device") || number("present") == Some(0) {
        return None;
    }
    if !matches!(text("type")?.as_str(), "Battery" | "UPS") {
        let is_online = number("online").map(|online| online > 0);
        return Some(Supply::Charger { is_online });
    }
    let part = |now: &str, full: &str| {
        let (now, full) = (number(now)?, number(full)?);
        now.saturating_mul(100).checked_div(full)
    };
    let percent = number("capacity")
        .or_else(|| part("energy_now", "energy_full"))
        .or_else(|| part("charge_now", "charge_full"))
        .and_then(|percent| u8::try_from(percent.min(100)).ok());
    let flow = match text("status").as_deref() {
        Some("Charging" | "Full") => Some(Flow::In),
        Some("Discharging") => Some(Flow::Out),
        _ => None,
    };
    Some(Supply::Battery { percent, flow })
}

/// Reads what the device runs on, in bounded time.
#[derive(Debug, Clone)]
pub(super) struct Gauge {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    patience: Duration,
    /// Held while the kernel is asked: what hangs there is not asked again.
    busy: Arc<Mutex<()>>,
}

impl Gauge {
    pub(super) fn new(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        Self {
            disk,
            folder: folder.to_owned(),
            patience: PATIENCE,
            busy: Arc::default(),
        }
    }

    pub(super) async fn read(&self) -> Power {
        let gauge = self.clone();
        let asked = async {
            let held = self.busy.clone().lock_owned().await;
            tokio::task::spawn_blocking(move || {
                let _held = held;
                read(gauge.disk.as_ref(), &gauge.folder)
            })
            .await
        };
        match tokio::time::timeout(self.patience, asked).await {
            Ok(Ok(power)) => power,
            _ => {
                tracing::warn!(
                    "{} did not answer within {:?}",
                    self.folder.display(),
                    self.patience
                );
                Power::UNKNOWN
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{PUBLIC, SimulatedDisk, make_dirs, write_whole};

    /// A disk with these files under `/power`.
    fn disk(files: &[(&str, &str)]) -> SimulatedDisk {
        let disk = SimulatedDisk::default();
        for (path, text) in files {
            let path = Path::new("/power").join(path);
            make_dirs(&disk, path.parent().unwrap()).unwrap();
            write_whole(&disk, &path, text.as_bytes(), PUBLIC).unwrap();
        }
        disk
    }

    fn of(files: &[(&str, &str)]) -> (Charge, Option<bool>) {
        let power = read(&disk(files), Path::new("/power"));
        (power.charge, power.on_mains)
    }

    const BATTERY: (&str, &str) = ("BAT0/type", "Battery\n");
    const MAINS: (&str, &str) = ("AC/type", "Mains\n");

    #[test]
    fn batteries_and_chargers_in_all_their_states() {
        use Charge::{NoBattery, Percent, Unknown};
        type Files<'a> = &'a [(&'a str, &'a str)];
        let table: [(Files, Charge, Option<bool>); 17] = [
            (&[], NoBattery, None),
            (&[MAINS, ("AC/online", "1\n")], NoBattery, Some(true)),
            (&[MAINS, ("AC/online", "0\n")], NoBattery, None),
            (&[BATTERY, ("BAT0/capacity", "42\n")], Percent(42), None),
            (&[BATTERY, ("BAT0/capacity", "103\n")], Percent(100), None),
            (&[BATTERY, ("BAT0/capacity", "-1\n")], Unknown, None),
            (&[BATTERY, ("BAT0/capacity", "a lot")], Unknown, None),
            (&[BATTERY, ("BAT0/capacity", "")], Unknown, None),
            (
                &[BATTERY, ("BAT0/status", "Discharging\n")],
                Unknown,
                Some(false),
            ),
            (&[BATTERY, ("BAT0/status", "Full\n")], Unknown, Some(true)),
            (&[BATTERY, ("BAT0/status", "Not charging\n")], Unknown, None),
            // The charger knows better than the battery, which may be full of itself.
            (
                &[BATTERY, ("BAT0/status", "Full"), MAINS, ("AC/online", "0")],
                Unknown,
                Some(false),
            ),
            (
                &[
                    BATTERY,
                    ("BAT0/status", "Discharging"),
                    ("U/type", "USB_PD"),
                    ("U/online", "2"),
                ],
                Unknown,
                Some(true),
            ),
            (
                &[
                    BATTERY,
                    ("BAT0/energy_now", "250"),
                    ("BAT0/energy_full", "1000"),
                ],
                Percent(25),
                None,
            ),
            (
                &[BATTERY, ("BAT0/charge_now", "5"), ("BAT0/charge_full", "0")],
                Unknown,
                None,
            ),
            // What isn't a battery of this device, or not there.
            (
                &[
                    ("M/type", "Battery"),
                    ("M/scope", "Device\n"),
                    ("M/capacity", "3"),
                ],
                NoBattery,
                None,
            ),
            (
                &[BATTERY, ("BAT0/present", "0"), ("BAT0/capacity", "0")],
                NoBattery,
                None,
            ),
        ];
        for (files, charge, on_mains) in table {
            assert_eq!(of(files), (charge, on_mains), "{files:?}");
        }
    }

    #[test]
    fn of_several_batteries_the_mean_of_those_that_answer_counts() {
        let mut files = vec![
            BATTERY,
            ("BAT0/capacity", "100"),
            ("BAT1/type", "Battery"),
            ("BAT1/capacity", "7"),
        ];
        assert_eq!(of(&files).0, Charge::Percent(53));
        files.extend([
            ("BAT2/type", "UPS"),
            ("BAT2/capacity", "?"),
            ("BAT3/type", ""),
        ]);
        assert_eq!(of(&files).0, Charge::Percent(53));
    }

    #[test]
    fn files_that_are_endless_or_no_text_are_passed_over() {
        let long = "9".repeat(5000);
        assert_eq!(of(&[BATTERY, ("BAT0/capacity", &long)]).0, Charge::Unknown);
        let disk = disk(&[BATTERY]);
        write_whole(&disk, Path::new("/power/BAT0/capacity"), &[0xff], PUBLIC).unwrap();
        assert_eq!(read(&disk, Path::new("/power")).charge, Charge::Unknown);
    }

    #[tokio::test]
    async fn what_hangs_is_unknown_and_not_asked_again() {
        let gauge = Gauge::new(Arc::new(disk(&[])), Path::new("/power"));
        assert_eq!(gauge.read().await.charge, Charge::NoBattery);
        let hangs = gauge.busy.clone().lock_owned().await;
        let impatient = Gauge {
            patience: Duration::from_millis(20),
            ..gauge.clone()
        };
        assert_eq!(impatient.read().await, Power::UNKNOWN);
        drop(hangs);
        assert_eq!(gauge.read().await.charge, Charge::NoBattery);
    }
}
