//! What a rollout would do, or has yet to do: the decision over the whole fleet, and a forecast over its counts.

mod answer;
mod attempt_time;
mod census;
mod warnings;

use std::sync::Arc;

use otter_protocol::admin::RolloutPreview;
use otter_protocol::decision::Weigher;
use otter_protocol::gate::Tally;
use otter_protocol::plan::{Load, PhaseLoad, PlannedRollout};
use otter_protocol::release::Release;
use otter_protocol::rollout::{Rollout, RolloutSpec, RolloutState};
use otter_protocol::{Plan, ProblemCode, RolloutId, Timestamp};
use sea_orm::{ColumnTrait, Condition, EntityTrait};

use crate::entity::{release, rollout, rollout_phase};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::releases::load_releases;
use crate::rollouts::{load_of, phases_of, rollout_of, tally_of};
use crate::scan::Scope;
use census::Census;

/// A rollout that isn't made has no number yet; no rollout will ever have this one.
const NOT_MADE: RolloutId = RolloutId(i64::MAX);

/// A rollout to be foreseen, as it stands.
struct Subject {
    rollout: Rollout,
    release: Arc<Release>,
    /// What began and came to its end, by phase; after them the way back.
    tallies: Vec<Tally>,
    load: Load,
}

impl Fleet {
    /// Foresees a rollout that isn't made.
    pub async fn preview_new_rollout(&self, spec: &RolloutSpec) -> Result<RolloutPreview> {
        self.check_rollout(spec).await?;
        let release = self.release_named(spec.release).await?;
        let rollout = not_made(spec, self.now());
        let phases = spec.phases.len();
        self.foresee(Subject {
            rollout,
            release,
            tallies: vec![Tally::default(); phases],
            load: Load {
                phases: vec![PhaseLoad::default(); phases],
                next_grant_at: None,
            },
        })
        .await
    }

    /// Foresees what a rollout has yet to do.
    pub async fn preview_rollout(&self, id: RolloutId) -> Result<RolloutPreview> {
        let row = rollout::Entity::find_by_id(id.0).one(self.db()).await?;
        let row = row.ok_or_else(|| Error::not_found(format!("rollout {id}")))?;
        let phases: Vec<rollout_phase::Model> = phases_of(self.db(), &[id.0]).await?;
        let load = load_of(&phases, row.next_grant_at);
        let rollout = rollout_of(row)?;
        if rollout.state.is_over() {
            let detail = format!(
                "Rollout {id} is {}: nothing is left of it to foresee.",
                rollout.state.as_str().replace('_', " ")
            );
            return Err(Error::problem(ProblemCode::Conflict, detail));
        }
        self.foresee(Subject {
            release: self.release_named(rollout.spec.release).await?,
            rollout,
            tallies: phases.iter().map(tally_of).collect(),
            load,
        })
        .await
    }

    async fn release_named(&self, id: otter_protocol::ReleaseId) -> Result<Arc<Release>> {
        let named = Condition::all().add(release::Column::Id.eq(id.0));
        let release = load_releases(self.db(), named).await?.into_iter().next();
        let release = release.ok_or_else(|| Error::not_found(format!("release {id}")))?;
        Ok(Arc::new(release))
    }

    async fn foresee(&self, subject: Subject) -> Result<RolloutPreview> {
        let _one_at_a_time = self.inner.preview_turn.lock().await;
        let now = self.now();
        let plan = self.plan();
        let attempt_time = self.attempt_time(&subject.release.models()).await?;
        let asked = as_if_open(&subject);
        let ahead = ahead_of(&plan, &subject.rollout, &subject.release);
        let rollouts: Vec<&PlannedRollout> = std::iter::once(&asked).chain(&ahead).collect();
        let weigh =
            |planned: &PlannedRollout| Weigher::new(Plan::clone(&plan), planned.clone(), now);
        let census = Census::new(
            self.clone(),
            weigh(&asked),
            ahead.iter().map(weigh).collect(),
        );
        let census = self
            .scan(&plan, &rollouts, Scope::Everybody, census)
            .await?;
        Ok(answer::answer(
            &subject,
            &census,
            attempt_time,
            self.config(),
            now,
        ))
    }
}

/// Returns a rollout as it would be if it were made now.
fn not_made(spec: &RolloutSpec, now: Timestamp) -> Rollout {
    Rollout {
        id: NOT_MADE,
        spec: spec.clone(),
        state: RolloutState::Draft,
        state_reason: None,
        current_phase: 0,
        sampled_at: None,
        created_at: now,
        created_by: String::new(),
        started_at: None,
        finished_at: None,
        approved_by: None,
        gate_approved_by: None,
        retried_upto: None,
        takes_back: false,
    }
}

/// Returns the rollout as devices would meet it if all its phases were open and nobody were under way: what holds one back
/// then is about the device.
fn as_if_open(subject: &Subject) -> PlannedRollout {
    let mut rollout = subject.rollout.clone();
    if rollout.state != RolloutState::RollingBack {
        rollout.state = RolloutState::Running;
    }
    rollout.current_phase = u32::try_from(rollout.spec.phases.len()).unwrap_or(u32::MAX);
    rollout.spec.starts_at = None;
    rollout.spec.audience.put_in_order();
    rollout.spec.exclude.devices.sort();
    let devices = |load: &PhaseLoad| PhaseLoad {
        devices: load.devices,
        ..PhaseLoad::default()
    };
    PlannedRollout {
        rollout: Arc::new(rollout),
        release: subject.release.clone(),
        load: Load {
            phases: subject.load.phases.iter().map(devices).collect(),
            next_grant_at: None,
        },
    }
}

/// Returns the rollouts that offer, and get a device before this one does.
fn ahead_of(plan: &Plan, rollout: &Rollout, release: &Release) -> Vec<PlannedRollout> {
    let place = |rollout: &Rollout| (rollout.spec.priority, rollout.id);
    let models = release.models();
    let fits = |planned: &PlannedRollout| {
        let mut models = models.iter();
        models.any(|model| planned.release.artifact_for(model).is_some())
    };
    plan.rollouts()
        .iter()
        .filter(|planned| {
            let state = planned.rollout.state;
            matches!(state, RolloutState::Running | RolloutState::RollingBack)
                && planned.rollout.id != rollout.id
                && place(&planned.rollout) > place(rollout)
                && fits(planned)
        })
        .cloned()
        .collect()
}
