//! Rollouts' rows, as everything here reads them.

use otter_protocol::gate::Tally;
use otter_protocol::plan::{Load, PhaseLoad};
use otter_protocol::rollout::{Rollout, RolloutSpec, RolloutState};
use otter_protocol::{AttemptId, RolloutId, Timestamp};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
};

use crate::database::locked;
use crate::entity::{rollout, rollout_phase};
use crate::error::{Error, Result};

/// Reads a rollout to change it.
pub(crate) async fn locked_rollout(
    tx: &DatabaseTransaction,
    id: RolloutId,
) -> Result<rollout::Model> {
    locked(tx, rollout::Entity::find_by_id(id.0))
        .one(tx)
        .await?
        .ok_or_else(|| Error::not_found(format!("rollout {id}")))
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

/// Reads a phase's counters.
pub(crate) fn tally_of(row: &rollout_phase::Model) -> Tally {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Tally {
        succeeded: count(row.succeeded),
        failed: count(row.failed),
        rolled_back: count(row.rolled_back),
        timed_out: count(row.timed_out),
        stepped: count(row.stepped),
        unhealthy: count(row.unhealthy),
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

/// Reads how much of a rollout has begun and is under way; `phases` in order.
pub(crate) fn load_of(phases: &[rollout_phase::Model], next_grant_at: Option<i64>) -> Load {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let load = |row: &rollout_phase::Model| PhaseLoad {
        begun: count(begun_in(row)),
        devices: count(row.devices),
        under_way: count(row.under_way),
    };
    Load {
        phases: phases.iter().map(load).collect(),
        next_grant_at: next_grant_at.map(Timestamp),
    }
}

/// Returns the attempts that ever began in a phase.
pub(crate) fn begun_in(phase: &rollout_phase::Model) -> i64 {
    phase.succeeded
        + phase.failed
        + phase.rolled_back
        + phase.timed_out
        + phase.stepped
        + phase.cancelled
        + phase.under_way
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
        approved_by: row.approved_by,
        gate_approved_by: row.gate_approved_by,
        retried_upto: row.retried_upto.map(AttemptId),
        takes_back: row.takes_back,
    })
}
