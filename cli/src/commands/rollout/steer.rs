//! `otter rollout start`, `approve`, `pause` …: what a person does to a rollout.

use clap::{Args, ValueEnum};
use otter_protocol::RolloutId;
use otter_protocol::admin::{Abort as AbortBody, WithReason};
use otter_protocol::rollout::{Rollout, RolloutState, UnderWay};
use serde::Serialize;

use super::state_text;
use crate::api::Client;
use crate::{Context, Failure, Output};

/// Which rollout, and why.
#[derive(Debug, Args)]
pub struct Step {
    /// Its number.
    id: RolloutId,
    /// Why, for the audit log and whoever looks at the rollout.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// Which rollout, and why: it must be said.
#[derive(Debug, Args)]
pub struct StepWithReason {
    /// Its number.
    id: RolloutId,
    /// Why, for the audit log and whoever looks at the rollout.
    #[arg(long)]
    reason: String,
}

/// Which rollout, why, and what becomes of what is under way.
#[derive(Debug, Args)]
pub struct Abort {
    #[command(flatten)]
    step: Step,
    /// What becomes of attempts under way.
    #[arg(long, value_enum, default_value = "cancel")]
    under_way: UnderWayArg,
}

/// What becomes of attempts under way.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum UnderWayArg {
    /// They go on to their end.
    Finish,
    /// What wasn't applied yet is taken back.
    Cancel,
}

impl Step {
    /// Runs the command.
    pub(super) async fn run(
        self,
        context: &Context,
        client: &Client,
        verb: &str,
    ) -> Result<(), Failure> {
        let body = WithReason {
            reason: self.reason,
        };
        post(context.output, client, self.id, verb, &body).await
    }
}

impl StepWithReason {
    /// Runs the command.
    pub(super) async fn run(
        self,
        context: &Context,
        client: &Client,
        verb: &str,
    ) -> Result<(), Failure> {
        if self.reason.trim().is_empty() {
            return Err(Failure::Usage("say why with --reason".to_owned()));
        }
        let step = Step {
            id: self.id,
            reason: self.reason,
        };
        step.run(context, client, verb).await
    }
}

impl Abort {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let body = AbortBody {
            reason: self.step.reason,
            under_way: match self.under_way {
                UnderWayArg::Finish => UnderWay::Finish,
                UnderWayArg::Cancel => UnderWay::Cancel,
            },
        };
        post(context.output, client, self.step.id, "abort", &body).await
    }
}

async fn post(
    output: Output,
    client: &Client,
    id: RolloutId,
    verb: &str,
    body: &impl Serialize,
) -> Result<(), Failure> {
    let number = id.to_string();
    let rollout: Rollout = client.post(&["rollouts", &number, verb], body).await?;
    output.value(&rollout, |output| {
        let name = &rollout.spec.name;
        output.line(format!(
            "Rollout {id} ({name}) is {}.",
            state_text(&rollout)
        ))?;
        match rollout.state {
            RolloutState::AwaitingApproval => output.line(format!(
                "Somebody other than {} has to let it begin: otter rollout approve {id}",
                rollout.created_by
            )),
            _ => Ok(()),
        }
    })
}
