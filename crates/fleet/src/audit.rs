//! The audit log: every change an event, in the change's own transaction, each holding the hash of the one before it.

use futures::TryStreamExt;
use otter_protocol::admin::{AuditEvent, AuditFilter, ChainCheck, Page};
use otter_protocol::{Sha256Digest, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde::Serialize;
use serde_json::Value;

use crate::actor::Actor;
use crate::database::is_postgres;
use crate::entity::{event, event_head};
use crate::error::{Error, Result};
use crate::fleet::Fleet;

/// What happened, to be recorded.
pub(crate) struct Happening<'a> {
    pub(crate) actor: &'a Actor,
    /// Such as `rollout.pause`.
    pub(crate) action: &'static str,
    /// Such as `rollout`.
    pub(crate) subject_kind: &'static str,
    pub(crate) subject: String,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

impl<'a> Happening<'a> {
    pub(crate) fn new(
        actor: &'a Actor,
        action: &'static str,
        subject_kind: &'static str,
        subject: impl ToString,
    ) -> Self {
        Self {
            actor,
            action,
            subject_kind,
            subject: subject.to_string(),
            before: None,
            after: None,
        }
    }

    /// Says how the thing was.
    pub(crate) fn before(mut self, value: impl Serialize) -> Self {
        self.before = serde_json::to_value(value).ok();
        self
    }

    /// Says how the thing is.
    pub(crate) fn after(mut self, value: impl Serialize) -> Self {
        self.after = serde_json::to_value(value).ok();
        self
    }
}

/// Adds an event to the chain, within the transaction of the change itself.
pub(crate) async fn record(
    tx: &DatabaseTransaction,
    now: Timestamp,
    happening: Happening<'_>,
) -> Result<()> {
    let mut head = event_head::Entity::find_by_id(1);
    if is_postgres(tx.get_database_backend()) {
        head = head.lock_exclusive();
    }
    let head = head
        .one(tx)
        .await?
        .ok_or_else(|| Error::Corrupt("the audit log has no head".into()))?;
    let mut row = event::Model {
        sequence: head.sequence + 1,
        at: now.0,
        actor: happening.actor.to_string(),
        action: happening.action.to_owned(),
        subject_kind: happening.subject_kind.to_owned(),
        subject: happening.subject,
        before_json: happening.before.map(|value| value.to_string()),
        after_json: happening.after.map(|value| value.to_string()),
        hash: String::new(),
    };
    row.hash = hash_of(&head.hash, &row).to_string();
    event_head::Entity::update(event_head::ActiveModel {
        id: Set(1),
        sequence: Set(row.sequence),
        hash: Set(row.hash.clone()),
    })
    .exec(tx)
    .await?;
    event::Entity::insert(event::ActiveModel::from(row))
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

/// Hashes an event with the one before it. Lengths stand before texts, so that no two events read alike.
fn hash_of(previous: &str, row: &event::Model) -> Sha256Digest {
    let (sequence, at) = (row.sequence.to_string(), row.at.to_string());
    let fields = [
        Some(previous),
        Some(&sequence),
        Some(&at),
        Some(&row.actor),
        Some(&row.action),
        Some(&row.subject_kind),
        Some(&row.subject),
        row.before_json.as_deref(),
        row.after_json.as_deref(),
    ];
    let text: String = fields
        .into_iter()
        .map(|field| match field {
            Some(text) => format!("{}:{text}\n", text.len()),
            None => "-\n".to_owned(),
        })
        .collect();
    Sha256Digest::of(text.as_bytes())
}

impl Fleet {
    /// Lists events, the newest first.
    pub async fn audit_events(&self, filter: &AuditFilter) -> Result<Page<AuditEvent>> {
        let limit = u64::from(filter.limit.unwrap_or(50).clamp(1, 500));
        let mut query = event::Entity::find()
            .order_by_desc(event::Column::Sequence)
            .limit(limit + 1);
        if let Some(actor) = &filter.actor {
            query = query.filter(event::Column::Actor.eq(actor));
        }
        if let Some(action) = &filter.action {
            query = query.filter(match action.strip_suffix('*') {
                Some(begin) => event::Column::Action.starts_with(begin),
                None => event::Column::Action.eq(action),
            });
        }
        if let Some(kind) = &filter.subject_kind {
            query = query.filter(event::Column::SubjectKind.eq(kind));
        }
        if let Some(subject) = &filter.subject {
            query = query.filter(event::Column::Subject.eq(subject));
        }
        if let Some(cursor) = &filter.cursor {
            let before: i64 = cursor
                .parse()
                .map_err(|_| Error::invalid("cursor", "this is no cursor of this list"))?;
            query = query.filter(event::Column::Sequence.lt(before));
        }
        let rows = query.all(self.db()).await?;
        crate::fleet::page(rows, limit, |row| row.sequence.to_string(), event_of)
    }

    /// Walks the whole log and checks that each event holds the hash of the one before it, and that none is missing.
    pub async fn verify_audit(&self) -> Result<ChainCheck> {
        let head = event_head::Entity::find_by_id(1).one(self.db()).await?;
        let mut rows = event::Entity::find()
            .order_by_asc(event::Column::Sequence)
            .stream(self.db())
            .await?;
        let (mut previous, mut events) = ("0".repeat(64), 0);
        while let Some(row) = rows.try_next().await? {
            let fits =
                row.sequence == events + 1 && row.hash == hash_of(&previous, &row).to_string();
            if !fits {
                let broken_at = Some(events + 1);
                return Ok(ChainCheck {
                    events: count(events),
                    head: previous.parse().ok(),
                    broken_at,
                });
            }
            (previous, events) = (row.hash, row.sequence);
        }
        // Events written since the head was read only make the log longer.
        let is_cut = head.is_none_or(|head| head.sequence > events);
        let head = (events > 0).then(|| previous.parse().ok()).flatten();
        Ok(ChainCheck {
            events: count(events),
            head,
            broken_at: is_cut.then_some(events + 1),
        })
    }
}

fn count(events: i64) -> u64 {
    u64::try_from(events).unwrap_or(0)
}

fn event_of(row: event::Model) -> Result<AuditEvent> {
    let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(AuditEvent {
        sequence: row.sequence,
        at: Timestamp(row.at),
        actor: row.actor,
        action: row.action,
        subject_kind: row.subject_kind,
        subject: row.subject,
        before: json(row.before_json),
        after: json(row.after_json),
        hash: row
            .hash
            .parse()
            .map_err(|_| Error::Corrupt(format!("the hash of event {}", row.sequence)))?,
    })
}
