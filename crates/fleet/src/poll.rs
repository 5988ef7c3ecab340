//! What every dialect's poll is: what the device says is taken in, decided upon, and granted. Idle, it touches neither disk
//! nor database.

use std::sync::Arc;

use otter_protocol::admin::ChangeKind;
use otter_protocol::check_in::{CheckIn, Reason};
use otter_protocol::clock_off::{clock_off_sec, has_moved, notable};
use otter_protocol::decision::Action;
use otter_protocol::device::{Device, Dialect, OpenAttempt, Pairs};
use otter_protocol::rule::Outcome;
use otter_protocol::{AttemptId, Decision, Plan, ReleaseId, RolloutId, Timestamp, decide};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use crate::entity::device;
use crate::error::{Error, Result, is_duplicate};
use crate::fleet::Fleet;
use crate::grant::Grant;
use crate::known_device::{KnownDevice, open_attempt_of};

/// Most keys of metadata, and most bytes of a key or value.
const MAX_METADATA: (usize, usize) = (64, 1024);

/// Most bytes of a version.
const MAX_VERSION: usize = 100;

/// A poll, before a dialect says it in its own words.
#[derive(Debug)]
pub(crate) struct Polled {
    /// The device as it is now.
    pub(crate) known: Arc<KnownDevice>,
    /// Everything that was weighed.
    pub(crate) decision: Decision,
    /// What comes of it.
    pub(crate) answer: Answered,
}

/// What comes of a poll.
#[derive(Debug)]
pub(crate) enum Answered {
    /// An attempt is under way, granted now or before.
    Offered {
        /// That attempt.
        attempt: AttemptId,
        /// With this release.
        release: ReleaseId,
    },
    /// The attempt under way is taken back.
    Cancelled {
        /// That attempt.
        attempt: AttemptId,
    },
    /// Nothing, for these reasons.
    Nothing(Vec<Reason>),
}

impl Fleet {
    /// Takes what a device says of itself in a dialect, decides, and grants what it decides: what every dialect's poll is.
    pub(crate) async fn poll(
        &self,
        known: &Arc<KnownDevice>,
        check_in: CheckIn,
        dialect: Dialect,
        now: Timestamp,
    ) -> Result<Polled> {
        check_sizes(&check_in)?;
        let known = self.take_report(known, check_in, dialect, now).await?;
        let plan = self.plan();
        let decision = decide(&known.device, &plan, now);
        let answer = match &decision.action {
            Action::Begin { rollout, .. } => self.begin(&known, &plan, *rollout).await?,
            Action::Continue { attempt, release } => Answered::Offered {
                attempt: *attempt,
                release: *release,
            },
            Action::Cancel { attempt } => Answered::Cancelled { attempt: *attempt },
            Action::Wait => Answered::Nothing(reasons_of(&decision)),
        };
        Ok(Polled {
            known,
            decision,
            answer,
        })
    }

    /// Notes what the device says of itself; writes only what an operator would miss.
    async fn take_report(
        &self,
        known: &Arc<KnownDevice>,
        check_in: CheckIn,
        dialect: Dialect,
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
        self.inner.sampling.count_check_in();
        let identity_changed = device.version != check_in.version
            || device.dialect != dialect
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
            dialect,
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
            proves_itself: known.proves_itself,
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
            dialect: Set(updated.dialect.as_str().to_owned()),
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
    ) -> Result<Answered> {
        let before = self.forgotten();
        let grant = match self.grant(&known.device, plan, rollout).await {
            // Another server was quicker; the device's next check-in finds the attempt.
            Err(Error::Database(error)) if is_duplicate(&error) => {
                self.forget_device(&known.device.id);
                return Ok(Answered::Nothing(vec![]));
            }
            other => other?,
        };
        match grant {
            Grant::Granted(row) => {
                let open = open_attempt_of(&row)?;
                let offered = Answered::Offered {
                    attempt: open.id,
                    release: open.release,
                };
                self.remember(&with_attempt(known, Some(open), self.now()), before);
                Ok(offered)
            }
            Grant::Refused(outcomes) => Ok(Answered::Nothing(
                outcomes
                    .iter()
                    .map(|outcome| reason_of(rollout, outcome))
                    .collect(),
            )),
            Grant::Over => {
                self.renew_plan().await?;
                Ok(Answered::Nothing(vec![]))
            }
        }
    }
}

/// Returns the device with its attempt under way set anew.
fn with_attempt(
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
        proves_itself: known.proves_itself,
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
