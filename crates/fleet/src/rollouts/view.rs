//! Rollouts as people see them, and their rows as everything else here reads them.

use std::collections::HashMap;

use otter_protocol::admin::{
    AttemptSummary, PhaseProgress, ReasonCount, RolloutDetail, RolloutSummary,
};
use otter_protocol::gate::Tally;
use otter_protocol::release::Release;
use otter_protocol::rollout::{Rollout, RolloutSpec, RolloutState};
use otter_protocol::{AttemptState, ReleaseId, RolloutId, Timestamp};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

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

/// Reads rollouts' phases, in order.
pub(crate) async fn phases_of(
    db: &impl ConnectionTrait,
    rollouts: &[i64],
) -> Result<Vec<rollout_phase::Model>> {
    Ok(rollout_phase::Entity::find()
        .filter(rollout_phase::Column::RolloutId.is_in(rollouts.iter().copied()))
        .order_by_asc(rollout_phase::Column::Position)
        .all(db)
        .await?)
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
            phase
                .gate
                .judge(&without(tally, forgiven), rollout.sampled_at, now)
        });
        PhaseProgress {
            phase: phase.clone(),
            tally,
            verdict,
        }
    });
    progress.collect()
}

/// Reads a phase's counters.
pub(crate) fn tally_of(row: &rollout_phase::Model) -> Tally {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Tally {
        succeeded: count(row.succeeded),
        failed: count(row.failed),
        rolled_back: count(row.rolled_back),
        timed_out: count(row.timed_out),
        cancelled: count(row.cancelled),
        under_way: count(row.under_way),
        waiting: row.waiting.map(count),
    }
}

/// Reads the failures that a person has seen and gone on.
pub(crate) fn forgiven_of(row: &rollout::Model) -> Tally {
    row.forgiven
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// Returns a tally whose seen failures count as finished without one, so that they fill the sample and breach nothing.
pub(crate) fn without(tally: Tally, forgiven: Tally) -> Tally {
    let left = |now: u64, seen: u64| now.saturating_sub(seen);
    let fewer = Tally {
        failed: left(tally.failed, forgiven.failed),
        rolled_back: left(tally.rolled_back, forgiven.rolled_back),
        timed_out: left(tally.timed_out, forgiven.timed_out),
        ..tally
    };
    Tally {
        succeeded: tally.succeeded + (tally.failures() - fewer.failures()),
        ..fewer
    }
}

fn failure_states() -> impl Iterator<Item = &'static str> {
    AttemptState::ALL
        .into_iter()
        .filter(|state| state.is_failure())
        .map(AttemptState::as_str)
}

/// Reads a rollout's specification.
pub(crate) fn spec_of(row: &rollout::Model) -> Result<RolloutSpec> {
    serde_json::from_str(&row.spec)
        .map_err(|error| Error::Corrupt(format!("rollout {}: {error}", row.id)))
}

/// Reads a rollout's row.
pub(crate) fn rollout_of(row: rollout::Model) -> Result<Rollout> {
    let corrupt = |what: &str| Error::Corrupt(format!("{what} of rollout {}", row.id));
    Ok(Rollout {
        id: RolloutId(row.id),
        spec: spec_of(&row)?,
        state: RolloutState::named(&row.state).ok_or_else(|| corrupt("the state"))?,
        current_phase: u32::try_from(row.current_phase).map_err(|_| corrupt("the phase"))?,
        sampled_at: row.sampled_at.map(Timestamp),
        created_at: Timestamp(row.created_at),
        started_at: row.started_at.map(Timestamp),
        finished_at: row.finished_at.map(Timestamp),
        state_reason: row.state_reason,
        created_by: row.created_by,
    })
}
