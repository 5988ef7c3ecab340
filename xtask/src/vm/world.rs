//! Server, publisher and machine together.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::disk;
use super::machine::{Machine, Processor, Running, Writes};
use super::system::{Image, Nature, System};
use crate::process;
use crate::programs::{self, Api, Folder, Otter, Server, Setup};

const MODEL: &str = "machine";
const DEVICE: &str = "machine-1";
/// How long an update may take, several starts and a roll-back included.
const UPDATE: Duration = Duration::from_secs(900);

/// Everything that runs.
pub(super) struct World {
    pub(super) folder: Folder,
    pub(super) disk: PathBuf,
    system: System,
    otter: Otter,
    server: Server,
    images: Vec<Image>,
    pub(super) processor: Processor,
    machine: Option<Machine>,
}

/// A rollout to the one machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rollout(i64);

impl World {
    /// Starts the server, makes the machine's disk with version 1.0.0, and waits until the machine has checked in.
    pub(super) fn start(folder: Folder, system: System, port: u16) -> Result<Self> {
        let setup = Setup {
            port,
            check_in_sec: 1,
            busy_check_in_sec: 1,
        };
        let server = Server::start(&folder, setup, programs::key()?, None)?;
        let otter = Otter::new(&folder, server.api())?;
        otter.init_trust()?;
        let token = otter.enrollment_token("the machine")?;
        let first = system.image("1.0.0", Nature::Sound, &folder.make("images")?)?;
        let data = folder.make("data")?;
        fs::write(data.join("enrollment-token"), token)?;
        fs::copy(otter.root_metadata(), data.join("root.json"))?;
        let disk = folder.path("disk.img");
        disk::make(&disk, &first.path, &data, &folder.make("scratch")?)?;
        fs::remove_file(&first.path)?;
        let processor = Processor::find(&disk, &folder.path("logs"))?;
        eprintln!("  the machine's processor: {processor:?}");
        let mut world = Self {
            folder,
            disk,
            system,
            otter,
            server,
            images: vec![first],
            processor,
            machine: None,
        };
        world.switch_on(Writes::Kept)?;
        let running = world.machine()?.running()?;
        world.ensure_whole(&world.disk, &running)?;
        world.wait("the machine's first check-in", |world| {
            Ok(world.version()?.as_deref() == Some("1.0.0"))
        })?;
        Ok(world)
    }

    /// The server's admin API.
    fn api(&self) -> &Api {
        self.server.api()
    }

    /// The machine; fails where it is off.
    pub(super) fn machine(&mut self) -> Result<&mut Machine> {
        self.machine.as_mut().context("the machine is off")
    }

    /// Switches the machine on.
    pub(super) fn switch_on(&mut self, writes: Writes<'_>) -> Result<()> {
        let logs = self.folder.path("logs");
        self.machine = Some(Machine::start(
            &self.disk,
            writes,
            self.processor,
            &logs,
            "machine",
        )?);
        Ok(())
    }

    /// Cuts the machine's power.
    pub(super) fn cut(&mut self) -> Result<()> {
        self.machine.take().map_or(Ok(()), Machine::cut)
    }

    /// Makes a version and publishes it.
    pub(super) fn publish(&mut self, version: &str, nature: Nature) -> Result<()> {
        let folder = self.folder.path("images");
        let image = self.system.image(version, nature, &folder)?;
        let packed = folder.join(format!("{version}.img.zst"));
        let mut pack = std::process::Command::new("zstd");
        pack.args(["-q", "-3", "-T0", "--rm", "-o"])
            .arg(&packed)
            .arg(&image.path);
        process::run(&mut pack)?;
        self.otter
            .publish(version, "", "image", &[(MODEL, &packed)])?;
        fs::remove_file(&packed)?;
        self.images.push(image);
        Ok(())
    }

    /// Rolls a version out to the machine.
    pub(super) fn roll_out(&self, version: &str) -> Result<Rollout> {
        let made = self.otter.json(&[
            "rollout",
            "create",
            "--release",
            version,
            "--name",
            version,
            "--gate",
            "max-failure=none,soak=0s",
            "--phase",
            "all:100",
        ])?;
        let id = made.get("id").and_then(Value::as_i64);
        id.map(Rollout).context("the rollout has no number")
    }

    /// Waits until a rollout's only attempt has ended; returns in which state.
    pub(super) fn end_of(&mut self, rollout: Rollout) -> Result<String> {
        const ENDS: [&str; 4] = ["succeeded", "failed", "rolled_back", "timed_out"];
        let mut ended = None;
        self.wait("the update's end", |world| {
            let detail = world.api().get(&format!("rollouts/{}", rollout.0))?;
            let total = detail.get("total").unwrap_or(&Value::Null);
            let is_so = |state: &&&str| {
                let count = total.get(**state).and_then(Value::as_u64);
                count.is_some_and(|count| count > 0)
            };
            ended = ENDS.iter().find(is_so).map(|state| (*state).to_owned());
            Ok(ended.is_some())
        })?;
        ended.context("the update has no end")
    }

    /// The device's story, as a person reads it.
    pub(super) fn story(&self) -> String {
        let told = self.otter.text(&["device", "show", DEVICE]);
        told.unwrap_or_else(|error| error.to_string())
    }

    /// The version that the server believes the machine runs.
    pub(super) fn version(&self) -> Result<Option<String>> {
        let page = self.api().get("devices")?;
        let devices = page.get("items").and_then(Value::as_array);
        let mut devices = devices.into_iter().flatten();
        let device = devices.find(|one| one.get("id").and_then(Value::as_str) == Some(DEVICE));
        let version = device.and_then(|device| device.get("version")?.as_str());
        Ok(version.map(str::to_owned))
    }

    /// Returns the version whose image the machine of this disk runs, byte for byte.
    pub(super) fn ensure_whole(&self, disk: &Path, running: &Running) -> Result<String> {
        let sha256 = disk::slot_sha256(disk, running, self.system.length())?;
        let image = self.images.iter().find(|image| image.sha256 == sha256);
        let Some(image) = image else {
            bail!("slot {} holds no version that was ever made", running.slot);
        };
        // A system whose agent was made not to start is whole all the same; it must be taken back, which the update's end shows.
        if running.agent != "active" && image.nature != Nature::Mute {
            bail!("the agent of {} is {}", image.version, running.agent);
        }
        Ok(image.version.clone())
    }

    /// Waits, with a deadline, until a condition holds; fails where server or machine end before.
    pub(super) fn wait(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + UPDATE;
        while !is_so(self)? {
            self.server.ensure_alive()?;
            if let Some(machine) = &mut self.machine {
                machine.ensure_alive()?;
            }
            if Instant::now() >= deadline {
                bail!("{what} did not come in {} s", UPDATE.as_secs());
            }
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}
