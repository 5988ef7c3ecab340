//! The grant of an attempt: the decision once more, over what the database holds, with the rollout's row locked.

use std::sync::Arc;

use otter_protocol::admin::ChangeKind;
use otter_protocol::attempt::AttemptPurpose;
use otter_protocol::decision::{Consideration, consider, phase_of};
use otter_protocol::device::Device;
use otter_protocol::plan::{Load, Plan, PlannedRollout};
use otter_protocol::rollout::{Rollout, RolloutState, Step};
use otter_protocol::rule::Outcome;
use otter_protocol::{AttemptState, RolloutId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, ExprTrait, NotSet, QueryFilter,
};

use crate::attempts::open_attempt;
use crate::database;
use crate::entity::{attempt, rollout, rollout_phase};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::rollouts::{forgiven_of, load_of, locked_rollout, phases_of, rollout_of, tally_of};
use crate::webhooks::Notice;

/// A grant, or why there is none.
#[derive(Debug)]
pub(crate) enum Grant {
    /// The attempt that now is under way, new or found.
    Granted(Box<attempt::Model>),
    /// What stands in the way now.
    Refused(Vec<Outcome>),
    /// The rollout doesn't offer any more.
    Over,
}

/// What begins.
#[derive(Debug, Clone, Copy)]
struct Beginning {
    rollout: RolloutId,
    release: otter_protocol::ReleaseId,
    purpose: AttemptPurpose,
    phase: u32,
}

impl Beginning {
    /// Takes it from a consideration that passes. The phase is that of the load that was read under the lock: one that
    /// takes so many devices may have filled up.
    fn of(weighed: &Consideration, device: &Device, plan: &Plan, fresh: &PlannedRollout) -> Self {
        let way_back = u32::try_from(fresh.rollout.spec.phases.len()).unwrap_or(u32::MAX);
        let phase = match weighed.purpose {
            AttemptPurpose::RollBack => way_back,
            AttemptPurpose::Update | AttemptPurpose::Step => {
                phase_of(device, plan, fresh).unwrap_or(0)
            }
        };
        Self {
            rollout: weighed.rollout,
            release: weighed.release,
            purpose: weighed.purpose,
            phase,
        }
    }
}

impl Fleet {
    /// Grants an attempt in one short transaction that holds every limit, however many servers there are.
    pub(crate) async fn grant(&self, device: &Device, plan: &Plan, id: RolloutId) -> Result<Grant> {
        let Some(planned) = plan.rollout(id) else {
            return Ok(Grant::Over);
        };
        let tx = database::begin(self.db()).await?;
        let Ok(row) = locked_rollout(&tx, id).await else {
            return Ok(Grant::Over);
        };
        if let Some(open) = open_attempt(&tx, &device.id).await? {
            return Ok(Grant::Granted(Box::new(open)));
        }
        let now = self.now();
        let phases = phases_of(&tx, &[id.0]).await?;
        let (next_grant_at, forgiven) = (row.next_grant_at, forgiven_of(&row));
        let fresh = PlannedRollout {
            rollout: Arc::new(rollout_of(row)?),
            release: planned.release.clone(),
            load: load_of(&phases, next_grant_at),
        };
        if !is_offering(&fresh.rollout, &phases, forgiven, now) {
            self.inner.engine_wake.notify_one();
            return Ok(Grant::Over);
        }
        let weighed = consider(device, plan, &fresh, now);
        if !weighed.passes() {
            // What another server granted is known here from now on, so that the next poll costs no transaction.
            self.change_load(id, |load| *load = fresh.load.clone());
            return Ok(Grant::Refused(weighed.blockers().cloned().collect()));
        }
        let beginning = Beginning::of(&weighed, device, plan, &fresh);
        let granted = insert_attempt(&tx, device, plan, &beginning, now).await?;
        let is_first = is_first_of(device, &beginning);
        let next_grant_at = next_grant(&fresh, &phases, now);
        write_load(&tx, &beginning, is_first, next_grant_at).await?;
        let notice = Notice::attempt(&granted, AttemptState::Offered);
        self.announce(&tx, &[notice]).await?;
        tx.commit().await?;
        self.change_load(id, |load| {
            *load = fresh.load.clone();
            load.begin(beginning.phase, is_first, next_grant_at);
        });
        self.changed(ChangeKind::Rollout, id);
        self.changed(ChangeKind::Device, &device.id);
        Ok(Grant::Granted(Box::new(granted)))
    }
}

/// Tells whether a rollout offers, by its state and by what its gate would say this instant: where a rate is over its
/// limit, nothing more begins, even before the engine has written so.
fn is_offering(
    rollout: &Rollout,
    phases: &[rollout_phase::Model],
    forgiven: otter_protocol::gate::Tally,
    now: Timestamp,
) -> bool {
    match rollout.state {
        RolloutState::RollingBack => true,
        RolloutState::Running => {
            let tallies: Vec<_> = phases.iter().map(tally_of).collect();
            let step = rollout.next_step(&tallies, &forgiven, now).step;
            !matches!(step, Step::Breach(_))
        }
        _ => false,
    }
}

/// Tells whether the device begins in this phase for the first time.
fn is_first_of(device: &Device, beginning: &Beginning) -> bool {
    let past = device.past.get(&beginning.rollout);
    match beginning.purpose {
        AttemptPurpose::RollBack => past.is_none_or(|past| past.back.last.is_none()),
        AttemptPurpose::Update | AttemptPurpose::Step => {
            past.is_none_or(|past| past.phase.is_none())
        }
    }
}

/// Returns when the next attempt may begin, where the rollout has a pace.
fn next_grant(
    planned: &PlannedRollout,
    phases: &[rollout_phase::Model],
    now: Timestamp,
) -> Option<Timestamp> {
    let successes = phases.iter().map(|phase| tally_of(phase).succeeded).sum();
    let pace = planned.rollout.spec.pace?;
    Some(pace.next_after(now, successes))
}

async fn insert_attempt(
    tx: &DatabaseTransaction,
    device: &Device,
    plan: &Plan,
    beginning: &Beginning,
    now: Timestamp,
) -> Result<attempt::Model> {
    let release = plan
        .release(beginning.release)
        .ok_or_else(|| Error::Corrupt(format!("rollout {} has no release", beginning.rollout)))?;
    let row = attempt::ActiveModel {
        id: NotSet,
        uuid: Set(uuid::Uuid::new_v4().to_string()),
        device_id: Set(device.id.to_string()),
        rollout_id: Set(beginning.rollout.0),
        release_id: Set(release.id.0),
        version: Set(release.version.to_string()),
        from_version: Set(device.version.to_string()),
        phase: Set(i32::try_from(beginning.phase).unwrap_or(i32::MAX)),
        purpose: Set(beginning.purpose.as_str().to_owned()),
        state: Set(AttemptState::Offered.as_str().to_owned()),
        progress: Set(None),
        message: Set(None),
        last_sequence: Set(0),
        created_at: Set(now.0),
        updated_at: Set(now.0),
        finished_at: Set(None),
        unhealthy_at: Set(None),
    };
    Ok(attempt::Entity::insert(row).exec_with_returning(tx).await?)
}

/// Counts an attempt that begins, in its phase and in the rollout's pace.
async fn write_load(
    tx: &DatabaseTransaction,
    beginning: &Beginning,
    is_first_of_device: bool,
    next_grant_at: Option<Timestamp>,
) -> Result<()> {
    use rollout_phase::Column;
    let phase = i32::try_from(beginning.phase).unwrap_or(i32::MAX);
    rollout_phase::Entity::update_many()
        .col_expr(Column::UnderWay, Expr::col(Column::UnderWay).add(1))
        .col_expr(
            Column::Devices,
            Expr::col(Column::Devices).add(i64::from(is_first_of_device)),
        )
        .filter(Column::RolloutId.eq(beginning.rollout.0))
        .filter(Column::Position.eq(phase))
        .exec(tx)
        .await?;
    rollout_phase::Entity::update_many()
        .col_expr(Column::Waiting, Expr::col(Column::Waiting).sub(1))
        .filter(Column::RolloutId.eq(beginning.rollout.0))
        .filter(Column::Position.eq(phase))
        .filter(Column::Waiting.gt(0))
        .exec(tx)
        .await?;
    if next_grant_at.is_some() {
        let change = rollout::ActiveModel {
            id: Set(beginning.rollout.0),
            next_grant_at: Set(next_grant_at.map(|at| at.0)),
            ..Default::default()
        };
        rollout::Entity::update(change).exec(tx).await?;
    }
    Ok(())
}

impl Fleet {
    /// Changes what is known here of a rollout's load, until the plan is loaded anew.
    pub(crate) fn change_load(&self, rollout: RolloutId, change: impl Fn(&mut Load)) {
        self.inner.plan.rcu(|plan| plan.with_load(rollout, &change));
    }
}
