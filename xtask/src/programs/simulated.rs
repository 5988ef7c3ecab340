//! `otter simulate`: many devices that aren't there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Folder, Otter};
use crate::process::Background;

/// How long enrolling may take.
const ENROLL: Duration = Duration::from_secs(180);

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Orders<'a> {
    /// How many devices.
    pub(crate) devices: u32,
    /// How many of them fail every attempt.
    pub(crate) fail: u32,
    /// Their models, taken in turn.
    pub(crate) models: &'a [&'a str],
    /// Lets them in.
    pub(crate) token: &'a str,
    /// Time that each of installing, rebooting and verifying takes, as `otter` reads it.
    pub(crate) step: &'a str,
}

/// Simulated devices that run.
pub(crate) struct Fleet {
    process: Background,
    log: PathBuf,
    state: PathBuf,
    devices: u64,
}

impl Fleet {
    /// Starts the devices and waits until all are let in.
    pub(crate) fn start(folder: &Folder, otter: &Otter, orders: Orders<'_>) -> Result<Self> {
        let state = folder.make("simulated")?;
        let log = folder.log("simulated");
        let mut command = otter.command(&[
            "simulate",
            "--json",
            "--devices",
            &orders.devices.to_string(),
            "--fail",
            &orders.fail.to_string(),
            "--models",
            &orders.models.join(","),
            "--step",
            orders.step,
        ]);
        command
            .arg("--state")
            .arg(&state)
            .env("OTTER_ENROLLMENT_TOKEN", orders.token);
        let process = Background::start("otter simulate", &mut command, &log)?;
        let mut fleet = Self {
            process,
            log,
            state,
            devices: orders.devices.into(),
        };
        let (log, devices) = (fleet.log.clone(), fleet.devices);
        fleet
            .process
            .wait_until("enrolled every device", ENROLL, || {
                latest(&log).is_some_and(|summary| count(&summary, "states", "idle") == devices)
            })?;
        Ok(fleet)
    }

    /// How the devices stand by their own word; up to a second old.
    pub(crate) fn summary(&self) -> Result<Value> {
        latest(&self.log).context("the simulated devices have said nothing yet")
    }

    /// Attempts that succeeded by the devices' own count.
    pub(crate) fn succeeded(&self) -> Result<u64> {
        Ok(count(&self.summary()?, "attempts", "succeeded"))
    }

    /// What each device runs, by its own word.
    pub(crate) fn versions(&self) -> Result<BTreeMap<String, String>> {
        let versions = devices(&self.state)?
            .into_iter()
            .filter_map(|(id, record)| {
                let version = record.get("version")?.as_str()?.to_owned();
                Some((id, version))
            });
        Ok(versions.collect())
    }

    /// Fails with its last words where it has ended.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        self.process.ensure_alive()
    }
}

/// The tokens of the devices that were simulated in a folder, by id.
pub(crate) fn tokens(folder: &Folder) -> Result<Vec<String>> {
    let tokens = devices(&folder.path("simulated"))?.into_values();
    let tokens = tokens.filter_map(|record| Some(record.get("token")?.as_str()?.to_owned()));
    Ok(tokens.collect())
}

/// What the devices of a simulation's folder remember, by id.
fn devices(state: &Path) -> Result<BTreeMap<String, Value>> {
    let path = state.join("devices.jsonl");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(records(&text))
}

/// The last line of a device counts; one that is being written is passed over.
fn records(text: &str) -> BTreeMap<String, Value> {
    let records = text.lines().filter_map(|line| {
        let record: Value = serde_json::from_str(line).ok()?;
        Some((record.get("id")?.as_str()?.to_owned(), record))
    });
    records.collect()
}

/// The newest state in a simulation's output.
fn latest(log: &Path) -> Option<Value> {
    summary_in(&fs::read_to_string(log).ok()?)
}

fn summary_in(text: &str) -> Option<Value> {
    text.lines().rev().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.get("summary").or_else(|| line.get("status")).cloned()
    })
}

/// A count in a summary; what isn't there is none.
fn count(summary: &Value, of: &str, what: &str) -> u64 {
    let counted = summary.get(of).and_then(|counts| counts.get(what));
    counted.and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_line_counts() {
        let text = "noise\n{\"status\":{\"states\":{\"idle\":1}}}\n{\"status\":{\"states\":{\"idle\":2}}}\n{\"stat";
        let summary = summary_in(text).unwrap();
        assert_eq!(count(&summary, "states", "idle"), 2);
        assert_eq!(count(&summary, "attempts", "succeeded"), 0);
        assert_eq!(summary_in("{}"), None);
    }

    #[test]
    fn a_devices_last_whole_line_counts() {
        let text = "{\"id\":\"a\",\"version\":\"1\"}\n{\"id\":\"a\",\"version\":\"2\"}\n{\"id\":\"a\",\"ver";
        let records = records(text);
        assert_eq!(records["a"]["version"], "2");
    }
}
