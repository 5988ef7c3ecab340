//! How the agent stands, for people and scripts; reads what is on disk and disturbs nobody.

use std::fmt::Write;
use std::sync::Arc;

use otter_protocol::{AttemptId, DeviceId, Model, Timestamp, Version};
use serde::Serialize;

use crate::clock;
use crate::config::Config;
use crate::disk::{Disk, RealDisk};
use crate::history::{Ended, History};
use crate::identity::Identity;
use crate::journal::{Journal, Origin, Record, Step, TakenBack};
use crate::lock::StateLock;
use crate::net::links::{self, LinkStatus};
use crate::policy::{self, Circumstances, Counters, Held};

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
    /// What somebody at the device took it back from, which therefore isn't installed again.
    pub taken_back: Option<TakenBack>,
    /// The attempt under way.
    pub attempt: Option<UnderWay>,
    /// How links stand, where there are several to choose from.
    pub link: Option<LinkStatus>,
    /// Reports that wait for the network.
    pub waiting_reports: usize,
    /// Bytes that the agent wrote in its life: flash wears with them.
    pub written_bytes: u64,
    /// How the last attempt ended.
    pub last_attempt: Option<Ended>,
    /// Why the device's own policy would let no update begin now, unless that was required.
    pub waits_for: Vec<String>,
    /// What is counted.
    pub counters: Counters,
}

/// An attempt under way.
#[derive(Debug, Serialize)]
pub struct UnderWay {
    /// Its number; 0 where no server knows of it.
    pub id: AttemptId,
    /// Who wanted it.
    pub origin: Origin,
    /// The version that it installs.
    pub version: Version,
    /// Where it is.
    pub step: Step,
    /// Since when.
    pub started_at: Timestamp,
    /// Why the device's own policy holds it back, where it does.
    pub held: Option<Held>,
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
    let waits_for = waits_for(config, disk.as_ref(), &record);
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
        taken_back: record.taken_back,
        attempt: record.attempt.map(|attempt| UnderWay {
            id: attempt.offer.attempt,
            origin: attempt.origin,
            version: attempt.offer.version,
            step: attempt.step,
            started_at: attempt.started_at,
            held: attempt.held,
        }),
        link: links::status(config, disk.as_ref()),
        waiting_reports: record.outbox.len(),
        written_bytes: record.written_bytes,
        last_attempt: history(config)?.pop(),
        waits_for,
        counters: record.counters,
    })
}

fn waits_for(config: &Config, disk: &dyn Disk, record: &Record) -> Vec<String> {
    let circumstances = Circumstances::look(config, disk, record);
    let verdict = policy::judge(&config.policy, &circumstances, clock::now(), false);
    verdict.blockers().map(|outcome| outcome.words()).collect()
}

/// Reads how attempts ended, oldest first.
pub fn history(config: &Config) -> anyhow::Result<Vec<Ended>> {
    let most = config.policy.history_limit;
    Ok(History::new(Arc::new(RealDisk), &config.state_dir, most).load()?)
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
            let held = attempt.held.as_ref();
            let held = held.map(|held| format!(", {} (since {})", held.words, held.since));
            format!(
                "{} to {}, {} since {}{}",
                attempt.origin.name(attempt.id),
                attempt.version,
                attempt.step,
                attempt.started_at,
                held.unwrap_or_default()
            )
        });
    let last = report
        .last_attempt
        .as_ref()
        .map_or("none".to_owned(), one_line);
    let mut lines = vec![
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
        ("policy", policy_line(&report.waits_for)),
        ("boots", boots_line(&report.counters)),
        ("crashes", report.counters.crashes.to_string()),
    ];
    if let Some(taken_back) = &report.taken_back {
        let since = clock::to_second(taken_back.at);
        let words = format!(
            "{} since {since}; `otter-agent update` lets it come again",
            taken_back.version
        );
        lines.push(("taken back", words));
    }
    lines.extend(report.link.iter().flat_map(LinkStatus::lines));
    let mut text = String::new();
    for (name, value) in lines {
        // Writing to a string can't fail.
        writeln!(text, "{name:<17} {value}").ok();
    }
    text
}

fn policy_line(waits_for: &[String]) -> String {
    if waits_for.is_empty() {
        "an update may begin".to_owned()
    } else {
        format!("an update {}", waits_for.join("; "))
    }
}

fn boots_line(counters: &Counters) -> String {
    let boots = counters.boots;
    match counters.watchdog_resets {
        Some(resets) => format!("{boots}, {resets} of them after a reset by the watchdog"),
        None => boots.to_string(),
    }
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
        ended.origin.name(ended.offer.attempt),
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
