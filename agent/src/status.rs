//! How the agent stands, for people and scripts; reads what is on disk and disturbs nobody.

use std::fmt::Write;
use std::sync::Arc;

use otter_protocol::{AttemptId, DeviceId, Model, Timestamp, Version};
use serde::Serialize;

use crate::config::Config;
use crate::disk::RealDisk;
use crate::history::{Ended, History};
use crate::identity::Identity;
use crate::journal::{Journal, Step};
use crate::lock::StateLock;

/// How the agent stands.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The device's own name.
    pub device_id: DeviceId,
    /// What hardware it is.
    pub model: Model,
    /// The server's address.
    pub server: String,
    /// The process of the agent that works here, where one does.
    pub agent_pid: Option<String>,
    /// Whether the device has a token.
    pub is_enrolled: bool,
    /// What runs.
    pub version: Option<Version>,
    /// Its place in the publishers' count.
    pub release_counter: Option<u64>,
    /// What ran before it.
    pub previous_version: Option<Version>,
    /// The attempt under way.
    pub attempt: Option<UnderWay>,
    /// Reports that wait for the network.
    pub waiting_reports: usize,
    /// Bytes that the agent wrote in its life: flash wears with them.
    pub written_bytes: u64,
    /// How the last attempt ended.
    pub last_attempt: Option<Ended>,
}

/// An attempt under way.
#[derive(Debug, Serialize)]
pub struct UnderWay {
    /// Its number.
    pub id: AttemptId,
    /// The version that it installs.
    pub version: Version,
    /// Where it is.
    pub step: Step,
    /// Since when.
    pub started_at: Timestamp,
}

/// Reads how the agent of a configuration stands.
pub fn report(config: &Config) -> anyhow::Result<Report> {
    let disk = Arc::new(RealDisk);
    let folder = &config.state_dir;
    let record = Journal::look(disk.as_ref(), folder)?.map_err(|reason| {
        anyhow::anyhow!(
            "the journal in {} can't be used: {reason}",
            folder.display()
        )
    })?;
    let installed = record.installed.as_ref();
    Ok(Report {
        device_id: config.device_id.clone(),
        model: config.model.clone(),
        server: config.server.to_string(),
        agent_pid: StateLock::holder(folder),
        is_enrolled: Identity::new(disk.clone(), folder).token()?.is_some(),
        version: installed.map(|installed| installed.version.clone()),
        release_counter: installed.map(|installed| installed.release_counter),
        previous_version: record.previous.map(|previous| previous.version),
        attempt: record.attempt.map(|attempt| UnderWay {
            id: attempt.offer.attempt,
            version: attempt.offer.version,
            step: attempt.step,
            started_at: attempt.started_at,
        }),
        waiting_reports: record.outbox.len(),
        written_bytes: record.written_bytes,
        last_attempt: history(config)?.pop(),
    })
}

/// Reads how attempts ended, oldest first.
pub fn history(config: &Config) -> anyhow::Result<Vec<Ended>> {
    Ok(History::new(Arc::new(RealDisk), &config.state_dir).load()?)
}

/// Writes the report as a person reads it.
pub fn as_text(report: &Report) -> String {
    let version = |version: &Option<Version>| {
        version
            .as_ref()
            .map_or("none".to_owned(), Version::to_string)
    };
    let attempt = report
        .attempt
        .as_ref()
        .map_or("none".to_owned(), |attempt| {
            format!(
                "{} to {}, {} since {}",
                attempt.id, attempt.version, attempt.step, attempt.started_at
            )
        });
    let last = report
        .last_attempt
        .as_ref()
        .map_or("none".to_owned(), one_line);
    let lines = [
        ("device", format!("{} ({})", report.device_id, report.model)),
        ("server", report.server.clone()),
        (
            "agent",
            report
                .agent_pid
                .as_ref()
                .map_or("not running".to_owned(), |pid| format!("process {pid}")),
        ),
        (
            "enrolled",
            if report.is_enrolled { "yes" } else { "no" }.to_owned(),
        ),
        ("version", version(&report.version)),
        ("previous version", version(&report.previous_version)),
        ("attempt", attempt),
        ("last attempt", last),
        ("waiting reports", report.waiting_reports.to_string()),
        ("written", mebibytes(report.written_bytes)),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        // Writing to a string can't fail.
        writeln!(text, "{name:<17} {value}").ok();
    }
    text
}

/// Writes an ended attempt in a line.
pub fn one_line(ended: &Ended) -> String {
    let from = ended
        .from
        .as_ref()
        .map(Version::as_str)
        .filter(|from| !from.is_empty());
    let message = ended.message.as_ref().map(|message| format!(": {message}"));
    let written = ended.written_bytes.map(mebibytes);
    format!(
        "{} {} from {} to {}, {}{}{}",
        ended.ended_at,
        ended.offer.attempt,
        from.unwrap_or("nothing"),
        ended.offer.version,
        ended.outcome,
        written
            .map(|written| format!(", {written} written"))
            .unwrap_or_default(),
        message.unwrap_or_default()
    )
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20))
}
