//! Idle: nothing is under way. Waits until it is time, then asks the server.

use std::time::Duration;

use anyhow::Context;
use otter_protocol::check_in::{CheckIn, CheckInReply, Instruction, Offer};
use otter_protocol::device::Conditions;

use super::CALLS;
use crate::agent::Agent;
use crate::clock;
use crate::history::Ended;
use crate::journal::{Attempt, Step};
use crate::net::NetError;
use crate::policy::interval;

/// Waits and asks; whatever keeps the device from asking is tried again later.
pub(super) async fn handle(agent: &Agent) -> anyhow::Result<()> {
    agent.heart.rest(agent.next_check_in.is_due()).await;
    agent.heart.promise(CALLS);
    let asked = async {
        agent.enroll().await?;
        agent.ask().await
    };
    if let Err(error) = asked.await {
        let retry_after = error
            .downcast_ref::<NetError>()
            .and_then(NetError::retry_after);
        let wait = agent.next_check_in.failed(retry_after);
        tracing::warn!("{error:#}; the next try is in {wait:.1?}");
    }
    Ok(())
}

impl Agent {
    /// Checks in without an attempt, and begins one where the server offers it.
    pub(crate) async fn ask(&self) -> anyhow::Result<()> {
        let reply = self.check_in().await.context("checking in")?;
        let Instruction::Install(offer) = reply.instruction else {
            for reason in &reply.reasons {
                tracing::debug!("rollout {}: {}", reason.rollout, reason.text);
            }
            return Ok(());
        };
        match self
            .history
            .of(&offer)
            .context("the history can't be read")?
        {
            Some(ended) => self.repeat(&ended),
            None => self.begin(offer),
        }
    }

    /// Checks in, and takes from the answer when to do so again.
    pub(crate) async fn check_in(&self) -> Result<CheckInReply, NetError> {
        let record = self.journal.record();
        let link = self.client.link();
        let mut metadata = self.config.metadata.clone();
        if let Some(link) = &link {
            link.add_to(&mut metadata);
        }
        let reply = self
            .client
            .check_in(&CheckIn {
                version: self.version(),
                bootloader_version: None,
                agent_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                metadata: Some(metadata),
                conditions: Conditions {
                    is_metered: link.map(|link| link.is_metered),
                    ..self.conditions().await
                },
                attempt: record.attempt.map(|attempt| attempt.offer.attempt),
                at: Some(clock::now()),
            })
            .await;
        if reply.as_ref().is_err_and(NetError::is_unauthenticated) {
            // The device's key may still be good for another token.
            tracing::error!(
                "the server doesn't take this device's token any more; the device enrolls again"
            );
            self.client.set_token(None);
        }
        let reply = reply?;
        self.note_check_in();
        let wait: Duration = self.config.check_in.interval(reply.next_check_in_sec);
        self.next_check_in.answered(wait);
        Ok(reply)
    }

    fn note_check_in(&self) {
        let now = clock::now();
        let noted = self.journal.note(
            |record| record.checked_in_at = Some(now),
            |on_disk, _| interval::is_worth_a_write(on_disk.checked_in_at, now),
        );
        if let Err(error) = noted {
            tracing::warn!("the time of the check-in can't be written: {error}");
        }
    }

    fn begin(&self, offer: Offer) -> anyhow::Result<()> {
        tracing::info!(
            "attempt {}: the server offers release {} in place of {}",
            offer.attempt,
            offer.version,
            self.version()
        );
        let attempt = Attempt {
            offer,
            step: Step::Checking,
            started_at: clock::now(),
            written_before: self.journal.written_bytes(),
            signed: None,
            target: None,
            last_sequence: 0,
            restarts: 0,
            boots: 0,
            restarting: None,
            reason: None,
            held: None,
        };
        self.journal
            .change(|record| record.attempt = Some(attempt))
            .context("the journal can't be written")
    }

    /// Says once more how an attempt ended whose end the server doesn't know.
    fn repeat(&self, ended: &Ended) -> anyhow::Result<()> {
        let record = self.journal.record();
        let is_waiting = record
            .outbox
            .iter()
            .any(|waiting| waiting.attempt == ended.offer.attempt);
        if is_waiting {
            return Ok(());
        }
        tracing::warn!(
            "attempt {} is offered again, but it ended: {}. That is reported once more",
            ended.offer.attempt,
            ended.outcome
        );
        let mut ended = ended.clone();
        let report = &mut ended.last_report.report;
        report.sequence = report.sequence.saturating_add(1);
        let waiting = ended.last_report.clone();
        self.history
            .add(ended)
            .context("the history can't be written")?;
        self.journal
            .change(|record| record.queue(waiting))
            .context("the journal can't be written")
    }
}
