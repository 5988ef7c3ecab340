//! The device's poll: its report in, a decision out. Idle, it touches neither disk nor database.

use std::sync::Arc;

use otter_protocol::admin::ChangeKind;
use otter_protocol::check_in::{
    CheckIn, CheckInReply, Instruction, Offer, OfferedArtifact, Reason,
};
use otter_protocol::clock_off::{clock_off_sec, has_moved, notable};
use otter_protocol::decision::Action;
use otter_protocol::device::{Device, OpenAttempt, Pairs};
use otter_protocol::rule::{Outcome, Rule};
use otter_protocol::{AttemptId, Cohort, Decision, Plan, ReleaseId, RolloutId, Timestamp, decide};
use rand::RngExt;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use crate::entity::{attempt, device};
use crate::error::{Error, Result, is_duplicate};
use crate::fleet::Fleet;
use crate::grant::Grant;
use crate::known_device::{KnownDevice, open_attempt_of};

/// Most keys of metadata, and most bytes of a key or value.
const MAX_METADATA: (usize, usize) = (64, 1024);

/// Most bytes of a version.
const MAX_VERSION: usize = 100;

impl Fleet {
    /// Takes a device's check-in and answers what to do.
    pub async fn check_in(
        &self,
        known: &Arc<KnownDevice>,
        check_in: CheckIn,
    ) -> Result<CheckInReply> {
        check_sizes(&check_in)?;
        let now = self.now();
        let claimed = check_in.attempt;
        let clock_off_sec = check_in.at.map(|at| clock_off_sec(at, now));
        let known = self.take_report(known, check_in, now).await?;
        let plan = self.plan();
        let decision = decide(&known.device, &plan, now);
        let (instruction, reasons) = match &decision.action {
            Action::Begin { rollout, .. } => self.begin(&known, &plan, *rollout).await?,
            Action::Continue { attempt, release } => {
                let rollout = known.device.attempt.as_ref().map(|open| open.rollout);
                (
                    self.offer_of(&known.device, &plan, *attempt, rollout, *release)
                        .await?,
                    vec![],
                )
            }
            Action::Cancel { attempt } => (Instruction::Cancel { attempt: *attempt }, vec![]),
            // The device goes on with an attempt that has come to its end here.
            Action::Wait => match claimed {
                Some(attempt) => (Instruction::Cancel { attempt }, vec![]),
                None => (Instruction::Wait, reasons_of(&decision)),
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

    /// Notes what the device says of itself; writes only what an operator would miss.
    async fn take_report(
        &self,
        known: &Arc<KnownDevice>,
        check_in: CheckIn,
        now: Timestamp,
    ) -> Result<Arc<KnownDevice>> {
        let device = &known.device;
        let conditions_changed = device.conditions != check_in.conditions;
        let conditions = conditions_changed.then(|| check_in.conditions.clone());
        let clock_off = check_in.at.map(|at| clock_off_sec(at, now));
        let clock_off = clock_off.filter(|off| has_moved(known.clock_off_sec, *off));
        self.inner
            .presence
            .note(&device.id, now, conditions, clock_off);
        let identity_changed = device.version != check_in.version
            || device.bootloader_version != check_in.bootloader_version
            || says_news(device, check_in.metadata.as_ref());
        if !identity_changed && !conditions_changed && clock_off.is_none() {
            return Ok(known.clone());
        }
        let health_changed = device.conditions.is_healthy != check_in.conditions.is_healthy;
        let before = self.forgotten();
        let updated = Device {
            version: check_in.version,
            bootloader_version: check_in.bootloader_version,
            metadata: check_in.metadata.unwrap_or_else(|| device.metadata.clone()),
            conditions: check_in.conditions,
            ..device.clone()
        };
        if identity_changed {
            self.write_identity(&updated, check_in.agent_version, now)
                .await?;
            self.changed(ChangeKind::Device, &updated.id);
        }
        if health_changed {
            self.note_health(&updated, now).await?;
        }
        let known = Arc::new(KnownDevice {
            device: updated,
            token: known.token,
            pace: known.pace.clone(),
            as_of: known.as_of,
            clock_off_sec: clock_off.map_or(known.clock_off_sec, notable),
        });
        self.remember(&known, before);
        Ok(known)
    }

    async fn write_identity(
        &self,
        updated: &Device,
        agent_version: Option<String>,
        now: Timestamp,
    ) -> Result<()> {
        let metadata = serde_json::to_string(&updated.metadata)
            .map_err(|error| Error::Corrupt(error.to_string()))?;
        let change = device::ActiveModel {
            version: Set(updated.version.to_string()),
            bootloader_version: Set(updated.bootloader_version.as_ref().map(ToString::to_string)),
            metadata: Set(metadata),
            agent_version: Set(agent_version),
            updated_at: Set(now.0),
            last_seen_at: Set(Some(now.0)),
            ..Default::default()
        };
        device::Entity::update_many()
            .set(change)
            .filter(device::Column::Id.eq(updated.id.as_str()))
            .exec(self.db())
            .await?;
        Ok(())
    }

    async fn begin(
        &self,
        known: &Arc<KnownDevice>,
        plan: &Plan,
        rollout: RolloutId,
    ) -> Result<(Instruction, Vec<Reason>)> {
        let before = self.forgotten();
        let grant = match self.grant(&known.device, plan, rollout).await {
            // Another server was quicker; the device's next check-in finds the attempt.
            Err(Error::Database(error)) if is_duplicate(&error) => {
                self.forget_device(&known.device.id);
                return Ok((Instruction::Wait, vec![]));
            }
            other => other?,
        };
        match grant {
            Grant::Granted(row) => {
                let open = open_attempt_of(&row)?;
                let rollout = Some(open.rollout);
                let offer = self
                    .offer_of(&known.device, plan, open.id, rollout, open.release)
                    .await?;
                self.remember(&with_attempt(known, Some(open), self.now()), before);
                Ok((offer, vec![]))
            }
            Grant::Refused(outcomes) => Ok((
                Instruction::Wait,
                outcomes
                    .iter()
                    .map(|outcome| reason_of(rollout, outcome))
                    .collect(),
            )),
            Grant::Over => {
                self.renew_plan().await?;
                Ok((Instruction::Wait, vec![]))
            }
        }
    }

    /// Puts an offer together; without an artifact for the device the attempt is taken back.
    async fn offer_of(
        &self,
        device: &Device,
        plan: &Plan,
        attempt: AttemptId,
        rollout: Option<RolloutId>,
        release: ReleaseId,
    ) -> Result<Instruction> {
        let found = plan
            .release(release)
            .and_then(|release| Some((release, release.artifact_for(&device.model)?)));
        let Some(((release, artifact), rollout)) = found.zip(rollout) else {
            return Ok(Instruction::Cancel { attempt });
        };
        let release_counter = release.release_counter.ok_or_else(|| {
            Error::Corrupt(format!("published release {} has no counter", release.id))
        })?;
        Ok(Instruction::Install(Offer {
            attempt,
            attempt_uuid: self.attempt_uuid(attempt).await?,
            rollout,
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

    async fn attempt_uuid(&self, attempt: AttemptId) -> Result<uuid::Uuid> {
        let row = attempt::Entity::find_by_id(attempt.0)
            .one(self.db())
            .await?;
        let uuid = row.and_then(|row| row.uuid.parse().ok());
        uuid.ok_or_else(|| Error::Corrupt(format!("attempt {attempt} has no uuid")))
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

/// Returns the device with its attempt under way set anew.
pub(crate) fn with_attempt(
    known: &KnownDevice,
    attempt: Option<OpenAttempt>,
    as_of: Timestamp,
) -> Arc<KnownDevice> {
    Arc::new(KnownDevice {
        device: Device {
            attempt,
            ..known.device.clone()
        },
        token: known.token,
        pace: known.pace.clone(),
        as_of,
        clock_off_sec: known.clock_off_sec,
    })
}

fn reasons_of(decision: &Decision) -> Vec<Reason> {
    let of_one = |one: &otter_protocol::decision::Consideration| {
        let rollout = one.rollout;
        one.blockers()
            .map(move |outcome| reason_of(rollout, outcome))
            .collect::<Vec<_>>()
    };
    decision.considered.iter().flat_map(of_one).collect()
}

/// Tells whether a device says something else of itself than before.
fn says_news(device: &Device, metadata: Option<&Pairs>) -> bool {
    metadata.is_some_and(|metadata| device.metadata != *metadata)
}

fn reason_of(rollout: RolloutId, outcome: &Outcome) -> Reason {
    Reason {
        rollout,
        rule: outcome.rule,
        text: outcome.to_string(),
        until: outcome.changes_at(),
    }
}

fn check_sizes(check_in: &CheckIn) -> Result<()> {
    let (most, bytes) = MAX_METADATA;
    let metadata = check_in.metadata.iter().flatten();
    if metadata.clone().count() > most {
        return Err(Error::invalid(
            "metadata",
            format!("a device may say at most {most} things of itself"),
        ));
    }
    let is_long = |text: &String| text.len() > bytes;
    if metadata
        .into_iter()
        .any(|(key, value)| is_long(key) || is_long(value))
    {
        return Err(Error::invalid(
            "metadata",
            format!("keys and values have at most {bytes} bytes"),
        ));
    }
    let versions = [
        Some(&check_in.version),
        check_in.bootloader_version.as_ref(),
    ];
    if versions
        .into_iter()
        .flatten()
        .any(|version| version.as_str().len() > MAX_VERSION)
    {
        return Err(Error::invalid(
            "version",
            format!("a version has at most {MAX_VERSION} bytes"),
        ));
    }
    if check_in
        .conditions
        .time_zone
        .as_ref()
        .is_some_and(|zone| zone.len() > 64)
    {
        return Err(Error::invalid(
            "conditions.time_zone",
            "a time zone has at most 64 bytes",
        ));
    }
    Ok(())
}
