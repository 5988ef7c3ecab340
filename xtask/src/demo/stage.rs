//! Everything that runs in the demo.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::pace::Pace;
use super::pulse::Pulse;
use crate::process;
use crate::programs::{self, Api, Fleet, Folder, Gateway, Orders, Otter, Server, Setup};
use crate::steps::Steps;

/// The simulated devices' models.
pub(super) const MODELS: [&str; 3] = ["camera", "pump", "thermostat"];
/// How many devices are simulated.
pub(super) const SIMULATED: u32 = 200;
/// How many of them fail every attempt.
pub(super) const FAILING: u32 = 2;
/// The dashboard's account.
const ADMIN: &str = "demo";
/// Bytes of a simulated device's artifact.
const ARTIFACT: usize = 256 << 10;

/// Everything that runs in the demo. What stands first stops first.
pub(super) struct Stage {
    pub(super) pulse: Pulse,
    crew: Mutex<Crew>,
    pub(super) otter: Otter,
    pub(super) api: Api,
    pub(super) pace: Pace,
    greeter: u16,
    password: String,
    folder: Folder,
}

/// The programs that must run all the time. What stands first stops first.
pub(super) struct Crew {
    pub(super) fleet: Fleet,
    pub(super) gateway: Gateway,
    pub(super) server: Server,
}

impl Stage {
    /// Starts everything, with the fleet on version 1.0.0.
    pub(super) fn set(
        steps: &mut Steps,
        name: &str,
        port: u16,
        pace: Pace,
        is_watched: bool,
    ) -> Result<Self> {
        let folder = Folder::fresh(name)?;
        folder.take_programs(false)?;
        eprintln!(
            "everything of this run is in {}, its logs in logs/",
            folder.root().display()
        );
        let password = programs::password()?;
        let server = steps.run("otter-server", || {
            start_server(&folder, port, pace, &password)
        })?;
        if is_watched {
            println!("\n{}\n", login(server.api(), &password));
        }
        let otter = Otter::new(&folder, server.api())?;
        let token = steps.run("keys, trust, enrollment token", || {
            otter.init_trust()?;
            otter.enrollment_token("the demo's devices")
        })?;
        let greeter = process::lasting_port()?;
        let gateway = steps.run("otter-agent with the sample program 1.0.0", || {
            Gateway::start(&folder, &otter, &server.api().address(), &token, greeter)
        })?;
        let fleet = steps.run(&format!("{SIMULATED} simulated devices"), || {
            let orders = Orders {
                devices: SIMULATED,
                fail: FAILING,
                models: &MODELS,
                token: &token,
                step: pace.step,
            };
            Fleet::start(&folder, &otter, orders)
        })?;
        Ok(Self {
            pulse: Pulse::begin(greeter),
            api: server.api().clone(),
            crew: Mutex::new(Crew {
                fleet,
                gateway,
                server,
            }),
            otter,
            pace,
            greeter,
            password,
            folder,
        })
    }

    /// The programs that must run all the time.
    pub(super) fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes and signs a release of the sample program, for the simulated devices, too, where they are to have it.
    pub(super) fn publish(&self, version: &str, notes: &str, what: Content) -> Result<()> {
        let greeter = programs::bundle(&self.folder, version, what == Content::Broken)?;
        let mut artifacts = vec![(Gateway::MODEL, greeter)];
        if what == Content::ForAll {
            for model in MODELS {
                artifacts.push((model, self.artifact(model, version)?));
            }
        }
        let artifacts: Vec<_> = artifacts
            .iter()
            .map(|(model, path)| (*model, path.as_path()))
            .collect();
        self.otter
            .publish(version, notes, "bundle", &artifacts)
            .map(drop)
    }

    /// Makes a folder of bytes that only this model and version have.
    fn artifact(&self, model: &str, version: &str) -> Result<PathBuf> {
        let folder = self.folder.make(&format!("bundles/{model}-{version}"))?;
        let seed = format!("{model} {version}\n");
        let bytes: Vec<u8> = seed.bytes().cycle().take(ARTIFACT).collect();
        let file = folder.join("firmware.bin");
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(folder)
    }

    /// Attempts that succeeded, by the devices' own count: the simulated ones' and the gateway's.
    pub(super) fn succeeded(&self) -> Result<(u64, u64)> {
        let crew = self.crew();
        Ok((crew.fleet.succeeded()?, crew.gateway.ended("succeeded")?))
    }

    /// Fails where something that should run has ended.
    pub(super) fn ensure_alive(&self) -> Result<()> {
        let mut crew = self.crew();
        crew.server.ensure_alive()?;
        crew.gateway.ensure_alive()?;
        crew.fleet.ensure_alive()
    }

    /// Waits until `is_so` answers true.
    pub(super) fn wait_until(
        &self,
        what: &str,
        limit: Duration,
        mut is_so: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !is_so()? {
            self.ensure_alive()?;
            if Instant::now() >= deadline {
                bail!(
                    "after {} s {what} still isn't so; the logs are in {}",
                    limit.as_secs(),
                    self.folder.path("logs").display()
                );
            }
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits until something that should run ends; Ctrl-C ends the whole process before.
    pub(super) fn wait_for_an_end(&self) -> Result<()> {
        loop {
            self.ensure_alive()?;
            sleep(Duration::from_millis(200));
        }
    }

    /// Where to look, and how to get in.
    pub(super) fn how_to_look(&self) -> String {
        format!(
            "{}\nSample program  http://127.0.0.1:{}/\nCommand line    {} --server {} --api-key {} device show {}\nLogs            {}",
            login(&self.api, &self.password),
            self.greeter,
            self.folder.program("otter").display(),
            self.api.address(),
            self.api.key(),
            Gateway::ID,
            self.folder.path("logs").display(),
        )
    }
}

/// What a release of the demo holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The sample program, and something for each of the simulated models.
    ForAll,
    /// The sample program alone, and it exits at its start.
    Broken,
}

fn start_server(folder: &Folder, port: u16, pace: Pace, password: &str) -> Result<Server> {
    let setup = Setup {
        port,
        check_in_sec: pace.check_in_sec,
        busy_check_in_sec: pace.check_in_sec,
    };
    Server::start(folder, setup, programs::key()?, Some((ADMIN, password)))
}

fn login(api: &Api, password: &str) -> String {
    format!(
        "Dashboard       {}\nLogin           {ADMIN}\nPassword        {password}",
        api.address()
    )
}
