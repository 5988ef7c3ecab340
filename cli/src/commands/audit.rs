//! `otter audit`: reads, exports and verifies the audit log.

mod kept;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use otter_protocol::admin::{AuditEvent, AuditExport, AuditFilter, ChainCheck, ExportFilter, Page};
use otter_protocol::audit_chain::{ExportLine, Link};
use serde_json::json;

use kept::{Kept, tampered};

use crate::api::Client;
use crate::output::Table;
use crate::{Context, Failure};

/// Reads, exports and verifies the audit log.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Lists who did what, the newest first.
    List(List),
    /// Writes the whole log and its signed heads into a file, to be kept away from the server.
    Export {
        /// The file, a line of JSON each; one that is there is replaced once the new one is whole.
        file: PathBuf,
    },
    /// Checks that no event was changed, taken out or cut off: in the database, in an export, or in both against each other.
    Verify(Verify),
}

/// What to verify.
#[derive(Debug, Args)]
pub struct Verify {
    /// An export that was made before.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Signed heads that were kept: the server's file, or a log of syslog's.
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    /// The key that heads must be signed by, 64 hex digits: the `audit.key` event has it.
    #[arg(long, value_name = "HEX")]
    key: Option<String>,
    /// Only files: no server is asked.
    #[arg(long, requires = "export")]
    offline: bool,
}

/// Which events to list.
#[derive(Debug, Args)]
pub struct List {
    /// Who: `user:…`, `key:…`, `device:…` or `engine`.
    #[arg(long)]
    actor: Option<String>,
    /// What, such as `rollout.pause`; `rollout.*` takes all that begin so.
    #[arg(long)]
    action: Option<String>,
    /// To what kind of thing.
    #[arg(long)]
    subject_kind: Option<String>,
    /// To which.
    #[arg(long)]
    subject: Option<String>,
    /// Where to begin: what the page before ended with.
    #[arg(long)]
    cursor: Option<String>,
    /// Most events, 1 to 500.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

impl Audit {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let verify = match self {
            Self::Verify(verify) if verify.offline => return verify.run(context, None).await,
            other => other,
        };
        let client = context.client()?;
        match verify {
            Self::List(list) => {
                let filter = AuditFilter {
                    actor: list.actor,
                    action: list.action,
                    subject_kind: list.subject_kind,
                    subject: list.subject,
                    cursor: list.cursor,
                    limit: Some(list.limit),
                    ..AuditFilter::default()
                };
                show(context, &client.get_with(&["audit"], &filter).await?)
            }
            Self::Export { file } => export(context, &client, &file).await,
            Self::Verify(verify) => verify.run(context, Some(&client)).await,
        }
    }
}

impl Verify {
    /// Checks files first, then the server's log, then that what files vouch for is there.
    async fn run(self, context: &Context, client: Option<&Client>) -> Result<(), Failure> {
        let mut kept = match &self.export {
            Some(path) => Kept::export(path)?,
            None => Kept::default(),
        };
        if let Some(path) = &self.heads {
            kept.add_heads(path)?;
        }
        if let Some(key) = &self.key {
            kept.check_key(&key.to_lowercase())?;
        }
        let Some(client) = client else {
            kept.check_end()?;
            return verified(context, &kept.found());
        };
        let check: ChainCheck = client.post(&["audit", "verify"], &json!({})).await?;
        if check.broken_at.is_none() {
            compare(client, &kept, check.begins_after).await?;
        }
        verified(context, &check)
    }
}

/// Fails where the server's log hasn't what the files vouch for.
async fn compare(client: &Client, kept: &Kept, begins_after: i64) -> Result<(), Failure> {
    for link in kept.vouched().filter(|link| link.sequence >= begins_after) {
        let filter = ExportFilter {
            after: link.sequence - 1,
        };
        let part: AuditExport = client.get_with(&["audit", "export"], &filter).await?;
        let at = |sequence| {
            let event = part.events.iter().map(|event| event.link);
            event
                .chain([part.base])
                .find(|one: &Link| one.sequence == sequence)
        };
        if at(link.sequence) != Some(link) {
            return Err(tampered(link.sequence));
        }
    }
    Ok(())
}

/// Writes the log beside the file, and puts it in its place when it is whole.
async fn export(context: &Context, client: &Client, path: &Path) -> Result<(), Failure> {
    let unwritable = |error: std::io::Error| {
        Failure::Refused(format!("cannot write {}: {error}", path.display()))
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut file = BufWriter::new(File::create(&beside).map_err(unwritable)?);
    let mut write = |line: &ExportLine| {
        let text = serde_json::to_string(line).map_err(std::io::Error::other);
        text.and_then(|text| writeln!(file, "{text}"))
            .map_err(unwritable)
    };
    let mut last: Option<Link> = None;
    loop {
        let filter = ExportFilter {
            after: last.map_or(0, |link| link.sequence),
        };
        let part: AuditExport = client.get_with(&["audit", "export"], &filter).await?;
        let mut previous = match last {
            Some(link) => link,
            None => {
                write(&ExportLine::Base(part.base))?;
                part.base
            }
        };
        for event in part.events {
            if !event.continues(previous) {
                return Err(tampered(previous.sequence + 1));
            }
            previous = event.link;
            write(&ExportLine::Event(event))?;
        }
        last = Some(previous);
        if part.is_last {
            let heads = part
                .heads
                .into_iter()
                .filter(|head| head.link.sequence <= previous.sequence);
            heads
                .map(ExportLine::Head)
                .try_for_each(|head| write(&head))?;
            break;
        }
    }
    let written = file
        .into_inner()
        .map_err(|error| unwritable(error.into_error()))?;
    written.sync_all().map_err(unwritable)?;
    std::fs::rename(&beside, path).map_err(unwritable)?;
    let kept = Kept::export(path)?.found();
    context.output.value(&kept, |output| {
        output.line(format!(
            "{} events and {} signed heads are in {}",
            kept.events,
            kept.signed_heads,
            path.display()
        ))
    })
}

fn show(context: &Context, page: &Page<AuditEvent>) -> Result<(), Failure> {
    context.output.value(page, |output| {
        let mut table = Table::new(["#", "time", "actor", "action", "subject"]);
        for event in &page.items {
            table.row([
                event.sequence.to_string(),
                event.at.to_string(),
                event.actor.clone(),
                event.action.clone(),
                format!("{} {}", event.subject_kind, event.subject),
            ]);
        }
        output.table(table, "No events.")?;
        if let Some(next) = &page.next {
            output.note(format!("There is more: --cursor {next}"));
        }
        Ok(())
    })
}

fn verified(context: &Context, check: &ChainCheck) -> Result<(), Failure> {
    if let Some(sequence) = check.broken_at {
        return Err(Failure::Refused(format!(
            "the audit log was tampered with: event {sequence} doesn't fit the one before it. \
             Keep the database as it is and compare it with a backup"
        )));
    }
    context.output.value(check, |output| {
        let head = check.head.map(|head| head.to_string());
        output.line(format!(
            "{} events, unbroken, {} signed heads; head {}",
            check.events,
            check.signed_heads,
            head.as_deref().unwrap_or("none")
        ))
    })
}
