//! How many devices each phase still waits for. A rollout keeps no row per device, so they are counted over the fleet.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use otter_protocol::decision::{consider, phase_of};
use otter_protocol::device::{Device, DeviceState, PastAttempts};
use otter_protocol::plan::PlannedRollout;
use otter_protocol::{AttemptState, Plan, RolloutId, Timestamp};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect};

use crate::entity::rollout_phase::Column;
use crate::entity::{attempt, device, rollout_phase};
use crate::error::Result;
use crate::fleet::Fleet;
use crate::known_device::device_of;
use crate::rollouts::phases_of;

/// The least time between two counts.
const AT_LEAST: Duration = Duration::from_millis(500);

/// The part of the engine's time that counting may take: one in so many.
const ONE_IN: u32 = 20;

/// When which rollout was counted, so that counting a large fleet leaves time for everything else.
#[derive(Debug, Default)]
pub(crate) struct WaitingCounts {
    next: Mutex<HashMap<RolloutId, Instant>>,
}

impl WaitingCounts {
    fn is_due(&self, id: RolloutId) -> bool {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.get(&id).is_none_or(|next| *next <= Instant::now())
    }

    fn counted(&self, id: RolloutId, took: Duration) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.insert(id, Instant::now() + (took * ONE_IN).max(AT_LEAST));
    }
}

impl Fleet {
    /// Forgets when devices were counted, so that the engine's next look counts them anew.
    pub fn count_anew(&self) {
        let mut next = self
            .inner
            .waiting
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        next.clear();
    }

    /// Counts the devices that each phase of a rollout still waits for, unless that was done a moment ago.
    pub(super) async fn count_waiting(&self, id: RolloutId) -> Result<()> {
        let plan = self.plan();
        let Some(planned) = plan.rollout(id) else {
            return Ok(());
        };
        if !self.inner.waiting.is_due(id) {
            return Ok(());
        }
        let started = Instant::now();
        let before = phases_of(self.db(), &[id.0]).await?;
        let counts = self.waiting_by_phase(&plan, planned, self.now()).await?;
        self.inner.waiting.counted(id, started.elapsed());
        for phase in before {
            let position = usize::try_from(phase.position).unwrap_or(usize::MAX);
            let waiting = counts.get(&position).copied().unwrap_or(0);
            rollout_phase::Entity::update_many()
                .set(rollout_phase::ActiveModel {
                    waiting: Set(Some(waiting)),
                    ..Default::default()
                })
                .filter(Column::RolloutId.eq(id.0))
                .filter(Column::Position.eq(phase.position))
                .filter(Column::Waiting.is_null().or(Column::Waiting.ne(waiting)))
                // What began meanwhile was counted down already; a later count takes in the rest.
                .filter(Column::Waiting.is_null().or(begun().eq(begun_in(&phase))))
                .exec(self.db())
                .await?;
        }
        Ok(())
    }

    async fn waiting_by_phase(
        &self,
        plan: &Plan,
        planned: &PlannedRollout,
        now: Timestamp,
    ) -> Result<HashMap<usize, i64>> {
        let failures = self.failures_by_device(planned.rollout.id).await?;
        let models = planned.release.models();
        let under_way = Query::select()
            .expr(Expr::val(1))
            .from(attempt::Entity)
            .and_where(
                Expr::col((attempt::Entity, attempt::Column::DeviceId))
                    .equals((device::Entity, device::Column::Id)),
            )
            .and_where(attempt::Column::RolloutId.eq(planned.rollout.id.0))
            .and_where(attempt::Column::FinishedAt.is_null())
            .to_owned();
        let mut rows = device::Entity::find()
            .filter(device::Column::State.eq(DeviceState::Accepted.as_str()))
            .filter(device::Column::Model.is_in(models.iter().map(|model| model.as_str())))
            .filter(device::Column::Version.ne(planned.release.version.as_str()))
            .filter(device::Column::Hold.is_null())
            .filter(Expr::exists(under_way).not())
            .stream(self.db())
            .await?;
        let mut counts = HashMap::new();
        while let Some(row) = rows.try_next().await? {
            let failures = failures.get(&row.id).copied().unwrap_or(0);
            let past = BTreeMap::from([(
                planned.rollout.id,
                PastAttempts {
                    failures,
                    last: None,
                },
            )]);
            let device = Device {
                past,
                ..device_of(row)?
            };
            if let Some(phase) = phase_of(&device, plan, planned)
                && consider(&device, plan, planned, now).awaits()
            {
                *counts.entry(phase as usize).or_default() += 1;
            }
        }
        Ok(counts)
    }

    /// Returns how often each device failed in a rollout.
    async fn failures_by_device(&self, id: RolloutId) -> Result<HashMap<String, u32>> {
        let failed = AttemptState::ALL
            .into_iter()
            .filter(|state| state.is_failure())
            .map(AttemptState::as_str);
        let rows: Vec<(String, i64)> = attempt::Entity::find()
            .select_only()
            .column(attempt::Column::DeviceId)
            .column_as(attempt::Column::Id.count(), "failures")
            .filter(attempt::Column::RolloutId.eq(id.0))
            .filter(attempt::Column::State.is_in(failed))
            .group_by(attempt::Column::DeviceId)
            .into_tuple()
            .all(self.db())
            .await?;
        Ok(rows
            .into_iter()
            .map(|(device, count)| (device, u32::try_from(count).unwrap_or(u32::MAX)))
            .collect())
    }
}

/// The attempts that ever began in a phase, for the database to add up: only rises.
fn begun() -> Expr {
    [
        Column::Failed,
        Column::RolledBack,
        Column::TimedOut,
        Column::Cancelled,
        Column::UnderWay,
    ]
    .into_iter()
    .fold(Expr::col(Column::Succeeded), |sum, column| {
        sum.add(Expr::col(column))
    })
}

/// The same of a phase that was read.
fn begun_in(phase: &rollout_phase::Model) -> i64 {
    phase.succeeded
        + phase.failed
        + phase.rolled_back
        + phase.timed_out
        + phase.cancelled
        + phase.under_way
}
