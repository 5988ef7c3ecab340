//! Applying: the new version becomes the one that starts, at one instant.

use super::{Next, no_target};
use crate::agent::Agent;
use crate::journal::{Attempt, Step};

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let Some(target) = &attempt.target else {
        return Ok(no_target());
    };
    Ok(match agent.installer.apply(target).await {
        Ok(()) => Next::Step(Step::Starting),
        Err(error) => Next::RollBack(error.to_string()),
    })
}
