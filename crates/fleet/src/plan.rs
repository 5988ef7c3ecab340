//! The plan in memory: loaded as a whole whenever something in it changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use otter_protocol::plan::PlannedRollout;
use otter_protocol::release::Release;
use otter_protocol::rollout::RolloutState;
use otter_protocol::{Plan, ReleaseId, RolloutId};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};

use crate::entity::{release, rollout, rollout_phase};
use crate::error::Result;
use crate::fleet::Fleet;
use crate::releases::load_releases;
use crate::rollouts::{load_of, phases_of, rollout_of};

impl Fleet {
    /// Loads the plan anew.
    pub(crate) async fn renew_plan(&self) -> Result<()> {
        let _one_at_a_time = self.inner.plan_renewal.lock().await;
        let published: Vec<Arc<Release>> = self
            .published_releases()
            .await?
            .into_iter()
            .map(Arc::new)
            .collect();
        let by_id: HashMap<ReleaseId, Arc<Release>> = published
            .iter()
            .map(|release| (release.id, release.clone()))
            .collect();
        let live = RolloutState::ALL
            .into_iter()
            .filter(|state| state.is_live())
            .map(RolloutState::as_str);
        let rows = rollout::Entity::find()
            .filter(rollout::Column::State.is_in(live))
            .all(self.db())
            .await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let mut phases: HashMap<i64, Vec<rollout_phase::Model>> = HashMap::new();
        for phase in phases_of(self.db(), &ids).await? {
            phases.entry(phase.rollout_id).or_default().push(phase);
        }
        let withdrawn = self.releases_rolled_back(&rows).await?;
        let mut planned = Vec::new();
        for row in rows {
            let load = load_of(
                &phases.remove(&row.id).unwrap_or_default(),
                row.next_grant_at,
            );
            let rollout = rollout_of(row)?;
            let id = rollout.spec.release;
            // One whose release was withdrawn is about to be aborted; it offers nothing.
            if let Some(release) = by_id.get(&id).or_else(|| withdrawn.get(&id)) {
                planned.push(PlannedRollout {
                    release: release.clone(),
                    rollout: Arc::new(rollout),
                    load,
                });
            }
        }
        let taken_back = self.rollouts_that_take_back().await?;
        let groups = self.groups().await?;
        self.inner.plan.store(Arc::new(
            Plan::new(planned, published, groups).taking_back(taken_back),
        ));
        Ok(())
    }

    /// Loads the releases of rollouts that roll back: they may be withdrawn by now.
    async fn releases_rolled_back(
        &self,
        rows: &[rollout::Model],
    ) -> Result<HashMap<ReleaseId, Arc<Release>>> {
        let ids: Vec<i64> = rows
            .iter()
            .filter(|row| row.state == RolloutState::RollingBack.as_str())
            .map(|row| row.release_id)
            .collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let named = Condition::all().add(release::Column::Id.is_in(ids));
        let releases = load_releases(self.db(), named).await?;
        Ok(releases
            .into_iter()
            .map(|release| (release.id, Arc::new(release)))
            .collect())
    }

    /// Returns the rollouts that came to their end, take back what is under way, and still have something under way.
    async fn rollouts_that_take_back(&self) -> Result<HashSet<RolloutId>> {
        let busy = Query::select()
            .column(rollout_phase::Column::RolloutId)
            .from(rollout_phase::Entity)
            .and_where(Expr::col(rollout_phase::Column::UnderWay).gt(0))
            .to_owned();
        let over = RolloutState::ALL
            .into_iter()
            .filter(|state| state.is_over())
            .map(RolloutState::as_str);
        let ids: Vec<i64> = rollout::Entity::find()
            .select_only()
            .column(rollout::Column::Id)
            .filter(rollout::Column::TakesBack.eq(true))
            .filter(rollout::Column::State.is_in(over))
            .filter(rollout::Column::Id.in_subquery(busy))
            .into_tuple()
            .all(self.db())
            .await?;
        Ok(ids.into_iter().map(RolloutId).collect())
    }
}
