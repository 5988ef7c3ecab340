//! Rolling back: the old version takes its place again, and must prove itself, too.

use otter_protocol::AttemptState;

use super::{Next, end, tidy};
use crate::agent::Agent;
use crate::journal::{Attempt, Installed};
use crate::service::Trial;

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let old = agent.journal.record().installed;
    if let Err(error) = agent.installer.stop().await {
        tracing::error!("{error}");
    }
    agent.installer.apply(old.as_ref()).await?;
    let mut message = attempt
        .reason
        .clone()
        .unwrap_or_else(|| "the new version did not stay".to_owned());
    if let Some(trouble) = bring_back(agent, old.as_ref()).await {
        tracing::error!("{trouble}");
        message = format!("{message}. {trouble}");
    }
    end(
        agent,
        AttemptState::RolledBack,
        Some(&message),
        None,
        |_| {},
    )?;
    tracing::warn!(
        "attempt {} was rolled back: {message}",
        attempt.offer.attempt
    );
    if let Err(error) = tidy(agent).await {
        tracing::warn!("what is not needed any more can't be removed: {error:#}");
    }
    Ok(Next::Done)
}

/// Starts the old version; returns what is wrong with it, if something is.
async fn bring_back(agent: &Agent, old: Option<&Installed>) -> Option<String> {
    let Some(old) = old else {
        return Some("The device had no version before, and has none now".to_owned());
    };
    let result = match agent.installer.start(old, Trial::Trusted).await {
        Ok(()) => agent.prove(old).await,
        Err(error) => Err(error.to_string()),
    };
    let trouble = result.err()?;
    Some(format!(
        "The old version {} is back, but not healthy: {trouble}",
        old.version
    ))
}
