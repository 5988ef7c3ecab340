//! Committing: the new version stays, and only now that is said.

use otter_protocol::AttemptState;

use super::{Next, end, no_target, tidy};
use crate::agent::Agent;
use crate::clock;
use crate::install::Started;
use crate::journal::{Attempt, Origin, Step, TakenBack};
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
    let left = agent.journal.record().installed;
    let taken_back = match &attempt.origin {
        Origin::Offered => None,
        // What was taken back isn't kept: from here the way leads to other releases.
        Origin::ByHand { reason } => left.clone().map(|left| TakenBack {
            version: left.version,
            release_counter: left.release_counter,
            at: clock::now(),
            reason: reason.clone(),
        }),
    };
    end(
        agent,
        AttemptState::Succeeded,
        None,
        Some(&version),
        |record| {
            record.previous = left.filter(|_| taken_back.is_none());
            record.taken_back = taken_back;
            record.installed = Some(target);
            record.counters.crashes = 0;
        },
    )?;
    tracing::info!("{}: {version} runs and is healthy", attempt.name());
    let tidied = tidy(agent).await;
    let tidied = tidied.and_then(|()| Ok(agent.downloads.tidy(None)?));
    if let Err(error) = tidied {
        tracing::warn!("what is not needed any more can't be removed: {error:#}");
    }
    Ok(Next::Done)
}
