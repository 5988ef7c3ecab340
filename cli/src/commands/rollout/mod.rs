//! `otter rollout`: creates, watches and stops rollouts.

mod create;
mod watch;

use clap::{Args, Subcommand};
use otter_protocol::RolloutId;
use otter_protocol::admin::{PhaseProgress, RolloutDetail, RolloutSummary, WithReason};
use otter_protocol::gate::Tally;
use otter_protocol::rollout::Rollout as Stored;

use crate::api::Client;
use crate::output::Table;
use crate::text::{ago, count, now};
use crate::{Context, Failure, Output};

/// Creates, watches and stops rollouts.
#[derive(Debug, Subcommand)]
pub enum Rollout {
    /// Creates a rollout of a published release; it begins at once, or when it is scheduled.
    Create(Box<create::Create>),
    /// Lists rollouts, the newest first.
    List {
        /// Most rollouts.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Shows a rollout: its phases, its gate, its failures and their reasons.
    Show {
        /// Its number.
        id: RolloutId,
    },
    /// Stops offering; what is under way goes on.
    Pause(Step),
    /// Goes on offering.
    Resume(Step),
    /// Stops for good; what wasn't applied yet is taken back.
    Abort(Step),
    /// Follows a rollout to its end.
    ///
    /// Ends with exit code 0 once it is completed, and 3 once it is aborted or a breach pauses it. A pause by a person
    /// is waited out.
    Watch(watch::Watch),
}

/// Which rollout, and why.
#[derive(Debug, Args)]
pub struct Step {
    /// Its number.
    id: RolloutId,
    /// Why, for the audit log and whoever looks at the rollout.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

impl Rollout {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        match self {
            Self::Create(create) => create.run(context, &client).await,
            Self::List { limit } => {
                let mut rollouts: Vec<RolloutSummary> = client.get(&["rollouts"]).await?;
                rollouts.truncate(limit);
                show_list(context.output, &rollouts)
            }
            Self::Show { id } => {
                let detail = detail(&client, id).await?;
                context
                    .output
                    .value(&detail, |output| show_detail(output, &detail))
            }
            Self::Pause(step) => step.run(context, &client, "pause").await,
            Self::Resume(step) => step.run(context, &client, "resume").await,
            Self::Abort(step) => step.run(context, &client, "abort").await,
            Self::Watch(watch) => watch.run(context, &client).await,
        }
    }
}

impl Step {
    async fn run(self, context: &Context, client: &Client, verb: &str) -> Result<(), Failure> {
        let id = self.id.to_string();
        let body = WithReason {
            reason: self.reason,
        };
        let rollout: Stored = client.post(&["rollouts", &id, verb], &body).await?;
        context.output.value(&rollout, |output| {
            output.line(format!(
                "Rollout {id} ({}) is {}.",
                rollout.spec.name, rollout.state
            ))
        })
    }
}

/// Fetches a rollout as it stands.
async fn detail(client: &Client, id: RolloutId) -> Result<RolloutDetail, Failure> {
    let id = id.to_string();
    client.get(&["rollouts", &id]).await
}

fn show_list(output: Output, rollouts: &Vec<RolloutSummary>) -> Result<(), Failure> {
    output.value(rollouts, |output| {
        let mut table = Table::new([
            "id",
            "name",
            "release",
            "state",
            "phase",
            "succeeded",
            "failed",
            "under way",
            "made",
        ]);
        for summary in rollouts {
            let rollout = &summary.rollout;
            table.row([
                rollout.id.to_string(),
                rollout.spec.name.clone(),
                summary.version.to_string(),
                rollout.state.to_string(),
                format!(
                    "{} of {}",
                    rollout.current_phase + 1,
                    summary.progress.len()
                ),
                summary.total.succeeded.to_string(),
                summary.total.failures().to_string(),
                summary.total.under_way.to_string(),
                ago(rollout.created_at, now()),
            ]);
        }
        output.table(table, "No rollouts. Make one with `otter rollout create`.")
    })
}

fn show_detail(output: Output, detail: &RolloutDetail) -> Result<(), Failure> {
    let RolloutSummary {
        rollout,
        version,
        progress,
        ..
    } = &detail.summary;
    let spec = &rollout.spec;
    output.line(format!("rollout   {} {}", rollout.id, spec.name))?;
    output.line(format!("release   {version} for {}", spec.audience))?;
    output.line(format!("state     {}", state_text(rollout)))?;
    let mut table = Table::new([
        "phase",
        "share",
        "succeeded",
        "failed",
        "under way",
        "waiting",
        "gate",
    ]);
    for one in progress {
        table.row(phase_row(one));
    }
    output.table(table, "No phases.")?;
    for reason in &detail.failure_reasons {
        let times = count(reason.count, "failure");
        output.line(format!("{times}: {}", reason.reason))?;
    }
    Ok(())
}

fn phase_row(progress: &PhaseProgress) -> [String; 7] {
    let PhaseProgress {
        phase,
        tally,
        verdict,
    } = progress;
    let or_unknown = |number: Option<u64>| number.map_or("?".to_owned(), |n| n.to_string());
    [
        phase.name.clone(),
        phase.scope.to_string(),
        tally.succeeded.to_string(),
        tally.failures().to_string(),
        tally.under_way.to_string(),
        or_unknown(tally.waiting),
        verdict.map_or_else(String::new, |verdict| verdict.to_string()),
    ]
}

/// Returns a rollout's state with the reason for it.
fn state_text(rollout: &Stored) -> String {
    match rollout.state_reason.as_deref() {
        None | Some("") => rollout.state.to_string(),
        Some(reason) => format!("{}: {reason}", rollout.state),
    }
}

/// Returns a tally in a few words.
fn tally_text(tally: &Tally) -> String {
    let mut words = vec![format!("{} succeeded", tally.succeeded)];
    for (number, word) in [
        (tally.failed, "failed"),
        (tally.rolled_back, "rolled back"),
        (tally.timed_out, "timed out"),
        (tally.cancelled, "cancelled"),
        (tally.under_way, "under way"),
        (tally.waiting.unwrap_or(0), "waiting"),
    ] {
        if number > 0 {
            words.push(format!("{number} {word}"));
        }
    }
    words.join(", ")
}
