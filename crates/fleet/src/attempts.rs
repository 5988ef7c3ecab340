//! Attempts, as they are counted and read.

use std::collections::HashMap;

use otter_protocol::admin::{AttemptDetail, AttemptSummary};
use otter_protocol::attempt::AttemptPurpose;
use otter_protocol::check_in::AttemptStep;
use otter_protocol::{
    AttemptId, AttemptReport, AttemptState, DeviceId, ReleaseId, RolloutId, Timestamp,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use crate::actor::Actor;
use crate::audit::{Happening, record};
use crate::entity::{attempt, attempt_log, attempt_step, device, rollout, rollout_phase};
use crate::error::{Error, Result};
use crate::fleet::Fleet;

impl Fleet {
    /// Counts an attempt's end in what is known here of its rollout's load.
    pub(crate) fn attempt_ended(&self, row: &attempt::Model) {
        let phase = u32::try_from(row.phase).unwrap_or(u32::MAX);
        self.change_load(RolloutId(row.rollout_id), |load| load.end(phase));
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

/// Ends an attempt: counts it in its phase and against its device, in the transaction that writes its end.
pub(crate) async fn count_end(
    tx: &DatabaseTransaction,
    row: &attempt::Model,
    end: AttemptState,
    now: Timestamp,
) -> Result<()> {
    use rollout_phase::Column;
    let column = match end {
        AttemptState::Succeeded if purpose_of(row)? == AttemptPurpose::Step => Column::Stepped,
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
    count_failures_in_row(tx, row, end, now).await
}

/// Counts how often a device failed in a row, and holds one that does so again and again.
async fn count_failures_in_row(
    tx: &DatabaseTransaction,
    row: &attempt::Model,
    end: AttemptState,
    now: Timestamp,
) -> Result<()> {
    let Some(device) = device::Entity::find_by_id(&row.device_id).one(tx).await? else {
        return Ok(());
    };
    let failures = match end {
        AttemptState::Succeeded => 0,
        end if end.is_failure() => device.failures_in_row.saturating_add(1),
        _ => return Ok(()),
    };
    if failures == device.failures_in_row {
        return Ok(());
    }
    let mut change = device::ActiveModel {
        id: Set(device.id.clone()),
        failures_in_row: Set(failures),
        ..Default::default()
    };
    let limit = hold_after(tx, row.rollout_id).await?;
    let holds = device.hold.is_none() && limit.is_some_and(|limit| failures >= limit);
    if !holds {
        device::Entity::update(change).exec(tx).await?;
        return Ok(());
    }
    let reason = format!(
        "It failed {failures} times in a row; the last was an attempt at {}.",
        row.version
    );
    change.hold = Set(Some(reason.clone()));
    // Counted anew once an operator lets it go.
    change.failures_in_row = Set(0);
    device::Entity::update(change).exec(tx).await?;
    let happening = Happening::new(&Actor::Engine, "device.hold", "device", &device.id)
        .after(serde_json::json!({ "hold": reason }));
    record(tx, now, happening).await
}

/// Returns after how many failures in a row a rollout has a device held.
async fn hold_after(tx: &DatabaseTransaction, rollout: i64) -> Result<Option<i32>> {
    let row = rollout::Entity::find_by_id(rollout).one(tx).await?;
    let spec = row.map(|row| crate::rollouts::spec_of(&row)).transpose()?;
    Ok(spec
        .and_then(|spec| spec.hold_after)
        .and_then(|limit| i32::try_from(limit).ok()))
}

/// Reads what an attempt is for.
pub(crate) fn purpose_of(row: &attempt::Model) -> Result<AttemptPurpose> {
    AttemptPurpose::named(&row.purpose)
        .ok_or_else(|| Error::Corrupt(format!("the purpose of attempt {}", row.id)))
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
        purpose: purpose_of(&row)?,
        unhealthy_at: row.unhealthy_at.map(Timestamp),
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
