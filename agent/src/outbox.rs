//! Delivers what waits in the journal, for as long as it takes: reports in their order, and then logs.

use std::io;
use std::time::Duration;

use otter_protocol::{AttemptId, AttemptState};

use crate::agent::Agent;
use crate::journal::{Journal, Record, Waiting};
use crate::net::NetError;
use crate::net::backoff::Backoff;

/// What came of a delivery; the outer error is the device's own disk's.
type Delivered = io::Result<Result<(), NetError>>;

impl Agent {
    /// Delivers for ever.
    pub(crate) async fn deliver(&self) {
        let mut backoff = Backoff::new(self.config.retry);
        let mut changes = self.journal.changes();
        loop {
            self.client.token_is_there().await;
            let record = self.journal.record();
            let delivered = match (record.outbox.first(), record.logs.first()) {
                (Some(waiting), _) => self.deliver_report(waiting).await,
                (None, Some(attempt)) => self.deliver_log(*attempt).await,
                (None, None) => {
                    if changes.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            match pause(delivered, &mut backoff) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => backoff.succeeded(),
            }
        }
    }

    /// Sends a report; what the server will never take is given up.
    async fn deliver_report(&self, waiting: &Waiting) -> Delivered {
        let state: AttemptState = waiting.report.state;
        match self.client.report(waiting.attempt, &waiting.report).await {
            Ok(_) => tracing::debug!("attempt {}: `{state}` is delivered", waiting.attempt),
            Err(error) if error.is_final() => {
                tracing::warn!(
                    "the report `{state}` on attempt {} is given up: {error}",
                    waiting.attempt
                );
            }
            Err(error) => return Ok(Err(error)),
        }
        self.journal.change(|record| record.settle(waiting))?;
        Ok(Ok(()))
    }

    /// Sends an attempt's log; one that is lost, or that the server will never take, is given up.
    async fn deliver_log(&self, attempt: AttemptId) -> Delivered {
        match self.logs.load(attempt) {
            Ok(Some(text)) => match self.client.put_log(attempt, text).await {
                Ok(()) => tracing::debug!("the log of attempt {attempt} is delivered"),
                Err(error) if error.is_final() => {
                    tracing::warn!("the log of attempt {attempt} is given up: {error}");
                }
                Err(error) => return Ok(Err(error)),
            },
            Ok(None) => tracing::warn!("the log of attempt {attempt} is lost"),
            Err(error) => tracing::warn!("the log of attempt {attempt} can't be read: {error}"),
        }
        self.journal
            .change(|record| record.logs.retain(|other| *other != attempt))?;
        // What stays is removed with the next log that is kept.
        if let Err(error) = self.logs.remove(attempt) {
            tracing::warn!("the log of attempt {attempt} can't be removed: {error}");
        }
        Ok(Ok(()))
    }
}

/// Returns how long to wait after a delivery that failed.
fn pause(delivered: Delivered, backoff: &mut Backoff) -> Option<Duration> {
    match delivered {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            let wait = backoff.failed(error.retry_after());
            tracing::info!("a report waits {wait:.1?}: {error}");
            Some(wait)
        }
        Err(error) => {
            let wait = backoff.failed(None);
            tracing::error!("the journal can't be written: {error}");
            Some(wait)
        }
    }
}

/// Waits until nothing waits any more.
pub(crate) async fn is_empty(journal: &Journal) {
    let is_empty = |record: Record| record.outbox.is_empty() && record.logs.is_empty();
    let mut changes = journal.changes();
    while !is_empty(journal.record()) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}
