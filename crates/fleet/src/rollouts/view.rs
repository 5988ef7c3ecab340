//! Rollouts as people see them.

use std::collections::HashMap;

use otter_protocol::admin::{
    AttemptSummary, PhaseProgress, ReasonCount, RolloutDetail, RolloutSummary,
};
use otter_protocol::gate::Tally;
use otter_protocol::release::Release;
use otter_protocol::rollout::Rollout;
use otter_protocol::{AttemptState, ReleaseId, RolloutId, Timestamp};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::rows::{forgiven_of, phases_of, rollout_of, tally_of};
use crate::attempts::summary_of;
use crate::entity::{attempt, release, rollout, rollout_phase};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::releases::load_releases;

/// Most rollouts in a list.
const MAX_LISTED: u64 = 200;

/// Most failures, and most reasons of failures, that a rollout's page shows.
const MAX_FAILURES: u64 = 50;

impl Fleet {
    /// Lists rollouts, the newest first, at most 200.
    pub async fn rollouts(&self) -> Result<Vec<RolloutSummary>> {
        let rows = rollout::Entity::find()
            .order_by_desc(rollout::Column::Id)
            .limit(MAX_LISTED)
            .all(self.db())
            .await?;
        self.rollout_summaries(rows).await
    }

    /// Returns a rollout with its failures.
    pub async fn rollout(&self, id: RolloutId) -> Result<RolloutDetail> {
        let row = rollout::Entity::find_by_id(id.0).one(self.db()).await?;
        let row = row.ok_or_else(|| Error::not_found(format!("rollout {id}")))?;
        let summary = self.rollout_summaries(vec![row]).await?.pop();
        let summary = summary.ok_or_else(|| Error::not_found(format!("rollout {id}")))?;
        Ok(RolloutDetail {
            summary,
            failures: self.failures_of(id).await?,
            failure_reasons: self.reasons_of(id).await?,
            gates: self.gate_evaluations(id).await?,
        })
    }

    /// Completes rollouts' rows with their releases and phases.
    pub(crate) async fn rollout_summaries(
        &self,
        rows: Vec<rollout::Model>,
    ) -> Result<Vec<RolloutSummary>> {
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let named = release::Column::Id.is_in(rows.iter().map(|row| row.release_id));
        let releases = load_releases(self.db(), Condition::all().add(named)).await?;
        let releases: HashMap<ReleaseId, Release> =
            releases.into_iter().map(|one| (one.id, one)).collect();
        let mut phases: HashMap<i64, Vec<rollout_phase::Model>> = HashMap::new();
        for phase in phases_of(self.db(), &ids).await? {
            phases.entry(phase.rollout_id).or_default().push(phase);
        }
        let now = self.now();
        rows.into_iter()
            .map(|row| {
                let counted = phases.remove(&row.id).unwrap_or_default();
                let forgiven = forgiven_of(&row);
                let rollout = rollout_of(row)?;
                let release = releases.get(&rollout.spec.release).ok_or_else(|| {
                    Error::Corrupt(format!("rollout {} has no release", rollout.id))
                })?;
                let progress = progress_of(&rollout, &counted, forgiven, now);
                let way_back = counted.get(rollout.spec.phases.len()).map(tally_of);
                let total = progress
                    .iter()
                    .map(|phase| phase.tally)
                    .reduce(Tally::plus)
                    .unwrap_or_default();
                Ok(RolloutSummary {
                    version: release.version.clone(),
                    models: release.models(),
                    rollout,
                    total,
                    progress,
                    way_back,
                })
            })
            .collect()
    }

    async fn failures_of(&self, id: RolloutId) -> Result<Vec<AttemptSummary>> {
        let rows = attempt::Entity::find()
            .filter(attempt::Column::RolloutId.eq(id.0))
            .filter(attempt::Column::State.is_in(failure_states()))
            .order_by_desc(attempt::Column::Id)
            .limit(MAX_FAILURES)
            .all(self.db())
            .await?;
        rows.into_iter().map(summary_of).collect()
    }

    async fn reasons_of(&self, id: RolloutId) -> Result<Vec<ReasonCount>> {
        let rows: Vec<(Option<String>, i64)> = attempt::Entity::find()
            .select_only()
            .column(attempt::Column::Message)
            .column_as(attempt::Column::Id.count(), "count")
            .filter(attempt::Column::RolloutId.eq(id.0))
            .filter(attempt::Column::State.is_in(failure_states()))
            .group_by(attempt::Column::Message)
            .order_by_desc(attempt::Column::Id.count())
            .limit(MAX_FAILURES)
            .into_tuple()
            .all(self.db())
            .await?;
        let counted = |(reason, count): (Option<String>, i64)| ReasonCount {
            reason: reason.unwrap_or_else(|| "no word".to_owned()),
            count: u64::try_from(count).unwrap_or(0),
        };
        Ok(rows.into_iter().map(counted).collect())
    }
}

fn progress_of(
    rollout: &Rollout,
    counted: &[rollout_phase::Model],
    forgiven: Tally,
    now: Timestamp,
) -> Vec<PhaseProgress> {
    let phases = rollout.spec.phases.iter().zip(counted).enumerate();
    let progress = phases.map(|(place, (phase, counted))| {
        let is_open = rollout.state.is_live() && u32::try_from(place) == Ok(rollout.current_phase);
        let tally = tally_of(counted);
        let verdict = is_open.then(|| {
            let is_approved = rollout.gate_approved_by.is_some();
            let tally = tally.without(&forgiven);
            phase
                .gate
                .judge(&tally, rollout.sampled_at, is_approved, now)
        });
        PhaseProgress {
            phase: phase.clone(),
            tally,
            verdict,
        }
    });
    progress.collect()
}

fn failure_states() -> impl Iterator<Item = &'static str> {
    AttemptState::ALL
        .into_iter()
        .filter(|state| state.is_failure())
        .map(AttemptState::as_str)
}
