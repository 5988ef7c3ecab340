//! `otter device`: lists devices, explains what holds them back, lets them in and out.

mod explain;
mod import;
mod keys;
mod log;

use clap::{Args, Subcommand};
use otter_protocol::admin::{
    AttemptSummary, DeviceDetail, DeviceFilter, DevicePatch, DeviceSummary, Page, WithReason,
};
use otter_protocol::clock_off::clock_off_words;
use otter_protocol::device::{DeviceState, Pairs};
use otter_protocol::{DeviceId, GroupName, Model, RolloutId, Version};

use explain::explain;
use import::Import;
use log::Log;

use crate::api::Client;
use crate::output::Table;
use crate::text::{ago, now};
use crate::{Context, Failure, Output};

/// Lists devices, explains what holds them back, lets them in and out.
#[derive(Debug, Subcommand)]
pub enum Device {
    /// Lists devices.
    List(List),
    /// Shows a device and its attempts.
    Show {
        /// Its id.
        id: DeviceId,
    },
    /// Says, rule by rule, why a device updates or doesn't.
    Explain {
        /// Its id.
        id: DeviceId,
    },
    /// Prints what a device did in an attempt, in its own words.
    Log(Log),
    /// Registers devices from a file, before they enroll.
    Import(Import),
    /// Lists the keys that wait for an operator: of new devices, and those that came under a known device's name.
    Waiting,
    /// Accepts keys that wait; compare their fingerprints first.
    Accept(keys::Decide),
    /// Turns keys away that wait: a held one is forgotten, a pending device is revoked.
    Reject(keys::Decide),
    /// Takes a device's token and key back.
    Revoke(Step),
    /// Ends a device's part for good; its story stays.
    Decommission(Step),
    /// Holds a device: no update begins on it.
    Hold {
        /// Its id.
        id: DeviceId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Lets a held device go.
    Release {
        /// Its id.
        id: DeviceId,
    },
    /// Changes a device's labels: `location=warehouse` sets one, `location-` takes it away.
    Label {
        /// Its id.
        id: DeviceId,
        /// Labels to set and take away.
        #[arg(required = true, value_name = "KEY=VALUE|KEY-", value_parser = label_change)]
        changes: Vec<LabelChange>,
    },
}

/// Which device, and why.
#[derive(Debug, Args)]
pub struct Step {
    /// Its id.
    id: DeviceId,
    /// Why, for the audit log.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// Which devices to list; whatever is given must hold.
#[derive(Debug, Args)]
pub struct List {
    /// Part of the id.
    #[arg(long)]
    search: Option<String>,
    /// The model.
    #[arg(long)]
    model: Option<Model>,
    /// What it runs.
    #[arg(long)]
    version: Option<Version>,
    /// Whether it takes part: pending, accepted, revoked or decommissioned.
    #[arg(long, value_parser = device_state)]
    state: Option<DeviceState>,
    /// The group that it was put in by hand.
    #[arg(long)]
    group: Option<GroupName>,
    /// Most devices; 0 for all.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

/// A change to one label: its key, and its value unless it goes.
pub type LabelChange = (String, Option<String>);

impl Device {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let output = context.output;
        match self {
            Self::List(list) => list.run(output, &client).await,
            Self::Show { id } => {
                let detail = detail(&client, &id).await?;
                output.value(&detail, |output| show(output, &detail))
            }
            Self::Explain { id } => {
                let detail = detail(&client, &id).await?;
                output.value(&detail.decision, |output| explain(output, &detail))
            }
            Self::Log(log) => log.run(output, &client).await,
            Self::Import(import) => import.run(output, &client).await,
            Self::Waiting => keys::list(output, &client).await,
            Self::Accept(decide) => decide.run(output, &client, "accept").await,
            Self::Reject(decide) => decide.run(output, &client, "reject").await,
            Self::Revoke(step) => step.run(output, &client, "revoke").await,
            Self::Decommission(step) => step.run(output, &client, "decommission").await,
            Self::Hold { id, reason } => {
                if reason.trim().is_empty() {
                    return Err(Failure::Usage("say why with --reason".to_owned()));
                }
                hold(output, &client, &id, reason).await
            }
            Self::Release { id } => hold(output, &client, &id, String::new()).await,
            Self::Label { id, changes } => label(output, &client, &id, changes).await,
        }
    }
}

impl List {
    async fn run(self, output: Output, client: &Client) -> Result<(), Failure> {
        let most = if self.limit == 0 {
            usize::MAX
        } else {
            self.limit
        };
        let mut filter = DeviceFilter {
            search: self.search,
            model: self.model,
            version: self.version,
            state: self.state,
            group: self.group,
            cursor: None,
            limit: u32::try_from(most.min(500)).ok(),
        };
        let mut devices: Vec<DeviceSummary> = Vec::new();
        loop {
            let page: Page<DeviceSummary> = client.get_with(&["devices"], &filter).await?;
            devices.extend(page.items);
            filter.cursor = page.next;
            if filter.cursor.is_none() || devices.len() >= most {
                break;
            }
        }
        let is_cut = devices.len() > most || filter.cursor.is_some();
        devices.truncate(most);
        output.value(&devices, |output| table(output, &devices))?;
        if is_cut {
            output.note(format!("There are more than {most}: --limit 0 lists all."));
        }
        Ok(())
    }
}

impl Step {
    async fn run(self, output: Output, client: &Client, verb: &str) -> Result<(), Failure> {
        let body = WithReason {
            reason: self.reason,
        };
        let device: DeviceSummary = client
            .post(&["devices", self.id.as_str(), verb], &body)
            .await?;
        output.value(&device, |output| {
            output.line(format!("{} is {}.", device.id, device.state.as_str()))
        })
    }
}

async fn detail(client: &Client, id: &DeviceId) -> Result<DeviceDetail, Failure> {
    client.get(&["devices", id.as_str()]).await
}

async fn patch(
    client: &Client,
    id: &DeviceId,
    patch: &DevicePatch,
) -> Result<DeviceSummary, Failure> {
    client.patch(&["devices", id.as_str()], patch).await
}

/// Holds a device for a reason, or lets it go without one.
async fn hold(
    output: Output,
    client: &Client,
    id: &DeviceId,
    reason: String,
) -> Result<(), Failure> {
    let change = DevicePatch {
        hold: Some(reason),
        ..DevicePatch::default()
    };
    let device = patch(client, id, &change).await?;
    output.value(&device, |output| match &device.hold {
        Some(reason) => output.line(format!("{id} is held: {reason}")),
        None => output.line(format!("{id} is not held any more.")),
    })
}

async fn label(
    output: Output,
    client: &Client,
    id: &DeviceId,
    changes: Vec<LabelChange>,
) -> Result<(), Failure> {
    let mut labels = detail(client, id).await?.summary.labels;
    for (key, value) in changes {
        match value {
            Some(value) => drop(labels.insert(key, value)),
            None => drop(labels.remove(&key)),
        }
    }
    let change = DevicePatch {
        labels: Some(labels),
        ..DevicePatch::default()
    };
    let device = patch(client, id, &change).await?;
    output.value(&device, |output| {
        output.line(format!("{id}: {}", pairs_text(&device.labels)))
    })
}

fn table(output: Output, devices: &[DeviceSummary]) -> Result<(), Failure> {
    let mut table = Table::new([
        "id", "model", "version", "state", "group", "seen", "attempt",
    ]);
    for device in devices {
        let state = match &device.hold {
            Some(reason) => format!("held: {reason}"),
            None => device.state.as_str().to_owned(),
        };
        let group = device.group.as_ref();
        let attempt = device.attempt.as_ref();
        table.row([
            device.id.to_string(),
            device.model.to_string(),
            device.version.to_string(),
            state,
            group.map_or_else(String::new, ToString::to_string),
            device
                .last_seen_at
                .map_or("never".to_owned(), |at| ago(at, now())),
            attempt.map_or_else(String::new, attempt_text),
        ]);
    }
    output.table(table, "No devices.")
}

fn show(output: Output, detail: &DeviceDetail) -> Result<(), Failure> {
    let device = &detail.summary;
    output.line(format!("device       {}", device.id))?;
    output.line(format!("model        {}", device.model))?;
    output.line(format!("version      {}", device.version))?;
    output.line(format!("state        {}", device.state.as_str()))?;
    if let Some(fingerprint) = &detail.fingerprint {
        output.line(format!("fingerprint  {fingerprint}"))?;
    }
    if let Some(held) = &detail.held_key {
        let (key, since) = (held.fingerprint, ago(held.at, now()));
        output.line(format!("other key    {key} waits; it came {since}"))?;
    }
    if let Some(reason) = &device.hold {
        output.line(format!("held         {reason}"))?;
    }
    if let Some(group) = &device.group {
        output.line(format!("group        {group}"))?;
    }
    output.line(format!("labels       {}", pairs_text(&device.labels)))?;
    output.line(format!("metadata     {}", pairs_text(&detail.metadata)))?;
    if let Some(at) = device.last_seen_at {
        output.line(format!("last seen    {} ({at})", ago(at, now())))?;
    }
    if let Some(off) = detail.clock_off_sec {
        output.line(format!("clock        {}", clock_off_words(off)))?;
    }
    let mut table = Table::new([
        "attempt", "rollout", "from", "to", "state", "when", "message",
    ]);
    for attempt in detail.attempts.iter().map(|attempt| &attempt.summary) {
        table.row([
            attempt.id.to_string(),
            rollout_name(detail, attempt.rollout),
            attempt.from_version.to_string(),
            attempt.version.to_string(),
            attempt.state.to_string(),
            ago(attempt.updated_at, now()),
            attempt.message.clone().unwrap_or_default(),
        ]);
    }
    output.table(table, "No attempts yet.")
}

fn rollout_name(detail: &DeviceDetail, id: RolloutId) -> String {
    let name = detail.rollout_names.get(&id);
    name.cloned().unwrap_or_else(|| id.to_string())
}

fn attempt_text(attempt: &AttemptSummary) -> String {
    let AttemptSummary {
        version,
        state,
        progress,
        ..
    } = attempt;
    match progress {
        Some(progress) if !state.is_finished() => format!("{version} {state} {progress} %"),
        _ => format!("{version} {state}"),
    }
}

fn pairs_text(pairs: &Pairs) -> String {
    if pairs.is_empty() {
        return "none".to_owned();
    }
    let pairs = pairs.iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(", ")
}

fn device_state(text: &str) -> Result<DeviceState, String> {
    DeviceState::named(text).ok_or_else(|| {
        format!("`{text}` is no state: pending, accepted, revoked or decommissioned")
    })
}

/// Reads `key=value`, or `key-` to take a label away.
fn label_change(text: &str) -> Result<LabelChange, String> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key.trim(), Some(value.trim().to_owned())),
        None => (text.strip_suffix('-').unwrap_or("").trim(), None),
    };
    if key.is_empty() {
        return Err(format!(
            "`{text}` is no label; write location=warehouse, or location- to take it away"
        ));
    }
    Ok((key.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_set_and_taken_away() {
        let set = |key: &str, value: &str| Ok((key.to_owned(), Some(value.to_owned())));
        assert_eq!(label_change("location=hall-2"), set("location", "hall-2"));
        assert_eq!(label_change("note=a=b"), set("note", "a=b"));
        assert_eq!(label_change("location-"), Ok(("location".to_owned(), None)));
        for bad in ["", "location", "=x", "-"] {
            assert!(label_change(bad).is_err(), "{bad}");
        }
    }
}
