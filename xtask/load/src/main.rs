//! Load for `cargo xtask bench`, and the bare handler that it is measured against.
//!
//! The generator costs as little as it can, since it shares the machine with what it measures: each connection is kept alive,
//! its requests are bytes that were put together before, and of an answer it reads no more than where it ends.

mod answer;
mod bare;
mod requests;
mod run;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answers every check-in with 204 and does nothing else.
    Bare {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Checks in for the devices of a simulation's folder, as often as the server can answer.
    CheckIns {
        #[command(flatten)]
        load: Load,
    },
    /// Downloads an artifact again and again.
    Download {
        #[command(flatten)]
        load: Load,
        /// The artifact's SHA-256.
        #[arg(long)]
        sha256: String,
    },
}

/// Whom to load, and how.
#[derive(clap::Args)]
struct Load {
    /// Where the server listens.
    #[arg(long)]
    server: SocketAddr,
    /// The folder that `otter simulate --state` wrote.
    #[arg(long)]
    devices: PathBuf,
    /// Connections at once.
    #[arg(long)]
    connections: usize,
    /// Seconds to measure, after half a second to warm up.
    #[arg(long)]
    seconds: f64,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Bare { listen } => bare::serve(listen),
        Command::CheckIns { load } => {
            let requests = requests::check_ins(&load.devices, load.server)?;
            report(&load, requests)
        }
        Command::Download { load, sha256 } => {
            let requests = requests::downloads(&load.devices, load.server, &sha256)?;
            report(&load, requests)
        }
    }
}

/// Measures, and prints the result as JSON.
fn report(load: &Load, requests: Vec<Vec<u8>>) -> anyhow::Result<()> {
    let seconds = Duration::try_from_secs_f64(load.seconds)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(run::measure(
        load.server,
        requests,
        load.connections,
        seconds,
    ))?;
    println!("{}", result.to_json());
    Ok(())
}
