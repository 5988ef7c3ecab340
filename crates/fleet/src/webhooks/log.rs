//! What webhooks were told, as people see it, and telling it again.

use otter_protocol::admin::{
    ChangeKind, DeliveryFilter, DeliveryState, PING, Page, WebhookDelivery, WebhookNotice,
};
use otter_protocol::{ProblemCode, RolloutId, Timestamp};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;
use uuid::Uuid;

use super::locked_webhook;
use super::notice::{FORM, waiting};
use super::queue::GIVE_UP_SEC;
use crate::actor::Actor;
use crate::audit::{Happening, record};
use crate::database::{self, locked};
use crate::entity::{webhook, webhook_delivery};
use crate::error::{Error, Result};
use crate::fleet::Fleet;

impl Fleet {
    /// Sends a webhook a `ping`, whatever else it hears of; tells which delivery to look at.
    pub async fn ping_webhook(&self, actor: &Actor, id: i64) -> Result<WebhookDelivery> {
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        if !locked_webhook(&tx, id).await?.enabled {
            return Err(Error::problem(
                ProblemCode::Conflict,
                format!("Webhook {id} is off; turn it on first."),
            ));
        }
        let notice = WebhookNotice {
            version: FORM,
            id: Uuid::new_v4(),
            event: PING.to_owned(),
            at: now,
            detail: None,
            rollout: None,
            attempt: None,
            audit_head: None,
        };
        let body =
            serde_json::to_string(&notice).map_err(|error| Error::Corrupt(error.to_string()))?;
        let row = webhook_delivery::Entity::insert(waiting(id, 0, PING, &body, now))
            .exec_with_returning(&tx)
            .await?;
        let happening = Happening::new(actor, "webhook.test", "webhook", id);
        record(&tx, now, happening.after(json!({ "delivery": row.id }))).await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("webhook/{id}"));
        delivery_of(row)
    }

    /// Lists a webhook's deliveries, the newest first.
    pub async fn webhook_deliveries(
        &self,
        id: i64,
        filter: &DeliveryFilter,
    ) -> Result<Page<WebhookDelivery>> {
        use webhook_delivery::Column;
        let hook = webhook::Entity::find_by_id(id).one(self.db()).await?;
        hook.ok_or_else(|| Error::not_found(format!("webhook {id}")))?;
        let limit = u64::from(filter.limit.unwrap_or(50).clamp(1, 500));
        let mut query = webhook_delivery::Entity::find()
            .filter(Column::WebhookId.eq(id))
            .order_by_desc(Column::Id)
            .limit(limit + 1);
        if let Some(state) = filter.state {
            query = query.filter(Column::State.eq(state.as_str()));
        }
        if let Some(rollout) = filter.rollout {
            query = query.filter(Column::RolloutId.eq(rollout.0));
        }
        if let Some(cursor) = &filter.cursor {
            let before: i64 = cursor
                .parse()
                .map_err(|_| Error::invalid("cursor", "this is no cursor of this list"))?;
            query = query.filter(Column::Id.lt(before));
        }
        let rows = query.all(self.db()).await?;
        crate::fleet::page(rows, limit, |row| row.id.to_string(), delivery_of)
    }

    /// Has a delivery tried again at once, and for another 24 hours, whatever became of it.
    pub async fn redeliver(&self, actor: &Actor, id: i64) -> Result<WebhookDelivery> {
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        let row = locked(&tx, webhook_delivery::Entity::find_by_id(id))
            .one(&tx)
            .await?;
        let row = row.ok_or_else(|| Error::not_found(format!("delivery {id}")))?;
        locked_webhook(&tx, row.webhook_id).await?;
        let change = webhook_delivery::ActiveModel {
            id: Set(id),
            state: Set(DeliveryState::Waiting.as_str().to_owned()),
            next_at: Set(now.0),
            gives_up_at: Set(now.plus_sec(GIVE_UP_SEC).0),
            tries: Set(0),
            finished_at: Set(None),
            ..Default::default()
        };
        let after = webhook_delivery::Entity::update(change).exec(&tx).await?;
        let happening = Happening::new(actor, "webhook.redeliver", "webhook", row.webhook_id);
        let happening = happening
            .before(json!({ "delivery": id, "state": row.state }))
            .after(json!({ "delivery": id, "state": after.state }));
        record(&tx, now, happening).await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("webhook/{}", row.webhook_id));
        delivery_of(after)
    }
}

fn delivery_of(row: webhook_delivery::Model) -> Result<WebhookDelivery> {
    let corrupt = |what: &str| Error::Corrupt(format!("{what} of delivery {}", row.id));
    let state = DeliveryState::named(&row.state).ok_or_else(|| corrupt("the state"))?;
    let is_waiting = state == DeliveryState::Waiting;
    Ok(WebhookDelivery {
        id: row.id,
        webhook: row.webhook_id,
        rollout: (row.rollout_id > 0).then_some(RolloutId(row.rollout_id)),
        state,
        created_at: Timestamp(row.created_at),
        tries: u32::try_from(row.tries).map_err(|_| corrupt("the count"))?,
        tried_at: row.tried_at.map(Timestamp),
        next_at: is_waiting.then_some(Timestamp(row.next_at)),
        finished_at: row.finished_at.map(Timestamp),
        status: row.status.and_then(|status| u16::try_from(status).ok()),
        took_ms: row.took_ms.and_then(|took| u64::try_from(took).ok()),
        body: serde_json::from_str(&row.body).map_err(|_| corrupt("the body"))?,
        event: row.event,
        error: row.error,
        answer: row.answer,
    })
}
