//! Downloading: fetches the signed bytes, and says how far it is.

use std::time::{Duration, Instant};

use otter_protocol::AttemptState;
use otter_protocol::check_in::Instruction;

use super::Next;
use super::verifying::in_use;
use super::waiting::forbidden;
use crate::agent::Agent;
use crate::journal::{Attempt, Journal, Step};
use crate::net::NetError;
use crate::net::download::{Download, Heard};

/// Shortest time between two reports of progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How long it may take to connect, and to write a piece down.
const TRY: Duration = Duration::from_secs(5 * 60);

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let Some(signed) = &attempt.signed else {
        return Ok(Next::Step(Step::Checking));
    };
    // A download for another release is of no use any more.
    if let Err(error) = agent.downloads.tidy(Some(signed)) {
        tracing::warn!("old downloads can't be removed: {error}");
    }
    let in_use = in_use(agent, attempt);
    let opened = agent
        .installer
        .intake(signed, &agent.downloads, &in_use)
        .await;
    let mut intake = match opened {
        Ok(intake) => intake,
        Err(error) => return Ok(Next::Fail(error.to_string())),
    };
    let download = Download {
        signed,
        url: &attempt.offer.artifact.url,
        retry: agent.config.retry,
        max_bytes_per_sec: agent.config.download.max_bytes_per_sec,
        least_speed: agent.config.download.least_speed(),
        heart: &agent.heart,
    };
    let mut progress = Progress::new(&agent.journal, signed.length);
    let patience = agent.config.download.stall_timeout() + TRY;
    let heard = |heard: Heard<'_>| {
        agent.heart.promise(patience);
        if let Heard::Bytes(bytes) = heard {
            agent.observers.bytes_taken(bytes, signed.length);
        }
        progress.heard(heard);
    };
    let downloaded = tokio::select! {
        result = download.run(&agent.client, intake.as_mut(), heard) => result,
        reason = agent.cancelled(attempt) => return Ok(Next::Cancel(reason)),
        () = forbidden(agent, attempt) => return Ok(Next::Wait),
    };
    match downloaded {
        Ok(()) => Ok(Next::Step(Step::Verifying)),
        Err(error) => {
            // A full disk is not to stay full because of this.
            agent.downloads.tidy(None)?;
            Ok(Next::Fail(error.to_string()))
        }
    }
}

/// Reports progress, at most once a second and only where the per cent changed.
struct Progress<'a> {
    journal: &'a Journal,
    length: u64,
    percent: u8,
    reported: Instant,
    /// What was told in words last.
    told: String,
}

impl<'a> Progress<'a> {
    fn new(journal: &'a Journal, length: u64) -> Self {
        Self {
            journal,
            length,
            percent: 0,
            reported: Instant::now(),
            told: String::new(),
        }
    }

    fn heard(&mut self, heard: Heard<'_>) {
        match heard {
            Heard::Bytes(bytes) => self.has(bytes),
            Heard::Fare(fare) => self.tell(fare.to_string()),
            Heard::Waits(why) => self.tell(format!("waits for a better link: {why}")),
        }
    }

    /// Tells something in words, once.
    fn tell(&mut self, text: String) {
        if text != self.told {
            self.report(Some(&text));
            self.told = text;
        }
    }

    fn has(&mut self, bytes: u64) {
        let percent = bytes.saturating_mul(100).checked_div(self.length);
        let percent = percent
            .and_then(|percent| u8::try_from(percent).ok())
            .unwrap_or(100);
        if percent <= self.percent || self.reported.elapsed() < REPORT_INTERVAL {
            return;
        }
        self.percent = percent;
        self.report(None);
    }

    fn report(&mut self, message: Option<&str>) {
        self.reported = Instant::now();
        let percent = self.percent;
        let written = self.journal.change(|record| {
            if let Some(message) = message {
                record.remark(message);
            }
            record.report(AttemptState::Downloading, Some(percent), message, None);
        });
        if let Err(error) = written {
            tracing::warn!("progress can't be written to the journal: {error}");
        }
    }
}

impl Agent {
    /// Keeps checking in while an attempt is under way, and returns when the server takes it back.
    pub(super) async fn cancelled(&self, attempt: &Attempt) -> String {
        let ours = attempt.offer.attempt;
        loop {
            tokio::select! {
                () = self.next_check_in.is_due() => {}
                () = self.orders.way_back() => {
                    return "somebody at the device takes it back to its former version".to_owned();
                }
            }
            match self.check_in().await.map(|reply| reply.instruction) {
                Ok(Instruction::Cancel { attempt }) if attempt == ours => {
                    return "the server took it back".to_owned();
                }
                Ok(Instruction::Install(other)) if other.attempt != ours => {
                    return format!("the server offers attempt {} instead", other.attempt);
                }
                Ok(_) => {}
                Err(error) => {
                    let mut retry_after = error.retry_after();
                    if error.is_unauthenticated()
                        && let Err(error) = self.try_enroll().await
                    {
                        tracing::warn!("{error:#}");
                        let refusal = error.downcast_ref::<NetError>();
                        retry_after = refusal.and_then(NetError::retry_after);
                    }
                    let wait = self.next_check_in.failed(retry_after);
                    tracing::info!("{error}; the next check-in is in {wait:.1?}");
                }
            }
        }
    }
}
