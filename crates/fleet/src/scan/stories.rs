//! What rollouts' attempts say of their devices.

use std::collections::HashMap;

use otter_protocol::attempt::AttemptPurpose;
use otter_protocol::device::{Device, OpenAttempt, PastAttempts};
use otter_protocol::plan::PlannedRollout;
use otter_protocol::{AttemptId, AttemptState, ReleaseId, RolloutId, Timestamp};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};

use super::goes_back;
use crate::entity::attempt::{self, Column};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::known_device::{FinishedAttempt, add_finished};

/// Most rows that are read at once.
const CHUNK: usize = 20_000;

/// A device's attempts at one rollout.
#[derive(Debug, Default)]
struct Story {
    past: PastAttempts,
    open: Option<OpenAttempt>,
}

/// Devices' attempts at some rollouts, by rollout and device.
#[derive(Debug, Default)]
pub(super) struct Stories {
    by_rollout: Vec<(RolloutId, HashMap<String, Story>)>,
}

impl Stories {
    /// Adds its attempts to a device; each is shown once.
    pub(super) fn complete(&mut self, device: &mut Device) {
        for (rollout, stories) in &mut self.by_rollout {
            if let Some(story) = stories.remove(device.id.as_str()) {
                device.past.insert(*rollout, story.past);
                device.attempt = story.open.or(device.attempt.take());
            }
        }
    }
}

/// What a story needs of an attempt's row.
#[derive(Debug, FromQueryResult)]
struct Row {
    id: i32,
    device_id: String,
    release_id: i64,
    from_version: String,
    phase: i32,
    state: String,
    purpose: String,
    updated_at: i64,
    finished_at: Option<i64>,
}

impl Fleet {
    /// Reads rollouts' attempts by device: those that were not simply successful, or, for the way back, all of them.
    pub(super) async fn stories_of(&self, rollouts: &[&PlannedRollout]) -> Result<Stories> {
        let mut by_rollout = Vec::new();
        for planned in rollouts {
            by_rollout.push((planned.rollout.id, self.story_of(planned).await?));
        }
        Ok(Stories { by_rollout })
    }

    async fn story_of(&self, planned: &PlannedRollout) -> Result<HashMap<String, Story>> {
        let mut rows = Vec::new();
        for state in AttemptState::ALL {
            let skips_updates = state == AttemptState::Succeeded && !goes_back(planned);
            // Only devices that are on their way by another release succeed at anything but the update.
            if skips_updates && planned.release.min_version.is_none() {
                continue;
            }
            self.add_attempts(planned.rollout.id, state, skips_updates, &mut rows)
                .await?;
        }
        // As they began, whatever became of them.
        rows.sort_by_key(|row| row.id);
        let mut stories: HashMap<String, Story> = HashMap::new();
        for mut row in rows {
            let device = std::mem::take(&mut row.device_id);
            stories.entry(device).or_default().add(planned, row)?;
        }
        Ok(stories)
    }

    /// Reads a rollout's attempts in a state, by ranges of their numbers.
    async fn add_attempts(
        &self,
        rollout: RolloutId,
        state: AttemptState,
        skips_updates: bool,
        rows: &mut Vec<Row>,
    ) -> Result<()> {
        let mut after = 0;
        loop {
            let mut select = attempt::Entity::find()
                .select_only()
                .columns([
                    Column::Id,
                    Column::DeviceId,
                    Column::ReleaseId,
                    Column::FromVersion,
                    Column::Phase,
                    Column::State,
                    Column::Purpose,
                    Column::UpdatedAt,
                    Column::FinishedAt,
                ])
                .filter(Column::RolloutId.eq(rollout.0))
                .filter(Column::State.eq(state.as_str()))
                .filter(Column::Id.gt(after))
                .order_by_asc(Column::Id)
                .limit(CHUNK as u64);
            if skips_updates {
                select = select.filter(Column::Purpose.ne(AttemptPurpose::Update.as_str()));
            }
            let next: Vec<Row> = select.into_model().all(self.db()).await?;
            let is_last = next.len() < CHUNK;
            after = next.last().map_or(after, |row| row.id);
            rows.extend(next);
            if is_last {
                return Ok(());
            }
        }
    }
}

impl Story {
    fn add(&mut self, planned: &PlannedRollout, row: Row) -> Result<()> {
        let corrupt = |what: &str| Error::Corrupt(format!("{what} of attempt {}", row.id));
        let open = OpenAttempt {
            id: AttemptId(row.id),
            rollout: planned.rollout.id,
            release: ReleaseId(row.release_id),
            purpose: AttemptPurpose::named(&row.purpose).ok_or_else(|| corrupt("the purpose"))?,
            state: AttemptState::named(&row.state).ok_or_else(|| corrupt("the state"))?,
        };
        if !open.state.is_finished() {
            self.open = Some(open);
            return Ok(());
        }
        let finished = FinishedAttempt {
            at: Timestamp(row.finished_at.unwrap_or(row.updated_at)),
            phase: row.phase,
            from_version: &row.from_version,
            attempt: open,
        };
        add_finished(&mut self.past, &finished)
    }
}
