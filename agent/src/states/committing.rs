//! Committing: the new version stays, and only now that is said.

use otter_protocol::AttemptState;

use super::{Next, end, tidy, tidy_downloads};
use crate::agent::Agent;
use crate::journal::Attempt;
use crate::service::Trial;

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let Some(target) = attempt.target.clone() else {
        return Ok(Next::RollBack(
            "the journal names no new version".to_owned(),
        ));
    };
    // After a restart of the agent, or of the device, nothing may run yet.
    if let Err(error) = agent.installer.start(&target, Trial::Trusted).await {
        tracing::error!("{error}");
    }
    agent.installer.trust();
    let version = target.version.clone();
    end(
        agent,
        AttemptState::Succeeded,
        None,
        Some(&version),
        |record| {
            record.previous = record.installed.take();
            record.installed = Some(target);
        },
    )?;
    tracing::info!(
        "attempt {}: {version} runs and is healthy",
        attempt.offer.attempt
    );
    let tidied = tidy(agent).await;
    let tidied = tidied.and_then(|()| Ok(tidy_downloads(agent, None)?));
    if let Err(error) = tidied {
        tracing::warn!("what is not needed any more can't be removed: {error:#}");
    }
    Ok(Next::Done)
}
