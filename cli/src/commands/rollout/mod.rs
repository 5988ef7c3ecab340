//! `otter rollout`: creates, watches and steers rollouts.

mod ab;
mod audience_args;
mod create;
mod plan_args;
mod preview;
mod show;
mod steer;
mod watch;

use clap::Subcommand;
use otter_protocol::RolloutId;
use otter_protocol::admin::{RolloutDetail, RolloutSummary};

pub(crate) use plan_args::PlanArgs;
use show::{show_detail, show_list, state_text, tally_text};

use crate::api::Client;
use crate::{Context, Failure};

/// Creates, watches and steers rollouts.
#[derive(Debug, Subcommand)]
pub enum Rollout {
    /// Creates a rollout of a published release; it begins at once, when it is scheduled, or once it is approved.
    Create(Box<create::Create>),
    /// Creates two rollouts of two releases, each to one half of the devices, to compare them.
    ///
    /// Which devices are in which half is a hash's to say: the same --salt always splits alike. Compare with `otter
    /// release compare`.
    Ab(Box<ab::Ab>),
    /// Shows what a rollout would do before it is made; or, given its number, what it has yet to do.
    ///
    /// Takes what `otter rollout create` takes, and makes nothing.
    Preview(Box<preview::Preview>),
    /// Lists rollouts, the newest first.
    List {
        /// Most rollouts.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Shows a rollout: its phases, what its gates said, the way back, its failures and their reasons.
    Show {
        /// Its number.
        id: RolloutId,
    },
    /// Ends the writing of a draft: it begins, waits for its time, or for its approval.
    Start(steer::Step),
    /// Lets a rollout of somebody else's begin.
    Approve(steer::Step),
    /// Stops offering; what is under way goes on.
    Pause(steer::Step),
    /// Goes on offering; failures known by now no longer stop it.
    Resume(steer::Step),
    /// Lets the open phase's gate open, where it waits for a person.
    ApproveGate(steer::Step),
    /// Goes on to the next phase whatever the gate says; says why.
    SkipGate(steer::StepWithReason),
    /// Stops for good; what wasn't applied yet is taken back, or goes on with --under-way finish.
    Abort(steer::Abort),
    /// Offers the devices that it updated what they ran before.
    RollBack(steer::Step),
    /// Lets the devices that failed try again.
    RetryFailed(steer::Step),
    /// Follows a rollout to its end.
    ///
    /// Waits for its approval, its start, its gates, its way back and a pause by a person. Ends with exit code 0 once it
    /// is completed, and 3 once it is aborted, rolled back, or paused by a breach.
    Watch(watch::Watch),
}

impl Rollout {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        match self {
            Self::Create(create) => create.run(context, &client).await,
            Self::Ab(ab) => ab.run(context, &client).await,
            Self::Preview(preview) => preview.run(context, &client).await,
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
            Self::Start(step) => step.run(context, &client, "start").await,
            Self::Approve(step) => step.run(context, &client, "approve").await,
            Self::Pause(step) => step.run(context, &client, "pause").await,
            Self::Resume(step) => step.run(context, &client, "resume").await,
            Self::ApproveGate(step) => step.run(context, &client, "approve-gate").await,
            Self::SkipGate(step) => step.run(context, &client, "skip-gate").await,
            Self::Abort(abort) => abort.run(context, &client).await,
            Self::RollBack(step) => step.run(context, &client, "roll-back").await,
            Self::RetryFailed(step) => step.run(context, &client, "retry-failed").await,
            Self::Watch(watch) => watch.run(context, &client).await,
        }
    }
}

/// Fetches a rollout as it stands.
pub(crate) async fn detail(client: &Client, id: RolloutId) -> Result<RolloutDetail, Failure> {
    let id = id.to_string();
    client.get(&["rollouts", &id]).await
}
