//! Delivers the reports that wait in the journal, in their order, for as long as it takes.

use std::io;

use otter_protocol::AttemptState;

use crate::config::RetryPolicy;
use crate::journal::{Journal, Waiting};
use crate::net::backoff::Backoff;
use crate::net::{Client, NetError};

/// Delivers for ever.
pub(crate) async fn deliver(journal: &Journal, client: &Client, retry: RetryPolicy) {
    let mut backoff = Backoff::new(retry);
    let mut changes = journal.changes();
    loop {
        client.token_is_there().await;
        let first = journal.record().outbox.first().cloned();
        let Some(waiting) = first else {
            if changes.changed().await.is_err() {
                return;
            }
            continue;
        };
        let wait = match send(journal, client, &waiting).await {
            Ok(Ok(())) => {
                backoff.succeeded();
                continue;
            }
            Ok(Err(error)) => {
                let wait = backoff.failed(error.retry_after());
                tracing::info!("a report waits {wait:.1?}: {error}");
                wait
            }
            Err(error) => {
                let wait = backoff.failed(None);
                tracing::error!("the journal can't be written: {error}");
                wait
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Waits until no report waits any more.
pub(crate) async fn is_empty(journal: &Journal) {
    let mut changes = journal.changes();
    while !journal.record().outbox.is_empty() {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Sends a report; what the server will never take is given up. The outer error is the journal's.
async fn send(
    journal: &Journal,
    client: &Client,
    waiting: &Waiting,
) -> io::Result<Result<(), NetError>> {
    let state: AttemptState = waiting.report.state;
    match client.report(waiting.attempt, &waiting.report).await {
        Ok(_) => tracing::debug!("attempt {}: `{state}` is delivered", waiting.attempt),
        Err(error) if error.is_final() => {
            tracing::warn!(
                "the report `{state}` on attempt {} is given up: {error}",
                waiting.attempt
            );
        }
        Err(error) => return Ok(Err(error)),
    }
    journal.change(|record| record.settle(waiting))?;
    Ok(Ok(()))
}
