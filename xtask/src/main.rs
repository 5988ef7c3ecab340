//! `cargo xtask …`: everything a person types to build, test, show and measure Otter.

mod bench;
mod build;
mod css;
mod cuts;
mod demo;
mod dist;
mod fuzz;
mod http;
mod lock;
mod npm;
mod paths;
mod postgres;
mod process;
mod programs;
mod random;
mod rust;
mod sbom;
mod site;
mod steps;
mod test;
mod tools;
mod vm;
mod wasm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, tests, shows and measures Otter.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the dashboard and the programs into the target folder.
    Build(build::Options),
    /// Builds the programs as they are shipped, with their hashes and what each is made of (CycloneDX), into one folder.
    Dist(dist::Options),
    /// Installs what the tests need and runs all of them.
    Test(test::Options),
    /// Plays the main job on this machine: a release reaches a real device and two hundred simulated ones.
    Demo(demo::Options),
    /// Measures the server beside a bare handler.
    Bench(bench::Options),
    /// Cuts a simulated device's power at every disk operation of an update, and again at every one of its recovery.
    Cuts(cuts::Options),
    /// Feeds input that nobody would send to everything that reads what others send.
    Fuzz(fuzz::Options),
    /// Updates a virtual machine slot to slot, and cuts its power at random moments and at every flush.
    Vm(vm::Options),
}

fn main() -> ExitCode {
    let outcome =
        process::stop_children_on_interrupt().and_then(|()| match Arguments::parse().command {
            Command::Build(options) => build::run(&options),
            Command::Dist(options) => dist::run(&options),
            Command::Test(options) => test::run(&options),
            Command::Demo(options) => demo::run(&options),
            Command::Bench(options) => bench::run(&options),
            Command::Cuts(options) => cuts::run(&options),
            Command::Fuzz(options) => fuzz::run(&options),
            Command::Vm(options) => vm::run(&options),
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
