//! Committing: the new version stays, and only now that is said.

use otter_protocol::AttemptState;

use super::{Next, end, no_target, tidy};
use crate::agent::Agent;
use crate::install::Started;
use crate::journal::{Attempt, Step};
use crate::service::Trial;

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let Some(target) = attempt.target.clone() else {
        return Ok(no_target());
    };
    // After a restart of the agent, or of the device, nothing may run yet.
    match agent.installer.start(&target, Trial::Trusted).await {
        Ok(Started::Running) => {}
        // The device was restarted before the boot loader knew that the new system stays.
        Ok(Started::ByRestart(_)) => return Ok(Next::Step(Step::Starting)),
        Err(error) => tracing::error!("{error}"),
    }
    agent.installer.commit(&target).await?;
    let version = target.version.clone();
    end(
        agent,
        AttemptState::Succeeded,
        None,
        Some(&version),
        |record| {
            record.previous = record.installed.take();
            record.installed = Some(target);
            record.counters.crashes = 0;
        },
    )?;
    tracing::info!(
        "attempt {}: {version} runs and is healthy",
        attempt.offer.attempt
    );
    let tidied = tidy(agent).await;
    let tidied = tidied.and_then(|()| Ok(agent.downloads.tidy(None)?));
    if let Err(error) = tidied {
        tracing::warn!("what is not needed any more can't be removed: {error:#}");
    }
    Ok(Next::Done)
}
