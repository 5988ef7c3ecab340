//! The audit log: every change an event, in the change's own transaction, each holding the hash of the one before it.

use otter_protocol::Timestamp;
use otter_protocol::admin::{AuditEvent, AuditFilter, Page};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect,
};
use serde::Serialize;
use serde_json::Value;

use crate::actor::Actor;
use crate::audit_check::exported;
use crate::audit_heads::parsed;
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
    let previous = parsed(&head.hash)?;
    let mut row = event::Model {
        sequence: head.sequence + 1,
        at: now.0,
        actor: happening.actor.to_string(),
        action: happening.action.to_owned(),
        subject_kind: happening.subject_kind.to_owned(),
        subject: happening.subject,
        before_json: happening.before.map(|value| value.to_string()),
        after_json: happening.after.map(|value| value.to_string()),
        hash: head.hash,
    };
    row.hash = exported(row.clone())?.hash_after(previous).to_string();
    event_head::Entity::update(event_head::ActiveModel {
        id: Set(1),
        sequence: Set(row.sequence),
        hash: Set(row.hash.clone()),
        ..Default::default()
    })
    .exec(tx)
    .await?;
    event::Entity::insert(event::ActiveModel::from(row))
        .exec_without_returning(tx)
        .await?;
    Ok(())
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
        for bound in [filter.from.map(Bound::From), filter.until.map(Bound::Until)] {
            let Some(bound) = bound else { continue };
            let Some(within) = self.on_side_of(bound).await? else {
                return Ok(Page {
                    items: Vec::new(),
                    next: None,
                });
            };
            query = query.filter(within);
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

    /// Returns what holds for events on one side of a time; `None` where there are none. Their numbers grow with time, so that
    /// the first or last of them is looked up, and the list is walked from there.
    async fn on_side_of(&self, bound: Bound) -> Result<Option<Condition>> {
        // Not by the index of times: that would put them into another order.
        let at = Expr::col(event::Column::At).add(0);
        let edge = event::Entity::find()
            .select_only()
            .column(event::Column::Sequence);
        let edge = match bound {
            Bound::From(from) => edge
                .filter(event::Column::At.gte(from.0))
                .order_by_asc(event::Column::At)
                .order_by_asc(event::Column::Sequence),
            Bound::Until(until) => edge
                .filter(event::Column::At.lt(until.0))
                .order_by_desc(event::Column::At)
                .order_by_desc(event::Column::Sequence),
        };
        let edge: Option<i64> = edge.limit(1).into_tuple().one(self.db()).await?;
        Ok(edge.map(|edge| match bound {
            Bound::From(from) => Condition::all()
                .add(event::Column::Sequence.gte(edge))
                .add(at.gte(from.0)),
            Bound::Until(until) => Condition::all()
                .add(event::Column::Sequence.lte(edge))
                .add(at.lt(until.0)),
        }))
    }
}

/// An end of a stretch of time.
#[derive(Debug, Clone, Copy)]
enum Bound {
    From(Timestamp),
    Until(Timestamp),
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
