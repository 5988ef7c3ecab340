//! Stopping: what runs makes room.

use super::Next;
use crate::agent::Agent;
use crate::journal::Step;

pub(super) async fn handle(agent: &Agent) -> anyhow::Result<Next> {
    Ok(match agent.installer.stop().await {
        Ok(()) => Next::Step(Step::Applying),
        Err(error) => Next::RollBack(error.to_string()),
    })
}
