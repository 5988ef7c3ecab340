//! One simulated device: enrolls, checks in, goes through attempts.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use otter_protocol::attempt::{AttemptReport, AttemptState};
use otter_protocol::check_in::{
    CheckIn, CheckInReply, EnrollReply, EnrollRequest, Instruction, Offer, ReportReply,
    enrollment_message,
};
use otter_protocol::device::Conditions;
use otter_protocol::{AttemptId, Problem, ProblemCode, Version};
use otter_trust::SecretKey;
use tokio::time::{Instant, sleep};

use super::download::{Download, Step};
use super::fleet::Fleet;
use super::metadata::metadata;
use super::report::Stage;
use super::store::Record;
use super::temper::{SOUND_STEPS, Temper};
use crate::text::now;

/// Least time between two reports of a download's progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Why a device stops: the server won't have it.
pub(super) struct Gone(pub(super) String);

impl From<Box<Problem>> for Gone {
    fn from(problem: Box<Problem>) -> Self {
        Self(problem.detail)
    }
}

/// One device.
pub(super) struct Device {
    fleet: Arc<Fleet>,
    seat: usize,
    record: Record,
    temper: Temper,
    /// What it ran when it woke up: on that it is always healthy.
    former: Version,
    /// When it came to run anything else.
    arrived: Option<Instant>,
    /// The version that it failed at last.
    failed_at: Option<Version>,
}

/// How far an attempt came before anything was applied.
enum Fetched {
    /// The artifact is there.
    Whole,
    /// The server took the attempt back.
    Cancelled,
    /// The server has ended it already; nothing more is to be said.
    Over,
    /// It can't be had.
    Broken(String),
}

impl Device {
    /// Wakes a device up, on its seat of the fleet's board.
    pub(super) fn new(fleet: Arc<Fleet>, seat: usize, record: Record, temper: Temper) -> Self {
        let former = record.version.clone();
        Self {
            fleet,
            seat,
            record,
            temper,
            former,
            arrived: None,
            failed_at: None,
        }
    }

    /// Lives until the server won't have it.
    pub(super) async fn live(mut self) -> Gone {
        self.show(Stage::Enrolling);
        let Err(gone) = self.run().await;
        self.show(Stage::Refused);
        gone
    }

    async fn run(&mut self) -> Result<Infallible, Gone> {
        if self.record.token.is_none() {
            self.enroll().await?;
            self.show(Stage::Starting);
        } else {
            self.show(Stage::Starting);
            // Known from a run before: come back spread over an interval, as after a power cut.
            let spread = self
                .fleet
                .settings
                .interval
                .unwrap_or(Duration::from_secs(5));
            sleep(spread.mul_f64(rand::random())).await;
        }
        loop {
            let reply = self.check_in(None).await?;
            match reply.instruction {
                Instruction::Install(offer) => self.attempt(&offer).await?,
                Instruction::Cancel { attempt } => {
                    self.adopt(attempt);
                    self.report(AttemptState::Cancelled, None).await?;
                }
                Instruction::Wait => {}
            }
            self.show(Stage::Idle);
            sleep(self.pause(reply.next_check_in_sec)).await;
        }
    }

    /// Gets a token; waits for an operator where there is no enrollment token.
    async fn enroll(&mut self) -> Result<(), Gone> {
        let request = self.enroll_request()?;
        loop {
            let fleet = Arc::clone(&self.fleet);
            match fleet.link.post(&["enroll"], None, &request).await {
                Ok(EnrollReply::Accepted { device_token }) => {
                    self.record.token = Some(device_token);
                    self.save();
                    return Ok(());
                }
                Ok(EnrollReply::Pending {
                    retry_after_sec, ..
                }) => {
                    self.show(Stage::Pending);
                    sleep(self.pause(retry_after_sec)).await;
                }
                Err(problem) if problem.code == ProblemCode::Conflict => {
                    return Err(Gone(format!(
                        "{}. Keep keys from run to run with --state, or take another --id-prefix",
                        problem.detail.trim_end_matches('.')
                    )));
                }
                Err(problem) => return Err(problem.into()),
            }
        }
    }

    fn enroll_request(&self) -> Result<EnrollRequest, Gone> {
        let key = SecretKey::from_text(&self.record.key).map_err(|e| Gone(e.to_string()))?;
        let token = self.fleet.settings.enrollment_token.clone();
        let message = enrollment_message(&self.record.id, token.as_deref());
        Ok(EnrollRequest {
            id: self.record.id.clone(),
            model: self.record.model.clone(),
            version: self.record.version.clone(),
            public_key: hex::encode(key.public().as_bytes()),
            proof: hex::encode(key.sign(&message)),
            enrollment_token: token,
            metadata: metadata(&self.record.id),
        })
    }

    async fn check_in(&mut self, attempt: Option<AttemptId>) -> Result<CheckInReply, Gone> {
        let body = CheckIn {
            version: self.record.version.clone(),
            bootloader_version: None,
            agent_version: Some(concat!("simulated ", env!("CARGO_PKG_VERSION")).to_owned()),
            metadata: Some(metadata(&self.record.id)),
            conditions: Conditions {
                on_mains: Some(true),
                free_bytes: Some(8 << 30),
                crashes_since_boot: Some(0),
                is_healthy: Some(!self.is_ailing()),
                ..Conditions::default()
            },
            attempt,
            at: Some(now()),
        };
        let token = self.record.token.as_deref();
        let reply = self.fleet.link.post(&["check-in"], token, &body).await?;
        self.fleet.board.checked_in();
        Ok(reply)
    }

    /// Goes through an attempt, from the offer to its end.
    async fn attempt(&mut self, offer: &Offer) -> Result<(), Gone> {
        self.adopt(offer.attempt);
        if self.record.version == offer.version {
            // Ended by a kill between its reboot and its word on it.
            return self.report(AttemptState::Succeeded, None).await.map(drop);
        }
        if self.temper == Temper::Silent {
            return self.fall_silent().await;
        }
        let failure = match self.fetch(offer).await? {
            Fetched::Whole => return self.apply(offer).await,
            Fetched::Over => return Ok(()),
            Fetched::Cancelled => (AttemptState::Cancelled, None),
            Fetched::Broken(why) => (AttemptState::Failed, Some(why)),
        };
        self.report(failure.0, failure.1).await.map(drop)
    }

    /// Downloads the artifact, and asks once more before anything is applied.
    async fn fetch(&mut self, offer: &Offer) -> Result<Fetched, Gone> {
        if self
            .report(AttemptState::Downloading, None)
            .await?
            .is_over()
        {
            return Ok(Fetched::Over);
        }
        let fleet = Arc::clone(&self.fleet);
        let token = self.record.token.clone().unwrap_or_default();
        let mut download = Download::new(
            &fleet.link,
            &offer.artifact,
            &token,
            fleet.settings.rate_bytes,
        );
        let permit = fleet.link.download_permit().await;
        let mut told = Instant::now();
        loop {
            match download.step().await {
                Step::Received(bytes) => fleet.board.received(bytes),
                Step::Whole => break,
                Step::Broken(why) => return Ok(Fetched::Broken(why)),
            }
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                let reply = self.progress(download.percent()).await?;
                if reply.is_over() {
                    return Ok(Fetched::Over);
                }
                if let Some(end) = self.ask(offer.attempt).await? {
                    return Ok(end);
                }
            }
        }
        drop(permit);
        if self.report(AttemptState::Downloaded, None).await?.is_over() {
            return Ok(Fetched::Over);
        }
        Ok(self.ask(offer.attempt).await?.unwrap_or(Fetched::Whole))
    }

    /// Checks in during an attempt; `None` means go on.
    async fn ask(&mut self, attempt: AttemptId) -> Result<Option<Fetched>, Gone> {
        let reply = self.check_in(Some(attempt)).await?;
        Ok(match reply.instruction {
            Instruction::Install(offer) if offer.attempt == attempt => None,
            Instruction::Cancel { attempt: taken } if taken == attempt => Some(Fetched::Cancelled),
            _ => Some(Fetched::Over),
        })
    }

    /// Installs, reboots, verifies; ends on the new version, or back on the old one with a reason.
    async fn apply(&mut self, offer: &Offer) -> Result<(), Gone> {
        let old = self.record.version.clone();
        for state in [AttemptState::Installing, AttemptState::Rebooting] {
            self.report(state, None).await?;
            sleep(self.fleet.settings.step).await;
        }
        let fails = self.fails_at(&offer.version);
        if fails {
            self.failed_at = Some(offer.version.clone());
        } else {
            self.record.version = offer.version.clone();
        }
        self.report(AttemptState::Verifying, None).await?;
        sleep(self.fleet.settings.step).await;
        let (state, message) = if fails {
            let why = format!(
                "health check http://127.0.0.1:8080/health: connection refused after 5 tries, rolled back to {old}"
            );
            (AttemptState::RolledBack, Some(why))
        } else {
            self.arrived = Some(Instant::now());
            (AttemptState::Succeeded, None)
        };
        self.report(state, message).await.map(drop)
    }

    /// Tells whether an attempt at a version fails.
    fn fails_at(&self, version: &Version) -> bool {
        match self.temper {
            Temper::Failing => true,
            Temper::Flapping => self.failed_at.as_ref() != Some(version),
            Temper::Sound | Temper::Unhealthy | Temper::Silent => false,
        }
    }

    /// Tells whether it is unhealthy: some time after it came to run something new, until it runs what it ran before.
    fn is_ailing(&self) -> bool {
        self.temper == Temper::Unhealthy
            && self.record.version != self.former
            && self
                .arrived
                .is_none_or(|at| at.elapsed() >= self.fleet.settings.step * SOUND_STEPS)
    }

    /// Is not heard of again.
    async fn fall_silent(&mut self) -> Result<(), Gone> {
        self.report(AttemptState::Downloading, None).await?;
        self.show(Stage::Silent);
        std::future::pending().await
    }

    /// Takes an attempt as its own; goes on counting where it was before a restart.
    fn adopt(&mut self, attempt: AttemptId) {
        if self.record.attempt != Some(attempt) {
            self.record.attempt = Some(attempt);
            self.record.sequence = 0;
        }
    }

    async fn report(
        &mut self,
        state: AttemptState,
        message: Option<String>,
    ) -> Result<Heard, Gone> {
        self.show(Stage::Attempt(state));
        let heard = self.send_report(state, None, message).await?;
        if state.is_finished() {
            self.fleet.board.finished(state);
        }
        Ok(heard)
    }

    async fn progress(&mut self, percent: u8) -> Result<Heard, Gone> {
        self.send_report(AttemptState::Downloading, Some(percent), None)
            .await
    }

    /// Sends a report until it is heard; one that is refused is dropped, as real agents do.
    async fn send_report(
        &mut self,
        state: AttemptState,
        progress: Option<u8>,
        message: Option<String>,
    ) -> Result<Heard, Gone> {
        let Some(attempt) = self.record.attempt else {
            return Ok(Heard::GoOn);
        };
        self.record.sequence += 1;
        self.save();
        let body = AttemptReport {
            sequence: self.record.sequence,
            state,
            progress,
            message,
            version: Some(self.record.version.clone()),
            at: Some(now()),
        };
        let (id, token) = (attempt.to_string(), self.record.token.as_deref());
        let path = ["attempts", id.as_str(), "reports"];
        let fleet = &self.fleet;
        match fleet.link.post::<ReportReply>(&path, token, &body).await {
            Ok(reply) if reply.state.is_finished() && reply.state != state => Ok(Heard::Over),
            Ok(_) => Ok(Heard::GoOn),
            Err(problem) if problem.code == ProblemCode::Unauthenticated => Err(problem.into()),
            Err(problem) => {
                fleet.board.dropped_report(&problem.detail);
                Ok(Heard::GoOn)
            }
        }
    }

    /// Returns how long to wait until the next check-in.
    fn pause(&self, server_sec: u32) -> Duration {
        let server = Duration::from_secs(server_sec.into());
        self.fleet
            .settings
            .interval
            .map_or(server, |cap| server.min(cap))
    }

    fn save(&self) {
        if let Err(error) = self.fleet.store.save(&self.record) {
            self.fleet
                .stop(format!("the devices' state can't be kept: {error}"));
        }
    }

    fn show(&self, stage: Stage) {
        let version = self.record.version.clone();
        self.fleet.board.set(self.seat, stage, version);
    }
}

/// What the server said to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// The attempt goes on.
    GoOn,
    /// It ended on the server, by another word.
    Over,
}

impl Heard {
    fn is_over(self) -> bool {
        self == Self::Over
    }
}
