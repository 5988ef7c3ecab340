//! What webhooks are told, written where it happens.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use otter_protocol::admin::{
    AUDIT_HEAD, AttemptSummary, DeliveryState, NoticeRollout, WebhookNotice,
};
use otter_protocol::audit_chain::SignedHead;
use otter_protocol::rollout::Rollout;
use otter_protocol::{AttemptId, AttemptState, RolloutId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, NotSet,
    QueryFilter, QuerySelect, Statement,
};
use uuid::Uuid;

use super::Listener;
use super::queue::GIVE_UP_SEC;
use crate::attempts::summary_of;
use crate::database::is_postgres;
use crate::entity::{attempt, release, rollout, webhook_delivery};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::rollouts::rollout_of;

/// The form of what is sent.
pub(super) const FORM: u32 = 1;

/// Sets the locks of notices apart from other advisory locks, should there be any.
const LOCKS: i32 = 0x077e;

/// Rows of one statement: databases allow only so many values.
const ROWS: usize = 500;

/// Something that happened to a rollout or an attempt.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    event: String,
    rollout: RolloutId,
    attempt: Option<AttemptId>,
    detail: Option<String>,
    audit_head: Option<SignedHead>,
}

impl Notice {
    /// Says that a rollout has come into the state that it is in.
    pub(crate) fn state_of(rollout: &Rollout) -> Self {
        Self::rollout(rollout.id, rollout.state.as_str())
    }

    /// Says what became different of a rollout, where its state or its phase did.
    pub(crate) fn of_change(before: &Rollout, after: &Rollout) -> Vec<Self> {
        let moved = after.current_phase != before.current_phase;
        let moved = moved.then(|| Self::rollout(after.id, "next_phase"));
        let changed = (after.state != before.state).then(|| Self::state_of(after));
        moved.into_iter().chain(changed).collect()
    }

    /// Says that something else happened to a rollout, such as `next_phase`.
    pub(crate) fn rollout(id: RolloutId, event: &str) -> Self {
        Self {
            event: format!("rollout.{event}"),
            rollout: id,
            attempt: None,
            detail: None,
            audit_head: None,
        }
    }

    /// Says where the audit log ends, signed.
    pub(crate) fn audit_head(head: SignedHead) -> Self {
        Self {
            event: AUDIT_HEAD.to_owned(),
            // None has this number.
            rollout: RolloutId(0),
            attempt: None,
            detail: None,
            audit_head: Some(head),
        }
    }

    /// Says that an attempt has come into a state.
    pub(crate) fn attempt(row: &attempt::Model, state: AttemptState) -> Self {
        Self::of_attempt(row, state.as_str())
    }

    /// Says that a device is healthy, or not, after an attempt that succeeded.
    pub(crate) fn health(row: &attempt::Model, is_healthy: bool) -> Self {
        Self::of_attempt(row, if is_healthy { "healthy" } else { "unhealthy" })
    }

    fn of_attempt(row: &attempt::Model, event: &str) -> Self {
        Self {
            event: format!("attempt.{event}"),
            rollout: RolloutId(row.rollout_id),
            attempt: Some(AttemptId(row.id)),
            detail: None,
            audit_head: None,
        }
    }

    /// Adds what there is to say beside the event's name.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into()).filter(|detail| !detail.is_empty());
        self
    }
}

impl Fleet {
    /// Writes what happened for every webhook that takes it; without one this costs nothing.
    ///
    /// This is the *last* thing of a transaction, with everything that it has to tell at once: it reads how things are now,
    /// and from here to the commit holds the rollouts' order, so that whoever holds something else must not wait behind it.
    pub(crate) async fn announce(
        &self,
        tx: &DatabaseTransaction,
        notices: &[Notice],
    ) -> Result<()> {
        let listeners = self.inner.webhooks.all.load_full();
        let is_taken = |notice: &&Notice| listeners.iter().any(|hook| hook.takes(&notice.event));
        let taken: Vec<&Notice> = notices.iter().filter(is_taken).collect();
        if taken.is_empty() {
            return Ok(());
        }
        hold_order(tx, &taken).await?;
        let now = self.now();
        let told = Told::read(tx, &taken).await?;
        let mut rows = Vec::new();
        for notice in taken {
            let body = told.body(notice, now)?;
            rows.extend(rows_of(&listeners, notice, &body, now));
        }
        for rows in rows.chunks(ROWS) {
            webhook_delivery::Entity::insert_many(rows.to_vec())
                .exec_without_returning(tx)
                .await?;
        }
        Ok(())
    }
}

/// Makes numbers of deliveries rise in the order of commits, per rollout. SQLite's writers are alone anyway.
async fn hold_order(tx: &DatabaseTransaction, notices: &[&Notice]) -> Result<()> {
    let backend = tx.get_database_backend();
    if !is_postgres(backend) {
        return Ok(());
    }
    // In order, so that two who take several never wait for each other.
    let rollouts: BTreeSet<RolloutId> = notices.iter().map(|notice| notice.rollout).collect();
    for rollout in rollouts {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "two rollouts that share a lock only wait for each other"
        )]
        let values = [LOCKS.into(), (rollout.0 as i32).into()];
        let sql = "SELECT pg_advisory_xact_lock($1, $2)";
        tx.execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
    }
    Ok(())
}

fn rows_of(
    listeners: &Arc<Vec<Listener>>,
    notice: &Notice,
    body: &str,
    now: Timestamp,
) -> Vec<webhook_delivery::ActiveModel> {
    let taking = listeners.iter().filter(|hook| hook.takes(&notice.event));
    taking
        .map(|hook| waiting(hook.id, notice.rollout.0, &notice.event, body, now))
        .collect()
}

/// Makes a delivery that is due at once.
pub(super) fn waiting(
    webhook: i64,
    rollout: i64,
    event: &str,
    body: &str,
    now: Timestamp,
) -> webhook_delivery::ActiveModel {
    webhook_delivery::ActiveModel {
        id: NotSet,
        webhook_id: Set(webhook),
        rollout_id: Set(rollout),
        event: Set(event.to_owned()),
        body: Set(body.to_owned()),
        state: Set(DeliveryState::Waiting.as_str().to_owned()),
        created_at: Set(now.0),
        next_at: Set(now.0),
        gives_up_at: Set(now.plus_sec(GIVE_UP_SEC).0),
        tries: Set(0),
        tried_at: Set(None),
        finished_at: Set(None),
        status: Set(None),
        took_ms: Set(None),
        error: Set(None),
        answer: Set(None),
    }
}

/// How the things are that notices speak of.
struct Told {
    rollouts: HashMap<RolloutId, NoticeRollout>,
    attempts: HashMap<AttemptId, AttemptSummary>,
}

impl Told {
    async fn read(tx: &DatabaseTransaction, notices: &[&Notice]) -> Result<Self> {
        let rollouts: BTreeSet<i64> = notices.iter().map(|notice| notice.rollout.0).collect();
        let rows = rollout::Entity::find()
            .filter(rollout::Column::Id.is_in(rollouts))
            .all(tx)
            .await?;
        let versions: HashMap<i64, String> = release::Entity::find()
            .select_only()
            .columns([release::Column::Id, release::Column::Version])
            .filter(release::Column::Id.is_in(rows.iter().map(|row| row.release_id)))
            .into_tuple()
            .all(tx)
            .await?
            .into_iter()
            .collect();
        let rollouts = rows.into_iter().map(|row| {
            let version = versions.get(&row.release_id).cloned().unwrap_or_default();
            let told = brief(rollout_of(row)?, &version);
            Ok((told.id, told))
        });
        let rollouts = rollouts.collect::<Result<_>>()?;
        let attempts: BTreeSet<i32> = notices
            .iter()
            .filter_map(|notice| notice.attempt.map(|id| id.0))
            .collect();
        let rows = if attempts.is_empty() {
            Vec::new()
        } else {
            let named = attempt::Column::Id.is_in(attempts);
            attempt::Entity::find().filter(named).all(tx).await?
        };
        let attempts = rows.into_iter().map(|row| {
            let told = summary_of(row)?;
            Ok((told.id, told))
        });
        Ok(Self {
            rollouts,
            attempts: attempts.collect::<Result<_>>()?,
        })
    }

    fn body(&self, notice: &Notice, now: Timestamp) -> Result<String> {
        let body = WebhookNotice {
            version: FORM,
            id: Uuid::new_v4(),
            event: notice.event.clone(),
            at: now,
            detail: notice.detail.clone(),
            rollout: self.rollouts.get(&notice.rollout).cloned(),
            attempt: notice
                .attempt
                .and_then(|id| self.attempts.get(&id).cloned()),
            audit_head: notice.audit_head.clone(),
        };
        serde_json::to_string(&body).map_err(|error| Error::Corrupt(error.to_string()))
    }
}

fn brief(rollout: Rollout, version: &str) -> NoticeRollout {
    NoticeRollout {
        id: rollout.id,
        phases: u32::try_from(rollout.spec.phases.len()).unwrap_or(u32::MAX),
        name: rollout.spec.name,
        release: rollout.spec.release,
        version: version.into(),
        state: rollout.state,
        state_reason: rollout.state_reason,
        current_phase: rollout.current_phase,
    }
}
