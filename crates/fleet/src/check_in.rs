//! The native dialect's poll: a report in, an instruction out, and when to come back.

use std::sync::Arc;

use otter_protocol::check_in::{CheckIn, CheckInReply, Instruction, Offer, OfferedArtifact};
use otter_protocol::clock_off::{clock_off_sec, notable};
use otter_protocol::device::{Device, Dialect};
use otter_protocol::rule::{Outcome, Rule};
use otter_protocol::{AttemptId, Cohort, Decision, ReleaseId, RolloutId, Timestamp};
use rand::RngExt;
use sea_orm::EntityTrait;

use crate::entity::attempt;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::known_device::KnownDevice;
use crate::poll::{Answered, Polled};

impl Fleet {
    /// Takes a device's check-in and answers what to do.
    pub async fn check_in(
        &self,
        known: &Arc<KnownDevice>,
        check_in: CheckIn,
    ) -> Result<CheckInReply> {
        let now = self.now();
        let claimed = check_in.attempt;
        let clock_off_sec = check_in.at.map(|at| clock_off_sec(at, now));
        let Polled {
            known,
            decision,
            answer,
        } = self.poll(known, check_in, Dialect::Native, now).await?;
        let (instruction, reasons) = match answer {
            Answered::Offered { attempt, release } => {
                let offer = self.offer_of(&known.device, attempt, release).await?;
                (offer, vec![])
            }
            Answered::Cancelled { attempt } => (Instruction::Cancel { attempt }, vec![]),
            // The device goes on with an attempt that has come to its end here.
            Answered::Nothing(reasons) => match claimed {
                Some(attempt) => (Instruction::Cancel { attempt }, vec![]),
                None => (Instruction::Wait, reasons),
            },
        };
        let come_back_at = match instruction {
            Instruction::Wait => self.come_back_at(&known.device, &decision),
            _ => None,
        };
        let next_check_in_sec = self.next_check_in_sec(&instruction, come_back_at, now);
        Ok(CheckInReply {
            instruction,
            next_check_in_sec,
            come_back_at,
            clock_off_sec: clock_off_sec.and_then(notable),
            server_time: now,
            reasons,
        })
    }

    /// Puts an offer together; without an artifact for the device the attempt is taken back.
    async fn offer_of(
        &self,
        device: &Device,
        attempt: AttemptId,
        release: ReleaseId,
    ) -> Result<Instruction> {
        let plan = self.plan();
        // Without a counter nobody signed it: it was offered while the device spoke another dialect.
        let found = plan.release(release).and_then(|release| {
            let artifact = release.artifact_for(&device.model)?;
            Some((release, artifact, release.release_counter?))
        });
        let Some((release, artifact, release_counter)) = found else {
            return Ok(Instruction::Cancel { attempt });
        };
        let row = self.attempt_row(attempt).await?;
        let attempt_uuid = row.uuid.parse();
        Ok(Instruction::Install(Offer {
            attempt,
            attempt_uuid: attempt_uuid
                .map_err(|_| Error::Corrupt(format!("attempt {attempt} has no uuid")))?,
            rollout: RolloutId(row.rollout_id),
            release: release.id,
            version: release.version.clone(),
            release_counter,
            required: release.required,
            artifact: OfferedArtifact {
                sha256: artifact.sha256,
                size: artifact.size,
                kind: artifact.kind,
                url: format!("/device/v1/artifacts/{}", artifact.sha256),
            },
        }))
    }

    async fn attempt_row(&self, attempt: AttemptId) -> Result<attempt::Model> {
        let row = attempt::Entity::find_by_id(attempt.0)
            .one(self.db())
            .await?;
        row.ok_or_else(|| Error::Corrupt(format!("attempt {attempt} isn't there")))
    }

    /// Returns when a rollout that waits for nothing but its window may take the device. Each device has its own place in
    /// the first interval after the opening, by its cohort, so that they come evenly.
    fn come_back_at(&self, device: &Device, decision: &Decision) -> Option<Timestamp> {
        let opens_at = decision
            .considered
            .iter()
            .filter(|one| one.awaits())
            .flat_map(|one| one.blockers())
            .filter(|outcome| outcome.rule == Rule::WindowOpen)
            .filter_map(Outcome::changes_at)
            .min()?;
        let interval_ms = i64::from(self.config().check_in_interval_sec) * 1000;
        let place = Cohort::fixed(&device.id).as_percent() / 100.0;
        // A part of the interval; casts of floats saturate.
        let spread = (interval_ms as f64 * place) as i64;
        Some(Timestamp(opens_at.0.saturating_add(spread)))
    }

    /// Spreads check-ins by a tenth, so that a fleet that was started at once doesn't poll at once. A device that is to
    /// come back about within the interval comes then, not a moment before.
    fn next_check_in_sec(
        &self,
        instruction: &Instruction,
        come_back_at: Option<Timestamp>,
        now: Timestamp,
    ) -> u32 {
        let config = self.config();
        let sec = match instruction {
            Instruction::Wait => config.check_in_interval_sec,
            Instruction::Install(_) | Instruction::Cancel { .. } => {
                config.busy_check_in_interval_sec
            }
        };
        // Rounded up, so that it doesn't come a moment too early.
        let until = come_back_at.map(|at| at.sec_since(now).saturating_add(1));
        if let Some(until) = until.and_then(|until| u32::try_from(until).ok())
            && until <= sec.saturating_add(sec / 10 + 1)
        {
            return until.max(1);
        }
        let spread = f64::from(sec) * rand::rng().random_range(0.9..=1.1);
        // At most 1.1 times a number of 32 bits; casts of floats saturate.
        (spread.round() as u32).max(1)
    }
}
