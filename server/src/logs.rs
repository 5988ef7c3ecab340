//! Logs: readable on a terminal, JSON otherwise.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// What is logged unless told otherwise. Steps of a migration and sessions that have ended are no news.
const USUAL: &str = "info,sea_orm_migration=warn,tower_sessions_core=error";

/// Begins to log to standard error; `filter` as `tracing` writes them.
pub fn begin(filter: Option<&str>) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter.unwrap_or(USUAL)).map_err(|error| {
        anyhow::anyhow!("OTTER_LOG: {error}; write for example info, or warn,otter_server=debug")
    })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let begun = if std::io::stderr().is_terminal() {
        logs.try_init()
    } else {
        logs.json().flatten_event(true).with_ansi(false).try_init()
    };
    begun.map_err(|error| anyhow::anyhow!("cannot begin to log: {error}"))
}
