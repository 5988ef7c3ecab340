//! `otter-server`: serves the fleet; beside that, what has to be done at the server's own machine.

mod backups;
mod people;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use otter_server::tls::Tls;
use otter_server::{Config, Settings, config, logs, serve};
use tokio_util::sync::CancellationToken;

/// A check-in is mostly small things that are made and thrown away: this allocator takes a tenth less time for all of it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Otter's server: device API, admin API and dashboard. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "otter-server", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// File with settings [default: otter.toml, where it is there]
    #[arg(long, env = "OTTER_CONFIG", global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves until it is told to stop
    Serve,
    /// Brings the database's schema up to date
    Migrate,
    /// Writes a back-up of a fleet on SQLite, while it is served or not
    Backup {
        /// A folder that is empty or isn't there
        folder: PathBuf,
    },
    /// Puts a back-up where a fleet on SQLite is to be, and checks it
    Restore {
        /// The folder that `backup` wrote
        folder: PathBuf,
    },
    /// People's accounts
    #[command(subcommand)]
    User(people::UserCommand),
    /// The settings
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Checks the settings and shows them, without secrets
    Check,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("otter-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let settings = cli.settings.with_file(cli.config.as_deref())?;
    let config = Config::new(settings)?;
    if let Some(Command::Config(ConfigCommand::Check)) = cli.command {
        if let Some(files) = &config.tls {
            Tls::load(files.clone())?;
        }
        print!("{}", config::describe(&config));
        return Ok(());
    }
    logs::begin(config.log.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(carry_out(cli.command, &config))
}

async fn carry_out(command: Option<Command>, config: &Config) -> anyhow::Result<()> {
    match command {
        Some(Command::Migrate) => {
            serve::open(config).await?;
            println!("The database's schema is up to date.");
            Ok(())
        }
        Some(Command::Backup { folder }) => backups::back_up(config, &folder).await,
        Some(Command::Restore { folder }) => backups::restore(config, &folder).await,
        Some(Command::User(command)) => people::carry_out(command, config).await,
        _ => {
            let stop = CancellationToken::new();
            tokio::spawn(serve::cancel_at_signal(stop.clone()));
            serve::serve(config, stop).await
        }
    }
}
