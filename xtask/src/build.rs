//! `cargo xtask build`: the site, then the programs with the site inside.

use std::fs;

use anyhow::Result;
use clap::Args;

use crate::lock::SiteLock;
use crate::steps::Steps;
use crate::{paths, process, rust, site};

/// Options of `cargo xtask build`.
#[derive(Args)]
pub(crate) struct Options {
    /// Optimises: smaller and faster programs, a slower build.
    #[arg(long)]
    release: bool,
}

/// Builds everything and says where it is.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut steps = Steps::new();
    everything(&mut steps, options.release)?;
    eprintln!("\n{}\n", steps.table());
    let folder = paths::binaries(options.release);
    for program in ["otter-server", "otter-agent", "otter"] {
        println!("{}", folder.join(program).canonicalize()?.display());
    }
    Ok(())
}

/// Builds the site and the programs: `otter-server`, `otter-agent`, `otter` and the sample program `greeter`.
pub(crate) fn everything(steps: &mut Steps, release: bool) -> Result<()> {
    let lock = SiteLock::take()?;
    site::build(steps, &lock, release)?;
    steps.run("programs", || programs(release))
}

/// Builds the programs with the site as it is.
fn programs(release: bool) -> Result<()> {
    let mut packages = vec!["otter-server", "otter-cli", "otter-example-greeter"];
    if release {
        agent()?;
    } else {
        packages.push("otter-agent");
    }
    let mut command = rust::cargo();
    command.args(["build", "--bins"]);
    for package in packages {
        command.args(["--package", package]);
    }
    if release {
        command.arg("--release");
    }
    process::run(&mut command)
}

/// Builds the agent as devices get it, with nothing that only the others need, and puts it beside them.
pub(crate) fn agent() -> Result<()> {
    const PROFILE: &str = "device";
    const NAME: &str = "otter-agent";
    let mut command = rust::cargo();
    process::run(command.args(["build", "--bins", "--package", NAME, "--profile", PROFILE]))?;
    let (from, into) = (paths::target().join(PROFILE), paths::binaries(true));
    fs::create_dir_all(&into)?;
    // Whole or not at all: it may be running.
    let new = into.join("otter-agent.new");
    fs::copy(from.join(NAME), &new)?;
    Ok(fs::rename(new, into.join(NAME))?)
}
