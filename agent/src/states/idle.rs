//! Idle: nothing is under way. Waits until it is time, then asks the server.

use std::time::Duration;

use anyhow::Context;
use otter_protocol::AttemptId;
use otter_protocol::check_in::{CheckIn, CheckInReply, Instruction, Offer};
use otter_protocol::device::Conditions;

use super::CALLS;
use crate::agent::Agent;
use crate::clock;
use crate::enroll::Enrollment;
use crate::history::Ended;
use crate::journal::{Attempt, Record, TakenBack};
use crate::net::NetError;
use crate::orders::{Begun, Order, Placed};
use crate::policy::interval;

/// Most keys that the server takes.
const MOST_METADATA: usize = 64;
/// Says in the device's metadata what it was taken back from.
const TAKEN_BACK: &str = "taken_back";
/// Most of a reason that goes there, in characters.
const LONGEST_REASON: usize = 150;

/// Waits and asks, or does what somebody at the device asks for; whatever keeps the device from asking is tried again later.
pub(super) async fn handle(agent: &Agent) -> anyhow::Result<()> {
    let waited = async {
        tokio::select! {
            biased;
            () = agent.orders.any() => {}
            () = agent.next_check_in.is_due() => {}
        }
    };
    agent.heart.rest(waited).await;
    agent.heart.promise(CALLS);
    if agent.orders.are_closed() {
        return Ok(());
    }
    if let Some(placed) = agent.orders.take() {
        return obey(agent, placed).await;
    }
    let asked = async {
        if agent.enroll().await? {
            agent.ask().await?;
        }
        if agent.journal.record().attempt.is_none() {
            agent.rotate_when_due().await;
        }
        Ok(())
    };
    if let Err(error) = asked.await {
        put_off(agent, &error);
    }
    Ok(())
}

/// Lets the next try wait.
fn put_off(agent: &Agent, error: &anyhow::Error) {
    let retry_after = error
        .downcast_ref::<NetError>()
        .and_then(NetError::retry_after);
    let wait = agent.next_check_in.failed(retry_after);
    tracing::warn!("{error:#}; the next try is in {wait:.1?}");
}

/// Begins what somebody at the device asks for.
async fn obey(agent: &Agent, placed: Placed) -> anyhow::Result<()> {
    let begun = match placed.order {
        Order::Check | Order::Update => agent.ask_now().await,
        Order::RollBack { reason } => agent.go_back(reason).await,
    };
    let begun = begun.unwrap_or_else(|error| {
        put_off(agent, &error);
        Begun::Refused(format!("{error:#}"))
    });
    // Who asked may have given up waiting; what has begun goes on.
    placed.answer.send(begun).ok();
    Ok(())
}

impl Agent {
    /// Asks because somebody wants to know, and says what that led to.
    async fn ask_now(&self) -> anyhow::Result<Begun> {
        if let Enrollment::Pending { fingerprint, .. } = self.try_enroll().await? {
            return Ok(Begun::Pending(fingerprint.to_string()));
        }
        let reasons = self.ask().await?;
        let attempt = self.journal.record().attempt;
        Ok(attempt.map_or(Begun::Nothing(reasons), |attempt| {
            Begun::Attempt(attempt.offer.attempt_uuid)
        }))
    }

    /// Checks in without an attempt, and begins one where the server offers it; returns why it doesn't, as far as it says so.
    async fn ask(&self) -> anyhow::Result<Vec<String>> {
        let reply = self.check_in().await.context("checking in")?;
        let Instruction::Install(offer) = reply.instruction else {
            let reasons = reply.reasons.iter();
            let reasons = reasons.map(|it| format!("rollout {}: {}", it.rollout, it.text));
            let reasons: Vec<String> = reasons.collect();
            reasons
                .iter()
                .for_each(|reason| tracing::debug!("{reason}"));
            return Ok(reasons);
        };
        match self
            .history
            .of(&offer)
            .context("the history can't be read")?
        {
            Some(ended) => self.repeat(&ended)?,
            None => self.begin(offer)?,
        }
        Ok(Vec::new())
    }

    /// Checks in, and takes from the answer when to do so again.
    pub(crate) async fn check_in(&self) -> Result<CheckInReply, NetError> {
        let record = self.journal.record();
        let link = self.client.link();
        let mut metadata = self.config.metadata.clone();
        if let Some(link) = &link {
            link.add_to(&mut metadata);
        }
        if let Some(taken_back) = &record.taken_back
            && metadata.len() < MOST_METADATA
        {
            metadata.insert(TAKEN_BACK.to_owned(), in_words(taken_back));
        }
        let reply = self
            .client
            .check_in(&CheckIn {
                version: self.version(),
                bootloader_version: self.bootloader.version().await,
                agent_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                metadata: Some(metadata),
                conditions: Conditions {
                    is_metered: link.map(|link| link.is_metered),
                    ..self.conditions().await
                },
                attempt: under_way(record),
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
        let attempt = Attempt::at(offer, self.journal.written_bytes());
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

/// Returns the attempt under way that the server knows of.
fn under_way(record: Record) -> Option<AttemptId> {
    let attempt = record.attempt.filter(|attempt| !attempt.is_by_hand());
    attempt.map(|attempt| attempt.offer.attempt)
}

fn in_words(taken_back: &TakenBack) -> String {
    let at = clock::to_second(taken_back.at);
    let reason = taken_back.reason.iter().flat_map(|reason| reason.chars());
    let reason: String = reason.take(LONGEST_REASON).collect();
    let colon = if reason.is_empty() { "" } else { ": " };
    format!("{} at {at}{colon}{reason}", taken_back.version)
}
