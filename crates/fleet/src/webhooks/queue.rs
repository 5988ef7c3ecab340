//! What is due, and how it went. Of each webhook and rollout only the oldest notice that waits is tried.

use std::cmp::min;
use std::fmt;

use otter_protocol::Timestamp;
use otter_protocol::admin::DeliveryState;
use rand::RngExt;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::database::{self, locked};
use crate::entity::{webhook, webhook_delivery};
use crate::error::Result;
use crate::fleet::Fleet;

/// How long a delivery is tried, in seconds.
pub(super) const GIVE_UP_SEC: u64 = 24 * 3600;

/// Longest wait after the first failure, in milliseconds; it doubles with each.
const FIRST_BACK_OFF_MS: u64 = 5_000;

/// Longest wait between two tries, in milliseconds.
const MAX_BACK_OFF_MS: u64 = 3_600_000;

/// How long deliveries are kept, in seconds.
const KEPT_SEC: u64 = 7 * 24 * 3600;

/// Rows deleted in one statement, so that no other write waits long.
const BATCH: u64 = 5_000;

/// Most characters kept of an error and of an answer.
const MAX_TEXT: usize = 1024;

/// The name of the lease.
const LEASE: &str = "webhooks";

/// Says that a delivery waits, in the very words of the index that holds only those.
const IS_WAITING: &str = "state = 'waiting'";

/// What waits of one rollout for one webhook: it goes one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WebhookQueue {
    /// The webhook.
    pub webhook: i64,
    /// The rollout; 0 for what is about none.
    pub rollout: i64,
}

/// What signs; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(String);

impl WebhookSecret {
    /// Returns the secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A delivery to be sent now.
#[derive(Clone)]
pub struct DueDelivery {
    /// Its number, the same for every try.
    pub id: i64,
    /// What waits with it.
    pub queue: WebhookQueue,
    /// Where to.
    pub url: String,
    /// What happened.
    pub event: String,
    /// What is sent, to the byte.
    pub body: String,
    /// What signs it: the secret and, for a while, the one before.
    pub secrets: Vec<WebhookSecret>,
}

/// Without the address, which may hold a secret.
impl fmt::Debug for DueDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "delivery {} of {}", self.id, self.event)
    }
}

/// How a try went.
#[derive(Debug, Clone, Default)]
pub struct TriedDelivery {
    /// Why it failed; absent where it succeeded.
    pub error: Option<String>,
    /// The answer's HTTP status.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The beginning of the answer.
    pub answer: Option<String>,
}

impl Fleet {
    /// Takes or renews the right to deliver for `sec` seconds; false while another server has it.
    pub async fn hold_webhooks(&self, sec: u64) -> Result<bool> {
        self.hold_lease(LEASE, sec).await
    }

    /// Gives up the right to deliver, so that another server needn't wait for its end.
    pub async fn release_webhooks(&self) -> Result<()> {
        self.release_lease(LEASE).await
    }

    /// Tells whether there is any webhook, as far as this server knows.
    pub fn has_webhooks(&self) -> bool {
        !self.inner.webhooks.all.load().is_empty()
    }

    /// Returns where something is due, what is due longest first.
    pub async fn due_webhook_queues(&self) -> Result<Vec<WebhookQueue>> {
        let mut due = Vec::new();
        let now = self.now().0;
        let listeners = self.inner.webhooks.all.load_full();
        for hook in listeners.iter().filter(|hook| hook.enabled) {
            let mut after = -1;
            // From head to head along the index: what waits behind one costs nothing, however much it is.
            while let Some((rollout, next_at)) = self.first_head(hook.id, after).await? {
                if next_at <= now {
                    let queue = WebhookQueue {
                        webhook: hook.id,
                        rollout,
                    };
                    due.push((next_at, queue));
                }
                after = rollout;
            }
        }
        due.sort_by_key(|(next_at, _)| *next_at);
        Ok(due.into_iter().map(|(_, queue)| queue).collect())
    }

    async fn first_head(&self, webhook: i64, after: i64) -> Result<Option<(i64, i64)>> {
        use webhook_delivery::Column;
        Ok(webhook_delivery::Entity::find()
            .select_only()
            .columns([Column::RolloutId, Column::NextAt])
            .filter(Expr::cust(IS_WAITING))
            .filter(Column::WebhookId.eq(webhook))
            .filter(Column::RolloutId.gt(after))
            .order_by_asc(Column::RolloutId)
            .order_by_asc(Column::Id)
            .limit(1)
            .into_tuple()
            .one(self.db())
            .await?)
    }

    /// Returns what is to be sent now of a queue; nothing where its oldest has to wait, or its webhook is off.
    pub async fn due_delivery(&self, queue: WebhookQueue) -> Result<Option<DueDelivery>> {
        use webhook_delivery::Column;
        let now = self.now();
        let head = webhook_delivery::Entity::find()
            .filter(Expr::cust(IS_WAITING))
            .filter(Column::WebhookId.eq(queue.webhook))
            .filter(Column::RolloutId.eq(queue.rollout))
            .order_by_asc(Column::Id)
            .limit(1)
            .one(self.db())
            .await?;
        let Some(head) = head.filter(|head| head.next_at <= now.0) else {
            return Ok(None);
        };
        let hook = webhook::Entity::find_by_id(queue.webhook)
            .one(self.db())
            .await?;
        Ok(hook.filter(|hook| hook.enabled).map(|hook| {
            let former_counts = hook.former_until.is_some_and(|until| until > now.0);
            let former = hook.former_secret.filter(|_| former_counts);
            DueDelivery {
                id: head.id,
                queue,
                url: hook.url,
                event: head.event,
                body: head.body,
                secrets: std::iter::once(hook.secret)
                    .chain(former)
                    .map(WebhookSecret)
                    .collect(),
            }
        }))
    }

    /// Writes how a try went. After a failure it is tried later, until its 24 hours are over.
    pub async fn delivery_tried(&self, id: i64, tried: &TriedDelivery) -> Result<()> {
        let tx = database::begin(self.db()).await?;
        let row = locked(&tx, webhook_delivery::Entity::find_by_id(id))
            .one(&tx)
            .await?;
        let is_waiting =
            |row: &webhook_delivery::Model| row.state == DeliveryState::Waiting.as_str();
        let Some(row) = row.filter(is_waiting) else {
            return Ok(());
        };
        let now = self.now();
        let next_at = now.0.saturating_add(back_off_ms(row.tries));
        let state = if tried.error.is_none() {
            DeliveryState::Delivered
        } else if next_at > row.gives_up_at {
            DeliveryState::GivenUp
        } else {
            DeliveryState::Waiting
        };
        let is_over = state != DeliveryState::Waiting;
        let change = webhook_delivery::ActiveModel {
            id: Set(id),
            state: Set(state.as_str().to_owned()),
            next_at: Set(next_at),
            tries: Set(row.tries.saturating_add(1)),
            tried_at: Set(Some(now.0)),
            finished_at: Set(is_over.then_some(now.0)),
            status: Set(tried.status.map(i32::from)),
            took_ms: Set(i64::try_from(tried.took_ms).ok()),
            error: Set(tried.error.as_deref().map(shortened)),
            answer: Set(tried.answer.as_deref().map(shortened)),
            ..Default::default()
        };
        webhook_delivery::Entity::update(change).exec(&tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Drops what is older than a week and what waits for webhooks that are gone, and gives up what waited too long for ones
    /// that are off.
    pub async fn tidy_deliveries(&self) -> Result<()> {
        use webhook_delivery::Column;
        let now = self.now();
        let rows: Vec<(i64, bool)> = webhook::Entity::find()
            .select_only()
            .columns([webhook::Column::Id, webhook::Column::Enabled])
            .into_tuple()
            .all(self.db())
            .await?;
        for (id, _) in rows.iter().filter(|(_, enabled)| !enabled) {
            self.give_up_late(*id, now).await?;
        }
        let finished = Column::State.ne(DeliveryState::Waiting.as_str());
        let old = Column::CreatedAt.lt(now.minus_sec(KEPT_SEC).0);
        while self.delete_some(old.clone().and(finished.clone())).await? == BATCH {}
        let mut after = 0;
        while let Some(id) = self.next_webhook_with_log(after).await? {
            if !rows.iter().any(|(known, _)| *known == id) {
                while self.delete_some(Column::WebhookId.eq(id)).await? == BATCH {}
            }
            after = id;
        }
        Ok(())
    }

    async fn give_up_late(&self, webhook: i64, now: Timestamp) -> Result<()> {
        use webhook_delivery::Column;
        let change = webhook_delivery::ActiveModel {
            state: Set(DeliveryState::GivenUp.as_str().to_owned()),
            finished_at: Set(Some(now.0)),
            error: Set(Some("the webhook was off for the whole time".to_owned())),
            ..Default::default()
        };
        webhook_delivery::Entity::update_many()
            .set(change)
            .filter(Expr::cust(IS_WAITING))
            .filter(Column::WebhookId.eq(webhook))
            .filter(Column::GivesUpAt.lt(now.0))
            .exec(self.db())
            .await?;
        Ok(())
    }

    async fn delete_some(&self, which: Expr) -> Result<u64> {
        use webhook_delivery::Column;
        let ids: Vec<i64> = webhook_delivery::Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(which)
            .limit(BATCH)
            .into_tuple()
            .all(self.db())
            .await?;
        if ids.is_empty() {
            return Ok(0);
        }
        let found = ids.len() as u64;
        webhook_delivery::Entity::delete_many()
            .filter(Column::Id.is_in(ids))
            .exec(self.db())
            .await?;
        Ok(found)
    }

    async fn next_webhook_with_log(&self, after: i64) -> Result<Option<i64>> {
        use webhook_delivery::Column;
        Ok(webhook_delivery::Entity::find()
            .select_only()
            .column(Column::WebhookId)
            .filter(Column::WebhookId.gt(after))
            .order_by_asc(Column::WebhookId)
            .limit(1)
            .into_tuple()
            .one(self.db())
            .await?)
    }
}

/// Returns how long to wait after so many failures and one more, in milliseconds: from half to the whole of what doubles, so
/// that what failed together doesn't come again together.
fn back_off_ms(failures: i32) -> i64 {
    let doublings = min(u32::try_from(failures).unwrap_or(0), 20);
    let longest = min(FIRST_BACK_OFF_MS << doublings, MAX_BACK_OFF_MS);
    let wait = rand::rng().random_range(longest / 2..=longest);
    i64::try_from(wait).unwrap_or(i64::MAX)
}

fn shortened(text: &str) -> String {
    let clean = text.replace('\0', "\u{fffd}");
    match clean.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => clean.get(..end).unwrap_or(&clean).to_owned(),
        None => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        for (failures, longest) in [(0, 5_000), (1, 10_000), (9, 2_560_000), (10, 3_600_000)] {
            for _ in 0..100 {
                let wait = back_off_ms(failures);
                assert!(
                    (longest / 2..=longest).contains(&wait),
                    "{failures}: {wait}"
                );
            }
        }
        assert!(back_off_ms(i32::MAX) <= 3_600_000);
        assert!(back_off_ms(-1) <= 5_000);
    }
}
