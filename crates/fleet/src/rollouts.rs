//! Rollouts, as operators make and steer them.

mod rows;
mod steering;
mod view;

use otter_protocol::admin::ChangeKind;
use otter_protocol::release::ReleaseState;
use otter_protocol::rollout::{Audience, PhaseScope, Rollout, RolloutSpec, RolloutState};
use otter_protocol::{Problem, ProblemCode, ReleaseId, RolloutId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, NotSet,
    QueryFilter,
};

pub(crate) use rows::{
    begun_in, forgiven_of, load_of, locked_rollout, phases_of, rollout_of, spec_of, tally_of,
};
pub(crate) use steering::open_way_back;

use crate::actor::Actor;
use crate::audit::{Happening, record};
use crate::database;
use crate::entity::{group, release, rollout, rollout_phase};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::webhooks::Notice;

impl Fleet {
    /// Makes a rollout of a published release; it begins at once, or at its `starts_at`, or once it is approved. A draft
    /// waits to be started.
    pub async fn create_rollout(
        &self,
        actor: &Actor,
        spec: &RolloutSpec,
        is_draft: bool,
    ) -> Result<Rollout> {
        spec.check()
            .map_err(|error| Problem::invalid(error.field, error.why))?;
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        check_release(&tx, spec.release).await?;
        check_groups(&tx, spec).await?;
        check_start(spec, now)?;
        let state = match spec.needs_approval {
            _ if is_draft => RolloutState::Draft,
            true => RolloutState::AwaitingApproval,
            false => rollout_begun(spec, now),
        };
        let row = rollout::ActiveModel {
            id: NotSet,
            name: Set(spec.name.clone()),
            release_id: Set(spec.release.0),
            spec: Set(written(spec)?),
            state: Set(state.as_str().to_owned()),
            state_reason: Set(None),
            current_phase: Set(0),
            sampled_at: Set(None),
            forgiven: Set(None),
            created_at: Set(now.0),
            created_by: Set(actor.to_string()),
            started_at: Set((state == RolloutState::Running).then_some(now.0)),
            finished_at: Set(None),
            approved_by: Set(None),
            gate_approved_by: Set(None),
            retried_upto: Set(None),
            takes_back: Set(false),
            next_grant_at: Set(None),
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
        let mut notices = vec![Notice::rollout(made.id, "created")];
        notices.extend((!is_draft).then(|| Notice::state_of(&made)));
        self.announce(&tx, &notices).await?;
        tx.commit().await?;
        self.rollout_changed(made.id).await?;
        Ok(made)
    }

    /// Checks whether a rollout could be made, and makes nothing.
    pub(crate) async fn check_rollout(&self, spec: &RolloutSpec) -> Result<()> {
        spec.check()
            .map_err(|error| Problem::invalid(error.field, error.why))?;
        check_release(self.db(), spec.release).await?;
        check_groups(self.db(), spec).await?;
        check_start(spec, self.now())
    }

    /// Writes a draft anew.
    pub async fn update_rollout(
        &self,
        actor: &Actor,
        id: RolloutId,
        spec: &RolloutSpec,
    ) -> Result<Rollout> {
        spec.check()
            .map_err(|error| Problem::invalid(error.field, error.why))?;
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        let before = rollout_of(locked_rollout(&tx, id).await?)?;
        if before.state != RolloutState::Draft {
            let detail = format!(
                "Rollout {id} is {}; only a draft can be changed.",
                before.state
            );
            return Err(Error::problem(ProblemCode::Conflict, detail));
        }
        check_release(&tx, spec.release).await?;
        check_groups(&tx, spec).await?;
        check_start(spec, now)?;
        rollout_phase::Entity::delete_many()
            .filter(rollout_phase::Column::RolloutId.eq(id.0))
            .exec(&tx)
            .await?;
        rollout_phase::Entity::insert_many(empty_phases(id.0, spec.phases.len()))
            .exec_without_returning(&tx)
            .await?;
        let change = rollout::ActiveModel {
            id: Set(id.0),
            name: Set(spec.name.clone()),
            release_id: Set(spec.release.0),
            spec: Set(written(spec)?),
            ..Default::default()
        };
        let after = rollout_of(rollout::Entity::update(change).exec(&tx).await?)?;
        let happening = Happening::new(actor, "rollout.update", "rollout", id)
            .before(&before)
            .after(&after);
        record(&tx, now, happening).await?;
        self.announce(&tx, &[Notice::rollout(id, "updated")])
            .await?;
        tx.commit().await?;
        self.rollout_changed(id).await?;
        Ok(after)
    }

    /// Tells memory and open pages of a rollout's change, and lets the engine look at it.
    pub(crate) async fn rollout_changed(&self, id: RolloutId) -> Result<()> {
        self.renew_plan().await?;
        self.changed(ChangeKind::Rollout, id);
        self.inner.engine_wake.notify_one();
        Ok(())
    }
}

/// How far behind the server's clock a start may lie that is meant as now, in seconds.
const START_SLACK_SEC: u64 = 300;

fn check_start(spec: &RolloutSpec, now: Timestamp) -> Result<()> {
    match spec.starts_at {
        Some(start) if start < now.minus_sec(START_SLACK_SEC) => Err(Error::invalid(
            "starts_at",
            format!("{start} is past; it is {now} now. Leave it out to start at once"),
        )),
        _ => Ok(()),
    }
}

/// Returns the state of a rollout that may begin: it does, or waits for its time.
pub(crate) fn rollout_begun(spec: &RolloutSpec, now: Timestamp) -> RolloutState {
    if spec.starts_at.is_some_and(|start| start > now) {
        RolloutState::Scheduled
    } else {
        RolloutState::Running
    }
}

fn written(spec: &RolloutSpec) -> Result<String> {
    serde_json::to_string(spec).map_err(|error| Error::Corrupt(error.to_string()))
}

/// Aborts the live rollouts of a release that is being withdrawn, but for those that take it back.
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
        if before.state == RolloutState::RollingBack {
            continue;
        }
        let change = rollout::ActiveModel {
            takes_back: Set(true),
            ..state_change(&before, RolloutState::Aborted, Some(reason.to_owned()), now)
        };
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

/// Returns the change of a rollout's row that brings it into a state.
pub(crate) fn state_change(
    rollout: &Rollout,
    to: RolloutState,
    reason: Option<String>,
    now: Timestamp,
) -> rollout::ActiveModel {
    let is_over = to.is_over();
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

async fn check_release(tx: &impl ConnectionTrait, id: ReleaseId) -> Result<()> {
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

async fn check_groups(tx: &impl ConnectionTrait, spec: &RolloutSpec) -> Result<()> {
    let audience = match &spec.audience {
        Audience::Group { group } => Some(("audience.group".to_owned(), group)),
        _ => None,
    };
    let excluded = spec
        .exclude
        .groups
        .iter()
        .enumerate()
        .map(|(place, group)| (format!("exclude.groups[{place}]"), group));
    let phases = spec.phases.iter().enumerate();
    let phases = phases.filter_map(|(place, phase)| match &phase.scope {
        PhaseScope::Group { group } => Some((format!("phases[{place}].scope.group"), group)),
        PhaseScope::Share { .. } | PhaseScope::Count { .. } => None,
    });
    for (field, name) in audience.into_iter().chain(excluded).chain(phases) {
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

fn empty_phases(rollout: i64, count: usize) -> impl Iterator<Item = rollout_phase::ActiveModel> {
    let positions = 0..i32::try_from(count).unwrap_or(i32::MAX);
    positions.map(move |position| empty_phase(rollout, position))
}

/// Returns the row of a phase in which nothing began.
pub(crate) fn empty_phase(rollout_id: i64, position: i32) -> rollout_phase::ActiveModel {
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
        stepped: 0,
        unhealthy: 0,
        devices: 0,
    })
}
