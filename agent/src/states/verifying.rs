//! Verifying: the bytes on the disk are those that were signed, and all of them unpack beside what runs.

use anyhow::Context;
use otter_protocol::Sha256Digest;
use sha2::{Digest, Sha256};

use super::{Next, tidy_downloads};
use crate::agent::{Agent, kept};
use crate::journal::{Attempt, Signed, Step};
use crate::net::download;

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
    let path = agent.downloads().join(signed.sha256.to_string());
    if let Err(message) = hash_again(agent, &signed).await? {
        tidy_downloads(agent, None)?;
        return Ok(Next::Fail(message));
    }
    let mut in_use = kept(&agent.journal.record());
    in_use.retain(|version| Some(version) != attempt.target.as_ref());
    match agent.installer.prepare(&signed, &path, &in_use).await {
        Ok(target) => {
            agent
                .journal
                .change(|record| {
                    if let Some(attempt) = &mut record.attempt {
                        attempt.target = Some(target);
                    }
                })
                .context("the journal can't be written")?;
            Ok(Next::Step(Step::Stopping))
        }
        Err(error) => Ok(Next::Fail(error.to_string())),
    }
}

/// Reads the download once more: between its last byte and now lie a rename, and perhaps a power cut.
async fn hash_again(agent: &Agent, signed: &Signed) -> anyhow::Result<Result<(), String>> {
    let disk = agent.disk.clone();
    let path = agent.downloads().join(signed.sha256.to_string());
    let hashed = tokio::task::spawn_blocking(move || {
        let mut hasher = Sha256::new();
        let length = download::hash(disk.as_ref(), &path, &mut hasher)?;
        std::io::Result::Ok((length, Sha256Digest(hasher.finalize().into())))
    })
    .await?;
    Ok(match hashed {
        Ok((length, digest)) => signed
            .matches(length, &digest)
            .map_err(|error| error.to_string()),
        Err(error) => Err(format!("the download can't be read again: {error}")),
    })
}
