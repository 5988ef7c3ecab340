//! Silence counts: an attempt with no word for its deadline is timed out.

use otter_protocol::admin::ChangeKind;
use otter_protocol::{AttemptState, DeviceId, Timestamp};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::attempts::count_end;
use crate::database;
use crate::entity::{attempt, rollout, rollout_phase};
use crate::error::Result;
use crate::fleet::Fleet;
use crate::rollouts::{locked_rollout, spec_of};
use crate::webhooks::Notice;

/// Attempts ended in one transaction.
const BATCH: u64 = 200;

impl Fleet {
    /// Ends the attempts whose devices have been silent for too long, of whatever rollout.
    pub(super) async fn end_silent_attempts(&self) -> Result<()> {
        let busy: Vec<i64> = rollout_phase::Entity::find()
            .select_only()
            .column(rollout_phase::Column::RolloutId)
            .distinct()
            .filter(rollout_phase::Column::UnderWay.gt(0))
            .into_tuple()
            .all(self.db())
            .await?;
        if busy.is_empty() {
            return Ok(());
        }
        let rows = rollout::Entity::find()
            .filter(rollout::Column::Id.is_in(busy))
            .all(self.db())
            .await?;
        for row in rows {
            let deadline = self.now().minus_sec(spec_of(&row)?.attempt_deadline_sec);
            while self.end_silent_attempts_of(&row, deadline).await? == BATCH {}
        }
        Ok(())
    }

    /// Ends some of a rollout's attempts that were last heard of before a deadline; returns how many.
    async fn end_silent_attempts_of(
        &self,
        row: &rollout::Model,
        deadline: Timestamp,
    ) -> Result<u64> {
        let silent = attempt::Entity::find()
            .filter(attempt::Column::RolloutId.eq(row.id))
            .filter(attempt::Column::FinishedAt.is_null())
            .filter(attempt::Column::UpdatedAt.lt(deadline.0))
            .order_by_asc(attempt::Column::Id)
            .limit(BATCH);
        if silent.clone().one(self.db()).await?.is_none() {
            return Ok(0);
        }
        let tx = database::begin(self.db()).await?;
        locked_rollout(&tx, otter_protocol::RolloutId(row.id)).await?;
        let silent = silent.all(&tx).await?;
        let now = self.now();
        for attempt in &silent {
            let change = attempt::ActiveModel {
                id: Set(attempt.id),
                state: Set(AttemptState::TimedOut.as_str().to_owned()),
                message: Set(Some(format!(
                    "no word from the device since {}",
                    Timestamp(attempt.updated_at)
                ))),
                updated_at: Set(now.0),
                finished_at: Set(Some(now.0)),
                ..Default::default()
            };
            attempt::Entity::update(change).exec(&tx).await?;
            count_end(&tx, attempt, AttemptState::TimedOut, now).await?;
        }
        let notices = silent.iter();
        let notices = notices.map(|attempt| Notice::attempt(attempt, AttemptState::TimedOut));
        self.announce(&tx, &notices.collect::<Vec<_>>()).await?;
        tx.commit().await?;
        for attempt in &silent {
            if let Ok(id) = DeviceId::new(&attempt.device_id) {
                self.forget_device(&id);
            }
            self.attempt_ended(attempt);
            self.changed(ChangeKind::Device, &attempt.device_id);
        }
        self.changed(ChangeKind::Rollout, row.id);
        Ok(silent.len() as u64)
    }
}
