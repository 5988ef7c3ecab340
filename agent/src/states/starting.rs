//! Starting: the new version runs, on trial, now or after a restart of the device.

use super::{Next, no_target};
use crate::agent::Agent;
use crate::install::Started;
use crate::journal::{Attempt, Step};
use crate::service::Trial;

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let Some(target) = &attempt.target else {
        return Ok(no_target());
    };
    Ok(match agent.installer.start(target, Trial::OnTrial).await {
        Ok(Started::Running) => Next::Step(Step::HealthCheck),
        Ok(Started::ByRestart(_)) => Next::Step(Step::Rebooting),
        Err(error) => Next::RollBack(error.to_string()),
    })
}
