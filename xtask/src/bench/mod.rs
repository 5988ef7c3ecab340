//! `cargo xtask bench`: what the server does in a second, beside a bare handler on the same machine in the same run; and what
//! takes how long in a large fleet; and what the agent needs of a device.

mod agent;
mod figures;
mod large;
mod load;

use anyhow::{Result, ensure};
use clap::Args;

use crate::programs::{self, Fleet, Folder, Orders, Otter, Server, Setup};
use crate::steps::Steps;
use crate::{build, postgres, process};
use figures::{Figures, median};
use large::Database;
use load::{Bare, Load};

/// The least part of the bare handler's check-ins that the server must reach.
const LEAST_SHARE: f64 = 0.6;
/// How often both are measured, in turn: what else the machine does then hits both.
const ROUNDS: u32 = 5;
/// Enrolled devices.
const DEVICES: u32 = 1000;
/// Connections that check in.
const CONNECTIONS: u32 = 64;
/// Connections that download.
const DOWNLOADS: u32 = 4;
/// Length of the artifact, in MiB.
const ARTIFACT_MIB: usize = 256;
/// The devices' model.
const MODEL: &str = "bench";

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// Prints every figure as one flat JSON object, and nothing else, on standard output.
    #[arg(long)]
    json: bool,
    /// Takes the programs as they were built last.
    #[arg(long)]
    no_build: bool,
    /// Seconds of each of the measurements.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Measures a fleet of so many devices, too, on SQLite and on PostgreSQL.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1000..=10_000_000))]
    devices: Option<u32>,
}

/// Measures, prints the figures and fails where the server is too slow.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut steps = Steps::new();
    if !options.no_build {
        build::everything(&mut steps, true)?;
        steps.run("load", load::build)?;
    }
    load::ensure_built()?;
    let folder = Folder::fresh("bench")?;
    folder.take_programs(true)?;
    let mut figures = measure(&mut steps, &folder, options.seconds)?;
    if let Some(devices) = options.devices {
        for database in databases() {
            figures
                .large
                .extend(large::measure(&mut steps, devices, database)?);
        }
    }
    if options.json {
        println!("{}", figures.to_json());
    } else {
        println!("\n{}", figures.text());
    }
    let breaches = figures.breaches(LEAST_SHARE);
    ensure!(breaches.is_empty(), "{}", breaches.join("\n"));
    Ok(())
}

/// The databases that a large fleet is measured on.
fn databases() -> Vec<Database> {
    let mut databases = vec![Database::Sqlite];
    if postgres::binaries().is_some() {
        databases.push(Database::Postgres);
    } else {
        eprintln!(
            "PostgreSQL is not installed, and its figures are left out: `apt-get install postgresql`"
        );
    }
    databases
}

fn measure(steps: &mut Steps, folder: &Folder, seconds: u32) -> Result<Figures> {
    let setup = Setup {
        port: process::free_port()?,
        check_in_sec: 3600,
        busy_check_in_sec: 3600,
    };
    let server = Server::start(folder, setup, programs::key()?, None)?;
    let otter = Otter::new(folder, server.api())?;
    let sha256 = steps.run("devices and an artifact", || prepare(folder, &otter))?;
    let bare = Bare::start(folder)?;
    let load = Load::new(folder, seconds);
    let (mut idle, mut plain) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        steps.run(&format!("round {round} of {ROUNDS}"), || {
            plain.push(load.check_ins(bare.port(), CONNECTIONS)?);
            idle.push(load.check_ins(server.api().port(), CONNECTIONS)?);
            Ok(())
        })?;
    }
    let artifact_mib_per_s = steps.run("artifact", || {
        load.download(server.api().port(), DOWNLOADS, &sha256)
    })?;
    let agent = steps.run("agent", || {
        agent::measure(folder, &otter, &server.api().address())
    })?;
    Ok(Figures {
        bare_handler_per_s: median(&mut plain),
        idle_check_ins_per_s: median(&mut idle),
        artifact_mib_per_s,
        agent,
        large: Vec::new(),
    })
}

/// Enrolls the devices, publishes an artifact and returns its SHA-256.
fn prepare(folder: &Folder, otter: &Otter) -> Result<String> {
    otter.init_trust()?;
    let token = otter.enrollment_token("the benchmark's devices")?;
    let orders = Orders {
        devices: DEVICES,
        fail: 0,
        models: &[MODEL],
        token: &token,
        step: "0s",
    };
    // They are only enrolled: their tokens then check in by other hands.
    drop(Fleet::start(folder, otter, orders)?);
    let file = folder.path("artifact");
    load::write_noise(&file, ARTIFACT_MIB)?;
    let release = otter.publish("2.0.0", "", "image", &[(MODEL, &file)])?;
    let sha256 = release.pointer("/artifacts/0/sha256");
    let sha256 = sha256.and_then(serde_json::Value::as_str);
    sha256
        .map(str::to_owned)
        .ok_or_else(|| anyhow::anyhow!("the release has no artifact"))
}
