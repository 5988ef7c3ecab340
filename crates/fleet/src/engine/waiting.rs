//! How many devices each phase still waits for. A rollout keeps no row per device, so they are counted over the fleet.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use otter_protocol::decision::Weigher;
use otter_protocol::plan::PlannedRollout;
use otter_protocol::rollout::{PhaseScope, Rollout, RolloutState};
use otter_protocol::{Plan, RolloutId, Timestamp};
use sea_orm::sea_query::{Expr, SelectStatement};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect, QueryTrait,
};

use crate::entity::rollout_phase::Column;
use crate::entity::{rollout, rollout_phase};
use crate::error::Result;
use crate::fleet::Fleet;
use crate::rollouts::{begun_in, phases_of};
use crate::scan::{Look, Scope, Shown};

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
        let offers = matches!(
            planned.rollout.state,
            RolloutState::Running | RolloutState::Paused | RolloutState::RollingBack
        );
        if !offers || !self.inner.waiting.is_due(id) {
            return Ok(());
        }
        let started = Instant::now();
        let before = phases_of(self.db(), &[id.0]).await?;
        let counts = self.waiting_by_phase(&plan, planned, self.now()).await?;
        self.inner.waiting.counted(id, started.elapsed());
        for phase in before {
            let position = u32::try_from(phase.position).unwrap_or(u32::MAX);
            let waiting = counts.get(&position).copied().unwrap_or(0);
            rollout_phase::Entity::update_many()
                .set(rollout_phase::ActiveModel {
                    waiting: Set(Some(waiting)),
                    ..Default::default()
                })
                .filter(Column::RolloutId.in_subquery(as_planned(&planned.rollout)))
                .filter(Column::Position.eq(phase.position))
                .filter(Column::Waiting.is_null().or(Column::Waiting.ne(waiting)))
                // What began meanwhile was counted down already; a later count takes in the rest.
                .filter(Column::Waiting.is_null().or(begun().eq(begun_in(&phase))))
                .exec(self.db())
                .await?;
        }
        Ok(())
    }

    /// Counts the devices that still have to begin, by phase; those that go back under the one after the last.
    async fn waiting_by_phase(
        &self,
        plan: &Plan,
        planned: &PlannedRollout,
        now: Timestamp,
    ) -> Result<HashMap<u32, i64>> {
        let count = Count {
            weigher: Weigher::new(plan.clone(), planned.clone(), now),
            waiting: HashMap::new(),
            unseen_since: now.minus_sec(planned.rollout.spec.unseen_after_sec),
        };
        let counted = self
            .scan(plan, &[planned], Scope::Candidates, count)
            .await?;
        Ok(counted.waiting)
    }
}

/// Finds a rollout as long as nobody has steered it since it was planned: who does makes its devices wait anew.
fn as_planned(planned: &Rollout) -> SelectStatement {
    let retried_upto = planned.retried_upto.map(|attempt| attempt.0);
    rollout::Entity::find()
        .select_only()
        .column(rollout::Column::Id)
        .filter(rollout::Column::Id.eq(planned.id.0))
        .filter(rollout::Column::State.eq(planned.state.as_str()))
        .filter(match retried_upto {
            Some(upto) => rollout::Column::RetriedUpto.eq(upto),
            None => rollout::Column::RetriedUpto.is_null(),
        })
        .into_query()
}

/// Counts the devices that a rollout waits for.
struct Count {
    weigher: Weigher,
    waiting: HashMap<u32, i64>,
    /// Devices that weren't seen since then aren't waited for.
    unseen_since: Timestamp,
}

impl Look for Count {
    fn look(&mut self, shown: &Shown<'_>) {
        let seen_at = shown
            .last_seen_at
            .map_or(shown.device.enrolled_at, Timestamp);
        if shown.device.attempt.is_some() || seen_at < self.unseen_since {
            return;
        }
        let weighed = self.weigher.weigh(shown.device);
        let Some(phase) = weighed.phase.filter(|_| weighed.awaits()) else {
            return;
        };
        *self.waiting.entry(phase).or_default() += 1;
        // Phases that take so many devices fill up as they are counted.
        let planned = self.weigher.planned();
        let is_new = !shown.device.past.contains_key(&planned.rollout.id);
        if is_new && takes_so_many(planned, phase) {
            self.weigher.take_in(phase);
        }
    }
}

/// Tells whether a phase takes so many devices, whichever they are.
pub(crate) fn takes_so_many(planned: &PlannedRollout, phase: u32) -> bool {
    let phase = planned.rollout.spec.phases.get(phase as usize);
    phase.is_some_and(|phase| matches!(phase.scope, PhaseScope::Count { .. }))
}

/// The attempts that ever began in a phase, for the database to add up: only rises.
fn begun() -> Expr {
    [
        Column::Failed,
        Column::RolledBack,
        Column::TimedOut,
        Column::Stepped,
        Column::Cancelled,
        Column::UnderWay,
    ]
    .into_iter()
    .fold(Expr::col(Column::Succeeded), |sum, column| {
        sum.add(Expr::col(column))
    })
}
