//! Applying: the new version becomes the one that starts, at one instant.

use super::Next;
use crate::agent::Agent;
use crate::journal::{Attempt, Step};

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let Some(target) = &attempt.target else {
        return Ok(Next::RollBack(
            "the journal names no new version".to_owned(),
        ));
    };
    Ok(match agent.installer.apply(Some(target)).await {
        Ok(()) => Next::Step(Step::Starting),
        Err(error) => Next::RollBack(error.to_string()),
    })
}
