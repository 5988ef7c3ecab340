//! The fleet in a few numbers, for those who watch it. Counted by indexes, and kept for as long as counting is a small part
//! of the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use otter_protocol::attempt::AttemptState;
use otter_protocol::device::DeviceState;
use otter_protocol::rollout::RolloutState;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect};
use tokio::sync::Mutex;

use crate::entity::{attempt, device, loose_report};
use crate::error::{Error, Result};
use crate::fleet::Fleet;

/// Numbers are good for so many times what counting them took.
const ONE_IN: u32 = 20;
/// Seconds of the day that updates are counted over.
const DAY_SEC: u64 = 86_400;

/// The fleet in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Devices that take part, by model.
    pub devices_by_model: BTreeMap<String, u64>,
    /// Updates that something was heard of in the last 24 hours, by where they are.
    pub updates_last_day: BTreeMap<AttemptState, u64>,
    /// Rollouts that offer something now.
    pub running_rollouts: u64,
}

/// Numbers that were counted, until when they are good.
#[derive(Debug, Default)]
pub(crate) struct CountedFigures(Mutex<Option<(Instant, Arc<Figures>)>>);

impl Fleet {
    /// Returns the fleet in a few numbers. They are counted by one caller at a time, and at most a twentieth of the time.
    pub async fn figures(&self) -> Result<Arc<Figures>> {
        let mut counted = self.inner.figures.0.lock().await;
        if let Some((until, figures)) = &*counted
            && *until > Instant::now()
        {
            return Ok(figures.clone());
        }
        let began = Instant::now();
        let figures = Arc::new(self.count_figures().await?);
        let good_for: Duration = began.elapsed() * ONE_IN;
        *counted = Some((Instant::now() + good_for, figures.clone()));
        Ok(figures)
    }

    async fn count_figures(&self) -> Result<Figures> {
        let rows = || Expr::val(1).count();
        let models: Vec<(String, i64)> = device::Entity::find()
            .select_only()
            .column(device::Column::Model)
            .column_as(rows(), "devices")
            .filter(device::Column::State.eq(DeviceState::Accepted.as_str()))
            .group_by(device::Column::Model)
            .into_tuple()
            .all(self.db())
            .await?;
        let since = self.now().minus_sec(DAY_SEC).0;
        let attempts: Vec<(String, i64)> = attempt::Entity::find()
            .select_only()
            .column(attempt::Column::State)
            .column_as(rows(), "attempts")
            .filter(attempt::Column::UpdatedAt.gte(since))
            .group_by(attempt::Column::State)
            .into_tuple()
            .all(self.db())
            .await?;
        let loose: Vec<(String, i64)> = loose_report::Entity::find()
            .select_only()
            .column(loose_report::Column::State)
            .column_as(rows(), "reports")
            .filter(loose_report::Column::ReportedAt.gte(since))
            .group_by(loose_report::Column::State)
            .into_tuple()
            .all(self.db())
            .await?;
        let mut updates_last_day = BTreeMap::new();
        for (state, count) in attempts.into_iter().chain(loose) {
            let state = AttemptState::named(&state)
                .ok_or_else(|| Error::Corrupt(format!("the state of an attempt, {state}")))?;
            *updates_last_day.entry(state).or_default() += whole(count);
        }
        let plan = self.plan();
        let running = plan
            .rollouts()
            .iter()
            .filter(|planned| planned.rollout.state == RolloutState::Running);
        Ok(Figures {
            devices_by_model: models
                .into_iter()
                .map(|(model, count)| (model, whole(count)))
                .collect(),
            updates_last_day,
            running_rollouts: running.count() as u64,
        })
    }
}

fn whole(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
