//! Checking: is what the server offers signed by the publishers, for this device, and not older than what it has?

use anyhow::Context;

use super::{CALLS, Next};
use crate::agent::Agent;
use crate::journal::{Attempt, Signed, Step};
use crate::net::backoff::Backoff;
use crate::trust::Distrust;

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let kind = attempt.offer.artifact.kind;
    if kind != agent.installer.kind() {
        return Ok(Next::Fail(format!(
            "this agent installs {}s, not {kind}s. Publish the release as a {} for model {}",
            agent.installer.kind(),
            agent.installer.kind(),
            agent.config.model
        )));
    }
    tokio::select! {
        judged = judge(agent, attempt) => judged,
        reason = agent.cancelled(attempt) => Ok(Next::Cancel(reason)),
    }
}

async fn judge(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let mut backoff = Backoff::new(agent.config.retry);
    let artifact = loop {
        agent.heart.promise(CALLS);
        match agent.judge(&attempt.offer).await {
            Ok(artifact) => break artifact,
            Err(Distrust::Refused(message)) => return Ok(Next::Fail(message)),
            Err(Distrust::Later { error, retry_after }) => {
                let wait = backoff.failed(retry_after);
                tracing::warn!("{error:#}; it is tried again in {wait:.1?}");
                agent.remark(format!("{error:#}"));
                agent.heart.sleep(wait).await;
            }
        }
    };
    let most = agent.config.download.max_bytes;
    if artifact.length > most {
        return Ok(Next::Fail(format!(
            "the artifact has {} bytes, but this device fetches at most {most} (`download.max_bytes`)",
            artifact.length
        )));
    }
    let signed = Signed::from(artifact);
    agent
        .journal
        .change(|record| {
            if let Some(attempt) = &mut record.attempt {
                attempt.signed = Some(signed);
            }
        })
        .context("the journal can't be written")?;
    Ok(Next::Step(Step::Downloading))
}
