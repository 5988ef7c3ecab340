//! Backing up: what the old version needs to come back is kept, while it still runs.

use super::Next;
use crate::agent::Agent;
use crate::journal::{Attempt, Step};

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let old = agent.journal.record().installed;
    let kept = async {
        agent.installer.back_up(old.as_ref()).await?;
        agent
            .backups
            .keep_while_running(attempt.offer.attempt)
            .await
    };
    Ok(match kept.await {
        Ok(()) => Next::Step(Step::Stopping),
        Err(error) => Next::Fail(error.to_string()),
    })
}
