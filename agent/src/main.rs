//! `otter-agent`: the command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use otter_agent::agent::{Agent, Parts};
use otter_agent::config::Config;
use otter_agent::enroll::Enrollment;
use otter_agent::orders::{self, Desk, Order, Outcome};
use otter_agent::{doctor, logging, status};
use tokio::signal::unix::{SignalKind, signal};

/// How long what still writes may go on after the agent's end.
const LAST_MOMENTS: Duration = Duration::from_secs(1);

/// What the exit statuses of commands say that follow an attempt.
const EXITS: &str = "Exit status: 0 the new version runs and is healthy, or there is nothing to install; 1 it can't be done; \
    3 an operator has to accept this device first; 4 it did not stay: the device runs what it ran; 5 the device's own policy \
    holds it back, and the agent goes on with it by itself; 6 the device restarts, and the agent goes on with it then. Where an \
    agent runs already, it does the work.";

/// Otter's agent: keeps this device on the release that its server decides on and its publishers signed.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration.
    #[arg(
        long,
        global = true,
        default_value = "otter-agent.toml",
        env = "OTTER_AGENT_CONFIG"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Works until it is stopped by SIGTERM or Ctrl-C; then stops the service that it keeps running, too.
    Run,
    /// Checks in now, follows the decision to its end and exits; the service runs on. See `update` for exit statuses.
    Check,
    /// Checks in now, whatever the interval, and installs what the server offers, as far as this device's own policy lets it. A
    /// version that was taken back here by `rollback` may come again.
    #[command(after_help = EXITS)]
    Update,
    /// Takes the device back to its former version, which is kept beside the one that runs, and proves it healthy. What it is
    /// taken back from isn't installed again until another release comes, or `update` asks for it.
    #[command(after_help = EXITS)]
    Rollback {
        /// Why; the server is told.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Prints how the agent stands.
    Status {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints how the last attempts ended, oldest first.
    History {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Looks for what would keep an update from working, and says how to mend it; exits with 1 where something would.
    Doctor {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Asks the server to let the device take part; exits with 3 while an operator has to accept it.
    Enroll,
    /// Changes the device's key and token; the agent must not be running.
    Rotate,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = Config::load(&arguments.config)
        .map_err(anyhow::Error::from)
        .and_then(|config| start(arguments.command, config));
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn start(command: Command, config: Config) -> anyhow::Result<ExitCode> {
    match command {
        Command::Status { json } => return print_status(&config, json),
        Command::History { json } => return print_history(&config, json),
        Command::Doctor { .. } => {}
        Command::Run | Command::Enroll | Command::Rotate => logging::begin(),
        Command::Check | Command::Update | Command::Rollback { .. } => logging::begin(),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(work(command, config));
    runtime.shutdown_timeout(LAST_MOMENTS);
    outcome
}

async fn work(command: Command, config: Config) -> anyhow::Result<ExitCode> {
    if let Command::Doctor { json } = command {
        return examine(&config, json).await;
    }
    let order = match command {
        Command::Check => Order::Check,
        Command::Update => Order::Update,
        Command::Rollback { reason } => Order::RollBack { reason },
        Command::Run => return run(config).await,
        Command::Rotate => {
            open(config)?.rotate().await?;
            println!("the device has a new key and a new token");
            return Ok(ExitCode::SUCCESS);
        }
        _ => return enroll(&open(config)?).await,
    };
    let outcome = match orders::hand_over(&config.state_dir, &order, say).await? {
        Some(outcome) => outcome,
        None => carry_out(&open(config)?, order).await?,
    };
    if let Outcome::Refused(why) = &outcome {
        eprintln!("error: {why}");
    }
    Ok(ExitCode::from(outcome.exit_status()))
}

fn open(config: Config) -> anyhow::Result<Agent> {
    let parts = Parts::of_this_machine(&config)?;
    Agent::open(config, parts)
}

async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let state = config.state_dir.clone();
    let agent = open(config)?;
    let orders = async {
        match Desk::open(&state) {
            Ok(desk) => desk.serve(&agent).await,
            Err(error) => {
                tracing::warn!(
                    "`otter-agent update` and `rollback` won't reach this agent: {error}"
                );
                std::future::pending().await
            }
        }
    };
    tokio::select! {
        stopped = agent.run(stopped()?) => stopped?,
        () = orders => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Carries an order out where no agent runs that could.
async fn carry_out(agent: &Agent, order: Order) -> anyhow::Result<Outcome> {
    tokio::select! {
        outcome = agent.carry_out(order, say) => outcome,
        () = stopped()? => Ok(agent.interrupted()),
    }
}

fn say(text: &str) {
    println!("{text}");
}

async fn enroll(agent: &Agent) -> anyhow::Result<ExitCode> {
    match agent.try_enroll().await? {
        Enrollment::Enrolled => {
            println!("the device is enrolled");
            Ok(ExitCode::SUCCESS)
        }
        Enrollment::Pending { fingerprint, .. } => {
            println!(
                "an operator has to accept this device's key {fingerprint}; then enroll again"
            );
            Ok(ExitCode::from(3))
        }
    }
}

async fn examine(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let findings = doctor::examine(config).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        print!("{}", doctor::as_text(&findings));
    }
    Ok(match doctor::worst(&findings) {
        doctor::Level::Problem => ExitCode::FAILURE,
        doctor::Level::Ok | doctor::Level::Warning => ExitCode::SUCCESS,
    })
}

/// Returns a future that is over when the agent is told to stop.
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn print_status(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let report = status::report(config)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", status::as_text(&report));
    }
    Ok(ExitCode::SUCCESS)
}

fn print_history(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let attempts = status::history(config)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&attempts)?);
    } else {
        for ended in &attempts {
            println!("{}", status::one_line(ended));
        }
    }
    Ok(ExitCode::SUCCESS)
}
