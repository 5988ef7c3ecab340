//! The machine's own watchdog: a device that restarts the machine unless it is written to, and that is closed for good only by a
//! `V` before the end (the kernel's watchdog-api, "magic close").

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Watchdog;

const FOOD: &[u8] = b"\0";
const MAGIC_CLOSE: &[u8] = b"V";

/// The machine's own watchdog.
#[derive(Debug)]
pub struct DeviceWatchdog {
    path: PathBuf,
    interval: Duration,
    /// Open, and so armed, from its first food on.
    device: Option<File>,
}

impl DeviceWatchdog {
    /// Takes a device, without opening it.
    pub fn new(path: &Path, interval: Duration) -> Self {
        Self {
            path: path.to_owned(),
            interval,
            device: None,
        }
    }
}

impl Watchdog for DeviceWatchdog {
    fn interval(&self) -> Duration {
        self.interval
    }

    fn feed(&mut self) -> io::Result<()> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
        };
        let mut device = match self.device.take() {
            Some(device) => device,
            None => {
                let device = OpenOptions::new().write(true).open(&self.path);
                let device = device.map_err(named)?;
                tracing::info!("the watchdog {} is armed", self.path.display());
                device
            }
        };
        let fed = device.write_all(FOOD).map_err(named);
        self.device = Some(device);
        fed
    }

    fn dismiss(&mut self) -> io::Result<()> {
        match self.device.take() {
            Some(mut device) => device.write_all(MAGIC_CLOSE),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_opened_by_its_first_food_and_let_go_by_the_magic_letter_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watchdog");
        let mut watchdog = DeviceWatchdog::new(&path, Duration::from_secs(5));
        watchdog.dismiss().unwrap();
        let error = watchdog.feed().unwrap_err().to_string();
        assert!(error.contains("watchdog: No such file"), "{error}");
        assert!(!path.exists(), "a device is never made");
        std::fs::write(&path, "").unwrap();
        watchdog.feed().unwrap();
        watchdog.feed().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0\0");
        drop(watchdog);
        assert_eq!(std::fs::read(&path).unwrap(), b"\0\0");
        let mut watchdog = DeviceWatchdog::new(&path, Duration::from_secs(5));
        watchdog.feed().unwrap();
        watchdog.dismiss().unwrap();
        // A file begins at its beginning again; a device has none.
        assert_eq!(std::fs::read(&path).unwrap(), b"\0V");
    }
}
