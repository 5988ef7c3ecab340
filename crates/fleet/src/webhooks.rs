//! Webhooks: addresses that hear of rollouts and attempts, at least once and in order per rollout.
//!
//! A notice is written in the transaction of the change that it tells of, one row for each webhook that takes it; sending is
//! the server's, which asks here what is due and says how it went. Without webhooks no change costs a query more.

mod address;
mod log;
mod notice;
mod queue;

use std::sync::Arc;

use arc_swap::ArcSwap;
use otter_protocol::Timestamp;
use otter_protocol::admin::{
    ChangeKind, NewWebhook, Webhook, WebhookPatch, WithSecret, notice_events, takes_event,
};
use sea_orm::{
    ActiveValue::Set, DatabaseTransaction, EntityTrait, NotSet, PaginatorTrait, QueryOrder,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

pub use address::is_public;
pub(crate) use notice::Notice;
pub use queue::{DueDelivery, TriedDelivery, WebhookQueue, WebhookSecret};

use crate::actor::Actor;
use crate::audit::{Happening, record};
use crate::database::{self, locked};
use crate::entity::webhook;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::secret;
use crate::text::check_name;

/// Most webhooks: every change is written once for each.
const MAX_WEBHOOKS: u64 = 100;

/// Most filters of one webhook.
const MAX_FILTERS: usize = 50;

/// How long a secret signs after another took its place, in seconds.
const FORMER_SECRET_SEC: u64 = 24 * 3600;

/// The webhooks as this server knows them.
#[derive(Default)]
pub(crate) struct Listeners {
    all: ArcSwap<Vec<Listener>>,
    /// One renewal at a time, so that an older one never replaces a newer one.
    renewal: Mutex<()>,
}

/// What has to be known of a webhook when something happens.
#[derive(Debug, Clone)]
struct Listener {
    id: i64,
    enabled: bool,
    events: Vec<String>,
}

impl Listener {
    fn takes(&self, event: &str) -> bool {
        self.enabled && self.events.iter().any(|filter| takes_event(filter, event))
    }
}

impl Fleet {
    /// Makes a webhook; its secret is shown only in the answer.
    pub async fn create_webhook(
        &self,
        actor: &Actor,
        new: &NewWebhook,
    ) -> Result<WithSecret<Webhook>> {
        let spec = self.checked(new)?;
        let secret = secret::generate("otw_")?;
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        if webhook::Entity::find().count(&tx).await? >= MAX_WEBHOOKS {
            return Err(Error::problem(
                otter_protocol::ProblemCode::Conflict,
                format!("There are {MAX_WEBHOOKS} webhooks, and no more may be; delete one first."),
            ));
        }
        let row = webhook::ActiveModel {
            id: NotSet,
            name: Set(spec.name),
            url: Set(spec.url),
            events: Set(json!(spec.events).to_string()),
            enabled: Set(spec.enabled),
            secret: Set(secret.clone()),
            former_secret: Set(None),
            former_until: Set(None),
            created_at: Set(now.0),
            created_by: Set(actor.to_string()),
        };
        let row = webhook::Entity::insert(row)
            .exec_with_returning(&tx)
            .await?;
        let made = webhook_of(&row, now)?;
        let happening = Happening::new(actor, "webhook.create", "webhook", made.id);
        record(&tx, now, happening.after(for_audit(&made))).await?;
        tx.commit().await?;
        self.webhook_changed(made.id).await?;
        Ok(WithSecret { made, secret })
    }

    /// Lists webhooks, the newest first.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>> {
        let newest_first = webhook::Entity::find().order_by_desc(webhook::Column::Id);
        let rows = newest_first.all(self.db()).await?;
        let now = self.now();
        rows.iter().map(|row| webhook_of(row, now)).collect()
    }

    /// Changes a webhook; what waits for it is kept.
    pub async fn change_webhook(
        &self,
        actor: &Actor,
        id: i64,
        patch: &WebhookPatch,
    ) -> Result<Webhook> {
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        let before = webhook_of(&locked_webhook(&tx, id).await?, now)?;
        let patch = patch.clone();
        let spec = self.checked(&NewWebhook {
            name: patch.name.unwrap_or_else(|| before.spec.name.clone()),
            url: patch.url.unwrap_or_else(|| before.spec.url.clone()),
            events: patch.events.unwrap_or_else(|| before.spec.events.clone()),
            enabled: patch.enabled.unwrap_or(before.spec.enabled),
        })?;
        let change = webhook::ActiveModel {
            id: Set(id),
            name: Set(spec.name),
            url: Set(spec.url),
            events: Set(json!(spec.events).to_string()),
            enabled: Set(spec.enabled),
            ..Default::default()
        };
        let after = webhook_of(&webhook::Entity::update(change).exec(&tx).await?, now)?;
        if after == before {
            return Ok(before);
        }
        let happening = Happening::new(actor, "webhook.update", "webhook", id);
        let happening = happening
            .before(for_audit(&before))
            .after(for_audit(&after));
        record(&tx, now, happening).await?;
        tx.commit().await?;
        self.webhook_changed(id).await?;
        Ok(after)
    }

    /// Takes a webhook away, with what waits for it and its log.
    pub async fn delete_webhook(&self, actor: &Actor, id: i64) -> Result<()> {
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        let before = webhook_of(&locked_webhook(&tx, id).await?, now)?;
        webhook::Entity::delete_by_id(id).exec(&tx).await?;
        let happening = Happening::new(actor, "webhook.delete", "webhook", id);
        record(&tx, now, happening.before(for_audit(&before))).await?;
        tx.commit().await?;
        self.webhook_changed(id).await
    }

    /// Gives a webhook another secret, shown only in the answer; for 24 hours the one before signs, too.
    pub async fn rotate_webhook(&self, actor: &Actor, id: i64) -> Result<WithSecret<Webhook>> {
        let secret = secret::generate("otw_")?;
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        let row = locked_webhook(&tx, id).await?;
        let until = now.plus_sec(FORMER_SECRET_SEC);
        let change = webhook::ActiveModel {
            id: Set(id),
            secret: Set(secret.clone()),
            former_secret: Set(Some(row.secret)),
            former_until: Set(Some(until.0)),
            ..Default::default()
        };
        let made = webhook_of(&webhook::Entity::update(change).exec(&tx).await?, now)?;
        let happening = Happening::new(actor, "webhook.rotate", "webhook", id);
        let happening = happening.after(json!({ "former_secret_until": until }));
        record(&tx, now, happening).await?;
        tx.commit().await?;
        self.webhook_changed(id).await?;
        Ok(WithSecret { made, secret })
    }

    /// Loads anew which webhooks there are and what they hear.
    pub(crate) async fn renew_webhooks(&self) -> Result<()> {
        let listeners = &self.inner.webhooks;
        let _one_at_a_time = listeners.renewal.lock().await;
        let rows = webhook::Entity::find()
            .order_by_asc(webhook::Column::Id)
            .all(self.db())
            .await?;
        let all: Vec<Listener> = rows
            .iter()
            .map(|row| {
                Ok(Listener {
                    id: row.id,
                    enabled: row.enabled,
                    events: events_of(row)?,
                })
            })
            .collect::<Result<_>>()?;
        listeners.all.store(Arc::new(all));
        Ok(())
    }

    async fn webhook_changed(&self, id: i64) -> Result<()> {
        self.renew_webhooks().await?;
        self.changed(ChangeKind::Settings, format!("webhook/{id}"));
        Ok(())
    }

    fn checked(&self, new: &NewWebhook) -> Result<NewWebhook> {
        check_name("name", &new.name, 100)?;
        let url = address::check_url(&new.url, self.config().webhooks_allow_private)?;
        check_filters(&new.events)?;
        Ok(NewWebhook {
            url: url.into(),
            ..new.clone()
        })
    }
}

fn check_filters(filters: &[String]) -> Result<()> {
    if filters.is_empty() || filters.len() > MAX_FILTERS {
        return Err(Error::invalid(
            "events",
            format!(
                "A webhook hears of 1 to {MAX_FILTERS} kinds of events, this one of {}; `*` takes all.",
                filters.len()
            ),
        ));
    }
    let known = notice_events();
    for (place, filter) in filters.iter().enumerate() {
        if !known.iter().any(|event| takes_event(filter, event)) {
            return Err(Error::invalid(
                format!("events[{place}]"),
                format!(
                    "No event is taken by `{filter}`. Write a name such as rollout.paused or attempt.failed, \
                     or a beginning with a *, such as rollout.*."
                ),
            ));
        }
    }
    Ok(())
}

/// Reads a webhook to change it.
async fn locked_webhook(tx: &DatabaseTransaction, id: i64) -> Result<webhook::Model> {
    locked(tx, webhook::Entity::find_by_id(id))
        .one(tx)
        .await?
        .ok_or_else(|| Error::not_found(format!("webhook {id}")))
}

fn events_of(row: &webhook::Model) -> Result<Vec<String>> {
    serde_json::from_str(&row.events)
        .map_err(|_| Error::Corrupt(format!("the events of webhook {}", row.id)))
}

fn webhook_of(row: &webhook::Model, now: Timestamp) -> Result<Webhook> {
    let former_until = row.former_until.map(Timestamp);
    Ok(Webhook {
        id: row.id,
        spec: NewWebhook {
            name: row.name.clone(),
            url: row.url.clone(),
            events: events_of(row)?,
            enabled: row.enabled,
        },
        former_secret_until: former_until.filter(|until| *until > now),
        created_by: row.created_by.clone(),
        created_at: Timestamp(row.created_at),
    })
}

/// What an event keeps of a webhook: of its address only the host, as paths of some receivers are secrets, and more people
/// may read the audit log.
fn for_audit(webhook: &Webhook) -> Value {
    let origin = url::Url::parse(&webhook.spec.url)
        .map(|url| url.origin().ascii_serialization())
        .unwrap_or_default();
    json!({
        "name": webhook.spec.name,
        "origin": origin,
        "events": webhook.spec.events,
        "enabled": webhook.spec.enabled,
    })
}
