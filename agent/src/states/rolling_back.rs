//! Rolling back: the old version takes its place again, with the data that it had, and must prove itself, too.

use otter_protocol::AttemptState;

use super::rebooting::Restart;
use super::{Next, end, tidy};
use crate::agent::Agent;
use crate::install::Started;
use crate::journal::{Attempt, Installed};
use crate::service::Trial;

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let old = agent.journal.record().installed;
    if let Err(error) = agent.installer.stop().await {
        tracing::error!("{error}");
    }
    agent.backups.put_back(attempt.offer.attempt).await?;
    agent
        .installer
        .roll_back(attempt.target.as_ref(), old.as_ref())
        .await?;
    let mut message = attempt
        .reason
        .clone()
        .unwrap_or_else(|| "the new version did not stay".to_owned());
    if let Some(trouble) = bring_back(agent, old.as_ref()).await? {
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
    tracing::warn!("{} was rolled back: {message}", attempt.name());
    if let Err(error) = tidy(agent).await {
        tracing::warn!("what is not needed any more can't be removed: {error:#}");
    }
    Ok(Next::Done)
}

/// Starts the old version; returns what is wrong with it, if something is.
async fn bring_back(agent: &Agent, old: Option<&Installed>) -> anyhow::Result<Option<String>> {
    let Some(old) = old else {
        return Ok(Some(
            "The device had no version before, and has none now".to_owned(),
        ));
    };
    let result = match agent.installer.start(old, Trial::Trusted).await {
        Ok(Started::Running) => agent.prove(old).await,
        Ok(Started::ByRestart(argument)) => match agent.restart(argument).await? {
            // It went somewhere else once: it is sent again.
            Restart::Happened => {
                agent.forget_restart()?;
                anyhow::bail!("the device restarted, but not into the old version");
            }
            Restart::Refused(why) => anyhow::bail!(why),
        },
        Err(error) => Err(error.to_string()),
    };
    Ok(result.err().map(|trouble| {
        format!(
            "The old version {} is back, but not healthy: {trouble}",
            old.version
        )
    }))
}
