//! `cargo xtask demo`: the main job with a real device and two hundred simulated ones, to look at or to verify.
//!
//! | file | what |
//! |---|---|
//! | `pace` | how fast it all goes |
//! | `stage` | everything that runs: server, gateway, simulated fleet, and who watches the sample program |
//! | `pulse` | asks the sample program all the time whether it answers |
//! | `rollout` | one rollout, created and followed to its end |
//! | `story` | release 1.1.0 reaches everybody, release 1.2.0 is taken back |
//! | `chaos` | server and agent are killed at random moments, again and again |
//! | `report` | what was to hold, and whether it did |

mod chaos;
mod pace;
mod pulse;
mod report;
mod rollout;
mod stage;
mod story;

use anyhow::{Result, ensure};
use clap::Args;

use crate::steps::Steps;
use crate::{build, process, programs};
use pace::Pace;
use report::Report;
use stage::Stage;

/// The dashboard's port where none is named.
const PORT: u16 = 8080;

/// Options of `cargo xtask demo`.
#[derive(Args)]
pub(crate) struct Options {
    /// Verifies what happens, reports it and ends: with status 0 where all of it is right.
    #[arg(long)]
    check: bool,
    /// Shortens intervals and waiting times.
    #[arg(long)]
    fast: bool,
    /// Port of the dashboard [default: 8080; with --check or --chaos a free one]
    #[arg(long)]
    port: Option<u16>,
    /// Takes the programs as they were built last.
    #[arg(long)]
    no_build: bool,
    /// Kills server and agent at random moments during so many rollouts, then verifies every device.
    #[arg(long, value_name = "ROLLOUTS", value_parser = clap::value_parser!(u32).range(1..=50))]
    chaos: Option<u32>,
    /// Repeats the random moments of a run that printed this number.
    #[arg(long, value_name = "NUMBER", requires = "chaos")]
    seed: Option<u64>,
}

impl Options {
    fn is_watched(&self) -> bool {
        !self.check && self.chaos.is_none()
    }

    fn port(&self) -> Result<u16> {
        match self.port {
            Some(port) => Ok(port),
            None if self.is_watched() => Ok(PORT),
            None => process::lasting_port(),
        }
    }

    fn folder(&self) -> &'static str {
        match (self.chaos, self.check) {
            (Some(_), _) => "demo-chaos",
            (None, true) => "demo-check",
            (None, false) => "demo",
        }
    }
}

/// Runs the demo.
pub(crate) fn run(options: &Options) -> Result<()> {
    let port = options.port()?;
    // Before the build: it takes minutes, and nobody wants to hear it afterwards.
    programs::ensure_free(port)?;
    let mut steps = Steps::new();
    if !options.no_build {
        build::everything(&mut steps, false)?;
    }
    let pace = Pace::new(options.fast || options.chaos.is_some());
    let stage = Stage::set(
        &mut steps,
        options.folder(),
        port,
        pace,
        options.is_watched(),
    )?;
    let mut report = Report::default();
    match options.chaos {
        Some(rollouts) => chaos::play(&stage, rollouts, options.seed, &mut report)?,
        None => story::play(&mut steps, &stage, &mut report)?,
    }
    println!("\n{}", report.text());
    if options.is_watched() {
        println!("\n{}\n\nCtrl-C stops everything.", stage.how_to_look());
        stage.wait_for_an_end()?;
    }
    drop(stage);
    ensure!(
        report.is_good(),
        "not everything was as it should be; see above"
    );
    Ok(())
}
