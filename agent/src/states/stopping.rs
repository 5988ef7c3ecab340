//! Stopping: what runs makes room, and what it wrote until then is kept.

use super::Next;
use crate::agent::Agent;
use crate::journal::{Attempt, Step};

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let stopped = async {
        agent.installer.stop().await?;
        agent.backups.keep_when_stopped(attempt.offer.attempt).await
    };
    Ok(match stopped.await {
        Ok(()) => Next::Step(Step::Applying),
        Err(error) => Next::RollBack(error.to_string()),
    })
}
