//! Verifying: the bytes on the disk are those that were signed, and all of them are beside what runs.

use anyhow::Context;

use super::Next;
use crate::agent::{Agent, kept};
use crate::install::InstallError;
use crate::journal::{Attempt, Step};

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let verified = verify(agent, attempt);
    tokio::pin!(verified);
    tokio::select! {
        next = &mut verified => next,
        reason = agent.cancelled(attempt) => {
            // Unpacking can't be left half way: what it wrote is removed next.
            verified.await?;
            Ok(Next::Cancel(reason))
        }
    }
}

async fn verify(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let Some(signed) = attempt.signed.clone() else {
        return Ok(Next::Step(Step::Checking));
    };
    let in_use = in_use(agent, attempt);
    let prepared = agent
        .installer
        .prepare(&signed, &agent.downloads, &in_use)
        .await;
    match prepared {
        Ok(target) => {
            agent
                .journal
                .change(|record| {
                    if let Some(attempt) = &mut record.attempt {
                        attempt.target = Some(target);
                    }
                })
                .context("the journal can't be written")?;
            Ok(Next::Step(Step::BackingUp))
        }
        Err(InstallError::Missing) => Ok(Next::Step(Step::Downloading)),
        Err(error) => Ok(Next::Fail(error.to_string())),
    }
}

/// Returns the versions that an attempt may not touch: all but its own.
pub(super) fn in_use(agent: &Agent, attempt: &Attempt) -> Vec<crate::journal::Installed> {
    let mut in_use = kept(&agent.journal.record());
    in_use.retain(|version| Some(version) != attempt.target.as_ref());
    in_use
}
