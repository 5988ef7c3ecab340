//! Phases end when their gates open, and rollouts stop when a rate goes over its limit.

use otter_protocol::gate::{Tally, Verdict};
use otter_protocol::rollout::{OnBreach, Phase, Rollout, RolloutState};
use otter_protocol::{RolloutId, Timestamp};
use sea_orm::{ActiveValue::Set, DatabaseTransaction, EntityTrait};

use crate::actor::Actor;
use crate::audit::{Happening, record};
use crate::database;
use crate::entity::rollout;
use crate::error::Result;
use crate::fleet::Fleet;
use crate::rollouts::{
    brief, forgiven_of, locked_rollout, phases_of, rollout_of, state_change, tally_of, without,
};

/// What the engine does with a rollout.
enum Step {
    /// Nothing yet.
    Stay,
    /// The open phase's sample became complete, or is no longer.
    Sample(Option<Timestamp>),
    /// Its time has come.
    Start,
    /// The gate opened.
    NextPhase,
    /// The last gate opened.
    Complete,
    /// A rate is over its limit: the numbers in words.
    Breach(String),
}

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
        if matches!(step_of(&row, &phases, now)?, Step::Stay) {
            return Ok(false);
        }
        let tx = database::begin(self.db()).await?;
        let row = locked_rollout(&tx, id).await?;
        let phases = phases_of(&tx, &[id.0]).await?;
        let step = step_of(&row, &phases, now)?;
        let rollout = rollout_of(row)?;
        let goes_on = write_step(&tx, &rollout, step, now).await?;
        tx.commit().await?;
        self.renew_plan().await?;
        self.changed(otter_protocol::admin::ChangeKind::Rollout, id);
        Ok(goes_on)
    }
}

fn step_of(
    row: &rollout::Model,
    phases: &[crate::entity::rollout_phase::Model],
    now: Timestamp,
) -> Result<Step> {
    let forgiven = forgiven_of(row);
    let rollout = rollout_of(row.clone())?;
    match rollout.state {
        RolloutState::Scheduled if rollout.spec.starts_at.is_none_or(|start| start <= now) => {
            return Ok(Step::Start);
        }
        RolloutState::Running => {}
        _ => return Ok(Step::Stay),
    }
    let place = rollout.current_phase as usize;
    let (Some(phase), Some(counted)) = (rollout.spec.phases.get(place), phases.get(place)) else {
        return Ok(Step::Complete);
    };
    let is_last = place + 1 >= rollout.spec.phases.len();
    Ok(judge(
        &rollout,
        phase,
        &without(tally_of(counted), forgiven),
        is_last,
        now,
    ))
}

fn judge(rollout: &Rollout, phase: &Phase, tally: &Tally, is_last: bool, now: Timestamp) -> Step {
    let gate = phase.gate;
    match gate.judge(tally, rollout.sampled_at, now) {
        Verdict::Breached(breach) => Step::Breach(format!("phase {}: {breach}", phase.name)),
        Verdict::Sampling { .. } if rollout.sampled_at.is_some() => Step::Sample(None),
        Verdict::Sampling { .. } => Step::Stay,
        // The last phase is over when nobody is left, whatever the sample says: until then it goes on offering.
        Verdict::Open if is_last && !tally.is_exhausted() => Step::Stay,
        Verdict::Soaking { .. } | Verdict::Open
            if rollout.sampled_at.is_none() && gate.soak_sec > 0 =>
        {
            Step::Sample(Some(now))
        }
        Verdict::Soaking { .. } => Step::Stay,
        Verdict::Open if is_last => Step::Complete,
        Verdict::Open => Step::NextPhase,
    }
}

async fn write_step(
    tx: &DatabaseTransaction,
    rollout: &Rollout,
    step: Step,
    now: Timestamp,
) -> Result<bool> {
    let (action, change) = match step {
        Step::Stay => return Ok(false),
        Step::Sample(sampled_at) => {
            let sampled_at = Set(sampled_at.map(|at| at.0));
            let change = rollout::ActiveModel {
                id: Set(rollout.id.0),
                sampled_at,
                ..Default::default()
            };
            rollout::Entity::update(change).exec(tx).await?;
            return Ok(false);
        }
        Step::Start => (
            "rollout.start",
            state_change(rollout, RolloutState::Running, None, now),
        ),
        Step::Complete => (
            "rollout.complete",
            state_change(rollout, RolloutState::Completed, None, now),
        ),
        Step::NextPhase => {
            let next = i32::try_from(rollout.current_phase + 1).unwrap_or(i32::MAX);
            let change = rollout::ActiveModel {
                id: Set(rollout.id.0),
                current_phase: Set(next),
                sampled_at: Set(None),
                forgiven: Set(None),
                ..Default::default()
            };
            ("rollout.next_phase", change)
        }
        Step::Breach(why) => match rollout.spec.on_breach {
            OnBreach::Pause => (
                "rollout.pause",
                state_change(rollout, RolloutState::Paused, Some(why), now),
            ),
            OnBreach::Abort => (
                "rollout.abort",
                state_change(rollout, RolloutState::Aborted, Some(why), now),
            ),
        },
    };
    let after = rollout_of(rollout::Entity::update(change).exec(tx).await?)?;
    let happening = Happening::new(&Actor::Engine, action, "rollout", rollout.id);
    record(
        tx,
        now,
        happening.before(brief(rollout)).after(brief(&after)),
    )
    .await?;
    Ok(after.state == RolloutState::Running)
}
