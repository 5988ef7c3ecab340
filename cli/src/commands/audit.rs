//! `otter audit`: reads and verifies the audit log.

use clap::{Args, Subcommand};
use otter_protocol::admin::{AuditEvent, AuditFilter, ChainCheck, Page};
use serde_json::json;

use crate::output::Table;
use crate::{Context, Failure};

/// Reads and verifies the audit log.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Lists who did what, the newest first.
    List(List),
    /// Checks that no event was changed or taken out.
    Verify,
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
        let client = context.client()?;
        match self {
            Self::List(list) => {
                let filter = AuditFilter {
                    actor: list.actor,
                    action: list.action,
                    subject_kind: list.subject_kind,
                    subject: list.subject,
                    cursor: list.cursor,
                    limit: Some(list.limit),
                };
                show(context, &client.get_with(&["audit"], &filter).await?)
            }
            Self::Verify => {
                let check: ChainCheck = client.post(&["audit", "verify"], &json!({})).await?;
                verified(context, &check)
            }
        }
    }
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
            "{} events, unbroken; head {}",
            check.events,
            head.as_deref().unwrap_or("none")
        ))
    })
}
