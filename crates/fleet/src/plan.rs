//! The plan in memory: loaded as a whole whenever something in it changed.

use std::collections::HashMap;
use std::sync::Arc;

use otter_protocol::plan::PlannedRollout;
use otter_protocol::release::Release;
use otter_protocol::rollout::RolloutState;
use otter_protocol::{Plan, ReleaseId, RolloutId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::entity::{rollout, rollout_phase};
use crate::error::Result;
use crate::fleet::Fleet;
use crate::rollouts::rollout_of;

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
        let phases = rollout_phase::Entity::find()
            .filter(rollout_phase::Column::RolloutId.is_in(rows.iter().map(|row| row.id)))
            .all(self.db())
            .await?;
        let mut in_flight: HashMap<i64, i64> = HashMap::new();
        for phase in phases {
            *in_flight.entry(phase.rollout_id).or_default() += phase.under_way;
        }
        let mut planned = Vec::new();
        for row in rows {
            let in_flight = in_flight.get(&row.id).copied().unwrap_or(0);
            let rollout = rollout_of(row)?;
            // One whose release was withdrawn is about to be aborted; it offers nothing.
            if let Some(release) = by_id.get(&rollout.spec.release) {
                let in_flight = u32::try_from(in_flight).unwrap_or(0);
                planned.push(PlannedRollout {
                    release: release.clone(),
                    rollout: Arc::new(rollout),
                    in_flight,
                });
            }
        }
        let groups = self.groups().await?;
        self.inner
            .plan
            .store(Arc::new(Plan::new(planned, published, groups)));
        Ok(())
    }

    /// Counts one attempt more or less under way, until the plan is loaded anew.
    pub(crate) fn count_in_flight(&self, rollout: RolloutId, change: impl Fn(u32) -> u32) {
        self.inner
            .plan
            .rcu(|plan| plan.with_in_flight(rollout, &change));
    }
}
