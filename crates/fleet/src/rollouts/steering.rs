//! What people do to rollouts, each with its event.

use otter_protocol::gate::Tally;
use otter_protocol::rollout::{Rollout, RolloutState, Steering, UnderWay};
use otter_protocol::{ProblemCode, RolloutId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
};

use super::rows::{locked_rollout, phases_of, rollout_of, tally_of};
use super::{brief, empty_phase, rollout_begun, state_change};
use crate::actor::Actor;
use crate::audit::{Happening, record};
use crate::database;
use crate::entity::{attempt, rollout, rollout_phase};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::webhooks::Notice;

/// Most bytes of a reason.
const MAX_REASON: usize = 1000;

impl Fleet {
    /// Does to a rollout what a person wants; `conflict` where its state doesn't allow it.
    pub async fn steer_rollout(
        &self,
        actor: &Actor,
        id: RolloutId,
        steering: Steering,
        reason: &str,
    ) -> Result<Rollout> {
        let reason = reason.trim();
        if reason.len() > MAX_REASON {
            let why = format!("a reason has at most {MAX_REASON} bytes");
            return Err(Error::invalid("reason", why));
        }
        if steering.needs_reason() && reason.is_empty() {
            return Err(Error::invalid(
                "reason",
                "say why; it goes into the audit log",
            ));
        }
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        let row = locked_rollout(&tx, id).await?;
        let before = rollout_of(row)?;
        check_steering(actor, &before, steering)?;
        let change = steered(&tx, actor, &before, steering, reason, now).await?;
        let after = rollout_of(rollout::Entity::update(change).exec(&tx).await?)?;
        let mut told = brief(&after);
        if let (Some(told), false) = (told.as_object_mut(), reason.is_empty()) {
            told.insert("reason".to_owned(), serde_json::json!(reason));
        }
        let happening = Happening::new(actor, steering.action(), "rollout", id)
            .before(brief(&before))
            .after(told);
        record(&tx, now, happening).await?;
        self.announce(&tx, &notices_of(steering, &before, &after, reason))
            .await?;
        tx.commit().await?;
        if steering == Steering::RetryFailed {
            self.count_anew();
        }
        self.rollout_changed(id).await?;
        Ok(after)
    }
}

/// Returns what webhooks hear of it: what was done, where that isn't seen from what became of it, and that.
fn notices_of(steering: Steering, before: &Rollout, after: &Rollout, reason: &str) -> Vec<Notice> {
    let done = match steering {
        Steering::Approve => Some("approved"),
        Steering::ApproveGate => Some("gate_approved"),
        Steering::SkipGate => Some("gate_skipped"),
        Steering::RetryFailed => Some("retried"),
        Steering::Start
        | Steering::Pause
        | Steering::Resume
        | Steering::Abort(_)
        | Steering::RollBack => None,
    };
    let done = done.map(|event| Notice::rollout(after.id, event));
    let notices = done.into_iter().chain(Notice::of_change(before, after));
    notices.map(|notice| notice.detail(reason)).collect()
}

fn check_steering(actor: &Actor, rollout: &Rollout, steering: Steering) -> Result<()> {
    if !steering.possible_in().contains(&rollout.state) {
        let detail = format!(
            "Rollout {} is {}, so it can't be {steering}.",
            rollout.id, rollout.state
        );
        return Err(Error::problem(ProblemCode::Conflict, detail));
    }
    let approves = matches!(steering, Steering::Approve | Steering::ApproveGate);
    if approves && rollout.created_by == actor.to_string() {
        let why = format!(
            "rollout {} is {}'s own; somebody else has to approve it",
            rollout.id, rollout.created_by
        );
        return Err(Error::invalid("created_by", why));
    }
    Ok(())
}

/// Returns the change of the rollout's row, and makes those of other rows that go with it.
async fn steered(
    tx: &DatabaseTransaction,
    actor: &Actor,
    before: &Rollout,
    steering: Steering,
    reason: &str,
    now: Timestamp,
) -> Result<rollout::ActiveModel> {
    let why = (!reason.is_empty()).then(|| reason.to_owned());
    let to = |state| state_change(before, state, why.clone(), now);
    Ok(match steering {
        Steering::Start if before.spec.needs_approval => to(RolloutState::AwaitingApproval),
        Steering::Start => to(rollout_begun(&before.spec, now)),
        Steering::Approve => rollout::ActiveModel {
            approved_by: Set(Some(actor.to_string())),
            ..to(rollout_begun(&before.spec, now))
        },
        Steering::Pause => to(RolloutState::Paused),
        // One that was paused before its time goes back to waiting for it.
        Steering::Resume => rollout::ActiveModel {
            forgiven: Set(Some(seen_failures(tx, before).await?)),
            ..to(rollout_begun(&before.spec, now))
        },
        Steering::ApproveGate => rollout::ActiveModel {
            id: Set(before.id.0),
            gate_approved_by: Set(Some(actor.to_string())),
            ..Default::default()
        },
        Steering::SkipGate => skipped(before, why, now),
        Steering::Abort(under_way) => rollout::ActiveModel {
            takes_back: Set(under_way == UnderWay::Cancel),
            ..to(RolloutState::Aborted)
        },
        Steering::RollBack => {
            open_way_back(tx, before).await?;
            rollout::ActiveModel {
                finished_at: Set(None),
                next_grant_at: Set(None),
                ..to(RolloutState::RollingBack)
            }
        }
        Steering::RetryFailed => retried(tx, before, now).await?,
    })
}

/// Goes on to the next phase; from the last one, to the end.
fn skipped(before: &Rollout, why: Option<String>, now: Timestamp) -> rollout::ActiveModel {
    let next = before.current_phase + 1;
    if next as usize >= before.spec.phases.len() {
        return state_change(before, RolloutState::Completed, why, now);
    }
    rollout::ActiveModel {
        current_phase: Set(i32::try_from(next).unwrap_or(i32::MAX)),
        sampled_at: Set(None),
        forgiven: Set(None),
        gate_approved_by: Set(None),
        ..state_change(before, RolloutState::Running, why, now)
    }
}

/// Lets failures up to now count no more, against their devices and in the gate; one that was over goes on.
async fn retried(
    tx: &DatabaseTransaction,
    before: &Rollout,
    now: Timestamp,
) -> Result<rollout::ActiveModel> {
    let newest: Option<i32> = attempt::Entity::find()
        .select_only()
        .column_as(attempt::Column::Id.max(), "newest")
        .filter(attempt::Column::RolloutId.eq(before.id.0))
        .into_tuple::<Option<i32>>()
        .one(tx)
        .await?
        .flatten();
    // Until they are counted anew nobody knows who is waited for, so that no phase ends meanwhile.
    rollout_phase::Entity::update_many()
        .set(rollout_phase::ActiveModel {
            waiting: Set(None),
            ..Default::default()
        })
        .filter(rollout_phase::Column::RolloutId.eq(before.id.0))
        .exec(tx)
        .await?;
    let state = match before.state {
        RolloutState::Completed => RolloutState::Running,
        state => state,
    };
    Ok(rollout::ActiveModel {
        retried_upto: Set(newest),
        forgiven: Set(Some(seen_failures(tx, before).await?)),
        sampled_at: Set(None),
        finished_at: Set(None),
        ..state_change(before, state, before.state_reason.clone(), now)
    })
}

/// Makes the row in which the way back is counted, where there is none yet; else has its devices counted anew.
pub(crate) async fn open_way_back(tx: &DatabaseTransaction, rollout: &Rollout) -> Result<()> {
    let position = i32::try_from(rollout.spec.phases.len()).unwrap_or(i32::MAX);
    let key = (rollout.id.0, position);
    match rollout_phase::Entity::find_by_id(key).one(tx).await? {
        Some(_) => {
            let change = rollout_phase::ActiveModel {
                rollout_id: Set(rollout.id.0),
                position: Set(position),
                waiting: Set(None),
                ..Default::default()
            };
            rollout_phase::Entity::update(change).exec(tx).await?;
        }
        None => {
            rollout_phase::Entity::insert(empty_phase(rollout.id.0, position))
                .exec_without_returning(tx)
                .await?;
        }
    }
    Ok(())
}

/// Returns the failures of the open phase that the person who goes on has seen.
async fn seen_failures(tx: &DatabaseTransaction, rollout: &Rollout) -> Result<String> {
    let phases = phases_of(tx, &[rollout.id.0]).await?;
    let open = phases
        .into_iter()
        .find(|phase| u32::try_from(phase.position) == Ok(rollout.current_phase));
    let seen: Tally = open.map(|phase| tally_of(&phase)).unwrap_or_default();
    serde_json::to_string(&seen).map_err(|error| Error::Corrupt(error.to_string()))
}
