//! What on this device would keep an update from working, and how to mend it.
//!
//! Everything is looked at beside an agent that may be running: nothing is taken, started or changed, but for a small file that
//! is written to see whether one can be, and removed.

mod commands;
mod finding;
pub(crate) mod programs;
mod server;
pub(crate) mod storage;
mod trusted;

use std::sync::Arc;

use crate::clock;
use crate::config::Config;
use crate::disk::{Disk, RealDisk};
use crate::install;
use crate::journal::{Journal, Record};
use crate::net::links;
use crate::net::transport::Transport;

pub use finding::{Finding, Level, as_text, worst};

/// Looks at this device.
pub async fn examine(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let transport = links::configured(config, &disk)?;
    Ok(examine_with(config, disk, transport).await)
}

/// Looks at a device with this disk and this network.
pub async fn examine_with(
    config: &Config,
    disk: Arc<dyn Disk>,
    transport: Arc<dyn Transport>,
) -> Vec<Finding> {
    let mut findings = storage::state(disk.as_ref(), &config.state_dir);
    let (record, journal) = journal(disk.as_ref(), config);
    findings.extend(journal);
    let answer = server::ask(config, disk.clone(), transport).await;
    findings.push(server::clock(clock::now(), answer.date));
    findings.extend(answer.findings);
    let now = clock::trusted_now(record.trusted_time);
    findings.extend(trusted::examine(disk.as_ref(), config, now));
    let installer = match install::with(config, &disk, None) {
        Ok(installer) => installer,
        Err(error) => {
            let text = format!("{error:#}");
            let mend = "correct the installer's section of the configuration";
            findings.push(Finding::problem("installer", text, mend));
            None
        }
    };
    findings.extend(commands::examine(config, &record, installer.as_deref()));
    if let Some(installer) = installer {
        findings.extend(installer.examine());
    }
    findings
}

fn journal(disk: &dyn Disk, config: &Config) -> (Record, Option<Finding>) {
    let trouble = match Journal::look(disk, &config.state_dir) {
        Ok(Ok(record)) => return (record, None),
        Ok(Err(reason)) => format!("it makes no sense: {reason}"),
        Err(error) => error.to_string(),
    };
    let mend =
        "start the agent: it sets such a journal aside and begins a new one, or says why it can't";
    let finding = Finding::problem("journal", trouble, mend);
    (Record::default(), Some(finding))
}

#[cfg(test)]
mod tests;
