//! Starting: the new version runs, on trial.

use super::Next;
use crate::agent::Agent;
use crate::journal::{Attempt, Step};
use crate::service::Trial;

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let Some(target) = &attempt.target else {
        return Ok(Next::RollBack(
            "the journal names no new version".to_owned(),
        ));
    };
    Ok(match agent.installer.start(target, Trial::OnTrial).await {
        Ok(()) => Next::Step(Step::HealthCheck),
        Err(error) => Next::RollBack(error.to_string()),
    })
}
