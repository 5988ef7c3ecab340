//! Rollouts, as operators make and steer them.

mod view;

use otter_protocol::admin::ChangeKind;
use otter_protocol::release::ReleaseState;
use otter_protocol::rollout::{Audience, PhaseScope, Rollout, RolloutSpec, RolloutState};
use otter_protocol::{GroupName, Problem, ProblemCode, ReleaseId, RolloutId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, NotSet,
    QueryFilter, QuerySelect,
};

pub(crate) use view::{forgiven_of, phases_of, rollout_of, spec_of, tally_of, without};

use crate::actor::Actor;
use crate::audit::{Happening, record};
use crate::database::{self, is_postgres};
use crate::entity::{group, release, rollout, rollout_phase};
use crate::error::{Error, Result};
use crate::fleet::Fleet;

impl Fleet {
    /// Makes a rollout of a published release; it begins at once, or at its `starts_at`.
    pub async fn create_rollout(&self, actor: &Actor, spec: &RolloutSpec) -> Result<Rollout> {
        spec.check()
            .map_err(|error| Problem::invalid(error.field, error.why))?;
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        check_release(&tx, spec.release).await?;
        check_groups(&tx, spec).await?;
        let starts_later = spec.starts_at.is_some_and(|start| start > now);
        let state = if starts_later {
            RolloutState::Scheduled
        } else {
            RolloutState::Running
        };
        let row = rollout::ActiveModel {
            id: NotSet,
            name: Set(spec.name.clone()),
            release_id: Set(spec.release.0),
            spec: Set(
                serde_json::to_string(spec).map_err(|error| Error::Corrupt(error.to_string()))?
            ),
            state: Set(state.as_str().to_owned()),
            state_reason: Set(None),
            current_phase: Set(0),
            sampled_at: Set(None),
            forgiven: Set(None),
            created_at: Set(now.0),
            created_by: Set(actor.to_string()),
            started_at: Set((!starts_later).then_some(now.0)),
            finished_at: Set(None),
        };
        let row = rollout::Entity::insert(row)
            .exec_with_returning(&tx)
            .await?;
        rollout_phase::Entity::insert_many(empty_phases(row.id, spec.phases.len()))
            .exec_without_returning(&tx)
            .await?;
        let made = rollout_of(row)?;
        record(
            &tx,
            now,
            Happening::new(actor, "rollout.create", "rollout", made.id).after(&made),
        )
        .await?;
        tx.commit().await?;
        self.rollout_changed(made.id).await?;
        Ok(made)
    }

    /// Stops offers; what is under way goes on.
    pub async fn pause_rollout(
        &self,
        actor: &Actor,
        id: RolloutId,
        reason: &str,
    ) -> Result<Rollout> {
        let from = [RolloutState::Running, RolloutState::Scheduled];
        self.steer(
            actor,
            id,
            "rollout.pause",
            &from,
            RolloutState::Paused,
            reason,
        )
        .await
    }

    /// Goes on; failures that are known by now no longer stop it.
    pub async fn resume_rollout(
        &self,
        actor: &Actor,
        id: RolloutId,
        reason: &str,
    ) -> Result<Rollout> {
        self.steer(
            actor,
            id,
            "rollout.resume",
            &[RolloutState::Paused],
            RolloutState::Running,
            reason,
        )
        .await
    }

    /// Stops for good; what wasn't applied yet is taken back.
    pub async fn abort_rollout(
        &self,
        actor: &Actor,
        id: RolloutId,
        reason: &str,
    ) -> Result<Rollout> {
        let from = [
            RolloutState::Running,
            RolloutState::Paused,
            RolloutState::Scheduled,
            RolloutState::Draft,
        ];
        self.steer(
            actor,
            id,
            "rollout.abort",
            &from,
            RolloutState::Aborted,
            reason,
        )
        .await
    }

    async fn steer(
        &self,
        actor: &Actor,
        id: RolloutId,
        action: &'static str,
        from: &[RolloutState],
        to: RolloutState,
        reason: &str,
    ) -> Result<Rollout> {
        if reason.len() > 1000 {
            return Err(Error::invalid("reason", "a reason has at most 1000 bytes"));
        }
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        let row = locked_rollout(&tx, id).await?;
        let before = rollout_of(row.clone())?;
        if !from.contains(&before.state) {
            let detail = format!("Rollout {id} is {}, so this can't be done.", before.state);
            return Err(Error::problem(ProblemCode::Conflict, detail));
        }
        // One that was paused before its time goes back to waiting for it.
        let waits =
            to == RolloutState::Running && before.spec.starts_at.is_some_and(|start| start > now);
        let to = if waits { RolloutState::Scheduled } else { to };
        let reason = (!reason.trim().is_empty()).then(|| reason.trim().to_owned());
        let mut change = state_change(&before, to, reason, now);
        if to == RolloutState::Running {
            change.forgiven = Set(Some(self.seen_failures(&tx, &before).await?));
        }
        let after = rollout_of(rollout::Entity::update(change).exec(&tx).await?)?;
        let happening = Happening::new(actor, action, "rollout", id)
            .before(brief(&before))
            .after(brief(&after));
        record(&tx, now, happening).await?;
        tx.commit().await?;
        self.rollout_changed(id).await?;
        Ok(after)
    }

    /// Returns the failures of the open phase that the person who resumes has seen.
    async fn seen_failures(&self, tx: &DatabaseTransaction, rollout: &Rollout) -> Result<String> {
        let phases = phases_of(tx, &[rollout.id.0]).await?;
        let open = phases
            .into_iter()
            .find(|phase| u32::try_from(phase.position) == Ok(rollout.current_phase));
        let seen = open.map(|phase| tally_of(&phase)).unwrap_or_default();
        serde_json::to_string(&seen).map_err(|error| Error::Corrupt(error.to_string()))
    }

    /// Tells memory and open pages of a rollout's change, and lets the engine look at it.
    pub(crate) async fn rollout_changed(&self, id: RolloutId) -> Result<()> {
        self.renew_plan().await?;
        self.changed(ChangeKind::Rollout, id);
        self.inner.engine_wake.notify_one();
        Ok(())
    }
}

/// Aborts the live rollouts of a release that is being withdrawn.
pub(crate) async fn abort_rollouts_of(
    tx: &DatabaseTransaction,
    actor: &Actor,
    release: ReleaseId,
    now: Timestamp,
    reason: &str,
) -> Result<Vec<RolloutId>> {
    let live = RolloutState::ALL
        .into_iter()
        .filter(|state| state.is_live())
        .map(RolloutState::as_str);
    let rows = rollout::Entity::find()
        .filter(rollout::Column::ReleaseId.eq(release.0))
        .filter(rollout::Column::State.is_in(live))
        .all(tx)
        .await?;
    let mut aborted = Vec::new();
    for row in rows {
        let before = rollout_of(row)?;
        let change = state_change(&before, RolloutState::Aborted, Some(reason.to_owned()), now);
        let after = rollout_of(rollout::Entity::update(change).exec(tx).await?)?;
        let happening = Happening::new(actor, "rollout.abort", "rollout", before.id);
        record(
            tx,
            now,
            happening.before(brief(&before)).after(brief(&after)),
        )
        .await?;
        aborted.push(before.id);
    }
    Ok(aborted)
}

/// Reads a rollout to change it.
pub(crate) async fn locked_rollout(
    tx: &DatabaseTransaction,
    id: RolloutId,
) -> Result<rollout::Model> {
    let mut query = rollout::Entity::find_by_id(id.0);
    if is_postgres(tx.get_database_backend()) {
        query = query.lock_exclusive();
    }
    query
        .one(tx)
        .await?
        .ok_or_else(|| Error::not_found(format!("rollout {id}")))
}

/// Returns the change of a rollout's row that brings it into a state.
pub(crate) fn state_change(
    rollout: &Rollout,
    to: RolloutState,
    reason: Option<String>,
    now: Timestamp,
) -> rollout::ActiveModel {
    let is_over = matches!(to, RolloutState::Completed | RolloutState::Aborted);
    let begins = to == RolloutState::Running && rollout.started_at.is_none();
    rollout::ActiveModel {
        id: Set(rollout.id.0),
        state: Set(to.as_str().to_owned()),
        state_reason: Set(reason),
        started_at: if begins { Set(Some(now.0)) } else { NotSet },
        finished_at: if is_over { Set(Some(now.0)) } else { NotSet },
        ..Default::default()
    }
}

/// What an event keeps of a rollout: its specification is in the event of its making.
pub(crate) fn brief(rollout: &Rollout) -> serde_json::Value {
    serde_json::json!({
        "state": rollout.state,
        "reason": rollout.state_reason,
        "current_phase": rollout.current_phase,
    })
}

async fn check_release(tx: &DatabaseTransaction, id: ReleaseId) -> Result<()> {
    let Some(row) = release::Entity::find_by_id(id.0).one(tx).await? else {
        return Err(Error::invalid(
            "release",
            format!("there is no release {id}"),
        ));
    };
    if row.state == ReleaseState::Published.as_str() {
        return Ok(());
    }
    let is_draft = row.state == ReleaseState::Draft.as_str();
    let why = if is_draft {
        "waits for its signature; sign it first"
    } else {
        "was withdrawn"
    };
    Err(Error::problem(
        ProblemCode::Conflict,
        format!("Release {id} {why}."),
    ))
}

async fn check_groups(tx: &DatabaseTransaction, spec: &RolloutSpec) -> Result<()> {
    let audience = match &spec.audience {
        Audience::Group { group } => Some(("audience.group".to_owned(), group)),
        _ => None,
    };
    let phases = spec
        .phases
        .iter()
        .enumerate()
        .filter_map(|(place, phase)| match &phase.scope {
            PhaseScope::Group { group } => Some((format!("phases[{place}].scope.group"), group)),
            PhaseScope::Share { .. } => None,
        });
    let named: Vec<(String, &GroupName)> = audience.into_iter().chain(phases).collect();
    for (field, name) in named {
        if group::Entity::find_by_id(name.as_str())
            .one(tx)
            .await?
            .is_none()
        {
            return Err(Error::invalid(field, format!("there is no group `{name}`")));
        }
    }
    Ok(())
}

fn empty_phases(rollout_id: i64, count: usize) -> impl Iterator<Item = rollout_phase::ActiveModel> {
    let positions = 0..i32::try_from(count).unwrap_or(i32::MAX);
    positions.map(move |position| {
        rollout_phase::ActiveModel::from(rollout_phase::Model {
            rollout_id,
            position,
            succeeded: 0,
            failed: 0,
            rolled_back: 0,
            timed_out: 0,
            cancelled: 0,
            under_way: 0,
            waiting: None,
        })
    })
}
