//! Phases end when their gates open, and rollouts stop when a rate goes over its limit.

use otter_protocol::rollout::{Judged, OnBreach, Rollout, RolloutState, Step};
use otter_protocol::{RolloutId, Timestamp};
use sea_orm::{ActiveValue::Set, DatabaseTransaction, EntityTrait};

use crate::actor::Actor;
use crate::audit::{Happening, record};
use crate::database;
use crate::entity::{rollout, rollout_phase};
use crate::error::Result;
use crate::fleet::Fleet;
use crate::rollouts::{
    brief, forgiven_of, locked_rollout, open_way_back, phases_of, rollout_of, state_change,
    tally_of,
};
use crate::webhooks::Notice;

impl Fleet {
    /// Lets a rollout go on as far as it may.
    pub(super) async fn advance_rollout(&self, id: RolloutId) -> Result<()> {
        self.count_waiting(id).await?;
        // Each turn is a transaction of its own, so that each step is on record.
        while self.take_step(id).await? {}
        Ok(())
    }

    /// Takes one step; tells whether there may be another.
    async fn take_step(&self, id: RolloutId) -> Result<bool> {
        let now = self.now();
        // Looked at without a lock first: most of the time there is nothing to do.
        let Some(row) = rollout::Entity::find_by_id(id.0).one(self.db()).await? else {
            return Ok(false);
        };
        let phases = phases_of(self.db(), &[id.0]).await?;
        let judged = judge(&row, &phases, now)?;
        if let Some((verdict, tally)) = judged.verdict {
            self.note_gate(id, row.current_phase, verdict, tally, now)
                .await?;
        }
        if judged.step == Step::Stay {
            return Ok(false);
        }
        let tx = database::begin(self.db()).await?;
        let row = locked_rollout(&tx, id).await?;
        let phases = phases_of(&tx, &[id.0]).await?;
        let step = judge(&row, &phases, now)?.step;
        let rollout = rollout_of(row)?;
        let (goes_on, notices) = write_step(&tx, &rollout, step, &phases, now).await?;
        self.announce(&tx, &notices).await?;
        tx.commit().await?;
        self.renew_plan().await?;
        self.changed(otter_protocol::admin::ChangeKind::Rollout, id);
        Ok(goes_on)
    }
}

fn judge(row: &rollout::Model, phases: &[rollout_phase::Model], now: Timestamp) -> Result<Judged> {
    let forgiven = forgiven_of(row);
    let tallies: Vec<_> = phases.iter().map(tally_of).collect();
    Ok(rollout_of(row.clone())?.next_step(&tallies, &forgiven, now))
}

/// What a person reads who wonders why a rollout was over so soon.
const FOR_NOBODY: &str =
    "no device was offered it: none is in its audience, or each has it already or is held";

/// Says how far the way back came: devices whose former version the server has no release of stay where they are.
fn came_back(rollout: &Rollout, phases: &[rollout_phase::Model]) -> String {
    let forth = rollout.spec.phases.len();
    let succeeded = |phases: &[rollout_phase::Model]| -> u64 {
        phases.iter().map(|phase| tally_of(phase).succeeded).sum()
    };
    let (there, back) = phases.split_at(forth.min(phases.len()));
    let (there, back) = (succeeded(there), succeeded(back));
    let counts = format!("{back} of the {there} devices that it updated went back");
    match &rollout.state_reason {
        Some(why) => format!("{why}; {counts}"),
        None => counts,
    }
}

/// Writes a step of a rollout with its event; tells whether there may be another, and what webhooks hear.
async fn write_step(
    tx: &DatabaseTransaction,
    rollout: &Rollout,
    step: Step,
    phases: &[rollout_phase::Model],
    now: Timestamp,
) -> Result<(bool, Vec<Notice>)> {
    let to = |state, why| state_change(rollout, state, why, now);
    let (action, change) = match step {
        Step::Stay => return Ok((false, Vec::new())),
        Step::Sample(sampled_at) => {
            let change = rollout::ActiveModel {
                id: Set(rollout.id.0),
                sampled_at: Set(sampled_at.map(|at| at.0)),
                ..Default::default()
            };
            rollout::Entity::update(change).exec(tx).await?;
            return Ok((sampled_at.is_some(), Vec::new()));
        }
        Step::Start => ("rollout.start", to(RolloutState::Running, None)),
        Step::Complete => {
            let is_empty = phases.iter().all(|phase| phase.devices == 0);
            let why = is_empty.then(|| FOR_NOBODY.to_owned());
            ("rollout.complete", to(RolloutState::Completed, why))
        }
        Step::RolledBack => (
            "rollout.rolled_back",
            to(RolloutState::RolledBack, Some(came_back(rollout, phases))),
        ),
        Step::NextPhase => ("rollout.next_phase", next_phase(rollout)),
        Step::Breach(breach) => {
            let place = rollout.current_phase as usize;
            let phase = rollout.spec.phases.get(place);
            let name = phase.map(|phase| phase.name.as_str()).unwrap_or_default();
            let why = Some(format!("phase {name}: {breach}"));
            match rollout.spec.on_breach {
                OnBreach::Pause => ("rollout.pause", to(RolloutState::Paused, why)),
                OnBreach::Abort => (
                    "rollout.abort",
                    rollout::ActiveModel {
                        takes_back: Set(true),
                        ..to(RolloutState::Aborted, why)
                    },
                ),
                OnBreach::RollBack => {
                    open_way_back(tx, rollout).await?;
                    let change = rollout::ActiveModel {
                        next_grant_at: Set(None),
                        ..to(RolloutState::RollingBack, why)
                    };
                    ("rollout.roll_back", change)
                }
            }
        }
    };
    let after = rollout_of(rollout::Entity::update(change).exec(tx).await?)?;
    let happening = Happening::new(&Actor::Engine, action, "rollout", rollout.id);
    record(
        tx,
        now,
        happening.before(brief(rollout)).after(brief(&after)),
    )
    .await?;
    let notices = Notice::of_change(rollout, &after);
    Ok((after.state == RolloutState::Running, notices))
}

fn next_phase(rollout: &Rollout) -> rollout::ActiveModel {
    let next = i32::try_from(rollout.current_phase + 1).unwrap_or(i32::MAX);
    rollout::ActiveModel {
        id: Set(rollout.id.0),
        current_phase: Set(next),
        sampled_at: Set(None),
        forgiven: Set(None),
        gate_approved_by: Set(None),
        ..Default::default()
    }
}
