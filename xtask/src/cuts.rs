//! Cuts the power of a simulated device at every disk operation of an update, and again at every one of its recovery.

use anyhow::{Context as _, Result};

use crate::{process, rust};

/// What can be set.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Goes through the part that the tests go through, instead of all.
    #[arg(long)]
    part: bool,
}

/// Goes through every cut; the last line but cargo's own says `N states, 0 bad`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut command = rust::cargo();
    command
        .args(["test", "--profile", "cuts", "--package", "otter-agent"])
        .args(["--test", "cuts", "--", "--nocapture", "every_cut_ends_well"])
        .env("OTTER_CUTS", if options.part { "part" } else { "all" });
    process::run(&mut command).context("a cut device did not end as it should")
}
