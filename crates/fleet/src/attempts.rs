//! Attempts: granted under the rollout's limit, moved by reports, counted in their phase.

use std::collections::HashMap;

use otter_protocol::admin::{AttemptDetail, AttemptSummary, ChangeKind};
use otter_protocol::check_in::AttemptStep;
use otter_protocol::device::Device;
use otter_protocol::rollout::RolloutState;
use otter_protocol::{
    AttemptId, AttemptReport, AttemptState, DeviceId, ReleaseId, RolloutId, Timestamp,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait,
    NotSet, QueryFilter, QueryOrder, QuerySelect,
};

use crate::database::{self, is_postgres};
use crate::entity::{attempt, attempt_log, attempt_step, release, rollout, rollout_phase};
use crate::error::{Error, Result};
use crate::fleet::Fleet;

/// A grant, or why there is none.
#[derive(Debug)]
pub(crate) enum Grant {
    /// The attempt that now is under way, new or found.
    Granted(Box<attempt::Model>),
    /// As many are under way as may be.
    Full,
    /// The rollout doesn't offer any more.
    Over,
}

impl Fleet {
    /// Grants an attempt in one short transaction that holds the in-flight limit, however many servers there are.
    pub(crate) async fn grant(
        &self,
        device: &Device,
        rollout: RolloutId,
        release: ReleaseId,
        phase: u32,
    ) -> Result<Grant> {
        let tx = database::begin(self.db()).await?;
        let mut query = rollout::Entity::find_by_id(rollout.0);
        if is_postgres(tx.get_database_backend()) {
            query = query.lock_exclusive();
        }
        let Some(row) = query.one(&tx).await? else {
            return Ok(Grant::Over);
        };
        if row.state != RolloutState::Running.as_str() {
            return Ok(Grant::Over);
        }
        if let Some(open) = open_attempt(&tx, &device.id).await? {
            return Ok(Grant::Granted(Box::new(open)));
        }
        let spec = crate::rollouts::spec_of(&row)?;
        let phases = rollout_phase::Entity::find()
            .filter(rollout_phase::Column::RolloutId.eq(rollout.0))
            .all(&tx)
            .await?;
        let under_way: i64 = phases.iter().map(|phase| phase.under_way).sum();
        if spec
            .max_in_flight
            .is_some_and(|most| under_way >= i64::from(most))
        {
            return Ok(Grant::Full);
        }
        let granted = insert_attempt(&tx, device, &row, release, phase, self.now()).await?;
        tx.commit().await?;
        self.count_in_flight(rollout, |count| count.saturating_add(1));
        self.changed(ChangeKind::Rollout, rollout);
        self.changed(ChangeKind::Device, &device.id);
        Ok(Grant::Granted(Box::new(granted)))
    }

    /// Returns the newest attempt of each device named.
    pub(crate) async fn latest_attempts(
        &self,
        devices: &[String],
    ) -> Result<HashMap<String, AttemptSummary>> {
        let newest = attempt::Entity::find()
            .select_only()
            .column_as(attempt::Column::Id.max(), "newest")
            .filter(attempt::Column::DeviceId.is_in(devices))
            .group_by(attempt::Column::DeviceId)
            .into_tuple::<i32>()
            .all(self.db())
            .await?;
        let rows = attempt::Entity::find()
            .filter(attempt::Column::Id.is_in(newest))
            .all(self.db())
            .await?;
        rows.into_iter()
            .map(|row| Ok((row.device_id.clone(), summary_of(row)?)))
            .collect()
    }

    /// Returns a device's newest attempts with every step.
    pub(crate) async fn attempts_of_device(
        &self,
        device: &DeviceId,
        most: u64,
    ) -> Result<Vec<AttemptDetail>> {
        let rows = attempt::Entity::find()
            .filter(attempt::Column::DeviceId.eq(device.as_str()))
            .order_by_desc(attempt::Column::Id)
            .limit(most)
            .all(self.db())
            .await?;
        let ids: Vec<i32> = rows.iter().map(|row| row.id).collect();
        let steps = attempt_step::Entity::find()
            .filter(attempt_step::Column::AttemptId.is_in(ids.clone()))
            .order_by_asc(attempt_step::Column::Sequence)
            .all(self.db())
            .await?;
        let with_log: Vec<i32> = attempt_log::Entity::find()
            .select_only()
            .column(attempt_log::Column::AttemptId)
            .filter(attempt_log::Column::AttemptId.is_in(ids))
            .into_tuple()
            .all(self.db())
            .await?;
        let mut by_attempt: HashMap<i32, Vec<AttemptStep>> = HashMap::new();
        for step in steps {
            by_attempt
                .entry(step.attempt_id)
                .or_default()
                .push(step_of(step)?);
        }
        rows.into_iter()
            .map(|row| {
                let (steps, has_log) = (
                    by_attempt.remove(&row.id).unwrap_or_default(),
                    with_log.contains(&row.id),
                );
                Ok(AttemptDetail {
                    summary: summary_of(row)?,
                    steps,
                    has_log,
                })
            })
            .collect()
    }
}

/// Returns a device's attempt that isn't at its end.
pub(crate) async fn open_attempt(
    tx: &DatabaseTransaction,
    device: &DeviceId,
) -> Result<Option<attempt::Model>> {
    Ok(attempt::Entity::find()
        .filter(attempt::Column::DeviceId.eq(device.as_str()))
        .filter(attempt::Column::FinishedAt.is_null())
        .one(tx)
        .await?)
}

async fn insert_attempt(
    tx: &DatabaseTransaction,
    device: &Device,
    rollout: &rollout::Model,
    release: ReleaseId,
    phase: u32,
    now: Timestamp,
) -> Result<attempt::Model> {
    let release = release::Entity::find_by_id(release.0).one(tx).await?;
    let release =
        release.ok_or_else(|| Error::Corrupt(format!("rollout {} has no release", rollout.id)))?;
    let phase = i32::try_from(phase).unwrap_or(i32::MAX);
    let row = attempt::ActiveModel {
        id: NotSet,
        uuid: Set(uuid::Uuid::new_v4().to_string()),
        device_id: Set(device.id.to_string()),
        rollout_id: Set(rollout.id),
        release_id: Set(release.id),
        version: Set(release.version),
        from_version: Set(device.version.to_string()),
        phase: Set(phase),
        state: Set(AttemptState::Offered.as_str().to_owned()),
        progress: Set(None),
        message: Set(None),
        last_sequence: Set(0),
        created_at: Set(now.0),
        updated_at: Set(now.0),
        finished_at: Set(None),
    };
    let row = attempt::Entity::insert(row).exec_with_returning(tx).await?;
    rollout_phase::Entity::update_many()
        .col_expr(
            rollout_phase::Column::UnderWay,
            Expr::col(rollout_phase::Column::UnderWay).add(1),
        )
        .filter(rollout_phase::Column::RolloutId.eq(rollout.id))
        .filter(rollout_phase::Column::Position.eq(phase))
        .exec(tx)
        .await?;
    rollout_phase::Entity::update_many()
        .col_expr(
            rollout_phase::Column::Waiting,
            Expr::col(rollout_phase::Column::Waiting).sub(1),
        )
        .filter(rollout_phase::Column::RolloutId.eq(rollout.id))
        .filter(rollout_phase::Column::Position.eq(phase))
        .filter(rollout_phase::Column::Waiting.gt(0))
        .exec(tx)
        .await?;
    Ok(row)
}

/// Counts an attempt's end in its phase, in the transaction that ends it.
pub(crate) async fn count_end(
    tx: &DatabaseTransaction,
    row: &attempt::Model,
    end: AttemptState,
) -> Result<()> {
    use rollout_phase::Column;
    let column = match end {
        AttemptState::Succeeded => Column::Succeeded,
        AttemptState::Failed => Column::Failed,
        AttemptState::RolledBack => Column::RolledBack,
        AttemptState::TimedOut => Column::TimedOut,
        _ => Column::Cancelled,
    };
    rollout_phase::Entity::update_many()
        .col_expr(Column::UnderWay, Expr::col(Column::UnderWay).sub(1))
        .col_expr(column, Expr::col(column).add(1))
        .filter(Column::RolloutId.eq(row.rollout_id))
        .filter(Column::Position.eq(row.phase))
        .exec(tx)
        .await?;
    Ok(())
}

/// Reads an attempt's row.
pub(crate) fn summary_of(row: attempt::Model) -> Result<AttemptSummary> {
    let corrupt = |what: &str| Error::Corrupt(format!("{what} of attempt {}", row.id));
    Ok(AttemptSummary {
        id: AttemptId(row.id),
        uuid: row.uuid.parse().map_err(|_| corrupt("the uuid"))?,
        device: DeviceId::new(&row.device_id).map_err(|_| corrupt("the device"))?,
        rollout: RolloutId(row.rollout_id),
        release: ReleaseId(row.release_id),
        version: row.version.as_str().into(),
        from_version: row.from_version.as_str().into(),
        phase: u32::try_from(row.phase).map_err(|_| corrupt("the phase"))?,
        state: AttemptState::named(&row.state).ok_or_else(|| corrupt("the state"))?,
        progress: row
            .progress
            .and_then(|progress| u8::try_from(progress).ok()),
        created_at: Timestamp(row.created_at),
        updated_at: Timestamp(row.updated_at),
        finished_at: row.finished_at.map(Timestamp),
        message: row.message,
    })
}

fn step_of(row: attempt_step::Model) -> Result<AttemptStep> {
    let corrupt = || {
        Error::Corrupt(format!(
            "step {} of attempt {}",
            row.sequence, row.attempt_id
        ))
    };
    Ok(AttemptStep {
        report: AttemptReport {
            sequence: u32::try_from(row.sequence).map_err(|_| corrupt())?,
            state: AttemptState::named(&row.state).ok_or_else(corrupt)?,
            progress: row
                .progress
                .and_then(|progress| u8::try_from(progress).ok()),
            version: row.version.as_deref().map(Into::into),
            at: row.at.map(Timestamp),
            message: row.message,
        },
        received_at: Timestamp(row.received_at),
    })
}
