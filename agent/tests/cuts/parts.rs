//! What a simulated device is made of beside its disk: a machine, and a version that writes to its data.

use std::path::Path;

use async_trait::async_trait;
use otter_agent::disk::{self, PUBLIC, SimulatedDisk};
use otter_agent::health::{HealthCheck, Patient};
use otter_agent::machine::{Held, Machine};
use tokio::sync::Notify;

use super::judge::read;
use super::world::{DATA, SETTINGS};

/// The new version: it writes to its data, as versions do, and is healthy or not.
#[derive(Debug)]
pub struct NewData {
    pub disk: SimulatedDisk,
    pub is_healthy: bool,
}

#[async_trait]
impl HealthCheck for NewData {
    async fn prove(&self, patient: &Patient) -> Result<(), String> {
        let version = patient.version.as_str();
        let disk = &self.disk;
        let write = |data: String| {
            disk::write_whole(disk, Path::new(DATA), data.as_bytes(), PUBLIC)
                .map_err(|error| error.to_string())
        };
        if version == "1.0.0" {
            // It finds what it left, and goes on with it.
            let found = read(disk, DATA).unwrap_or_default();
            if found == b"by 1.0.0" || found == b"by 1.0.0, and again by 1.0.0" {
                return write("by 1.0.0, and again by 1.0.0".to_owned());
            }
            return Err(format!("the data is {}", String::from_utf8_lossy(&found)));
        }
        write(format!("by {version}"))?;
        let settings = format!("for {version}");
        disk::write_whole(disk, Path::new(SETTINGS), settings.as_bytes(), PUBLIC)
            .map_err(|error| error.to_string())?;
        if self.is_healthy {
            return Ok(());
        }
        disk::write_whole(disk, Path::new("/data/new"), b"new", PUBLIC)
            .map_err(|error| error.to_string())?;
        Err("sick".to_owned())
    }
}

/// A machine that can be restarted: each run of the system is one of its own.
#[derive(Debug)]
pub struct SimulatedMachine {
    boot_id: u64,
    pub restarted: Notify,
}

impl SimulatedMachine {
    pub fn new(boot_id: u64) -> Self {
        Self {
            boot_id,
            restarted: Notify::new(),
        }
    }
}

#[async_trait]
impl Machine for SimulatedMachine {
    fn take(&self, _: &Path) -> anyhow::Result<Held> {
        Ok(Box::new(()))
    }

    fn boot_id(&self) -> std::io::Result<String> {
        Ok(self.boot_id.to_string())
    }

    async fn restart(&self, _: Option<&str>) -> std::io::Result<()> {
        self.restarted.notify_one();
        std::future::pending().await
    }
}
