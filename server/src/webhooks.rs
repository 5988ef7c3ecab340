//! Sends what webhooks are to be told: one server at a time, one notice after another per webhook and rollout, and none
//! waits for another's receiver.

mod guard;
mod sender;
mod signature;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use otter_fleet::{Fleet, WebhookQueue};
use otter_protocol::admin::{Change, ChangeKind};
use tokio::sync::{broadcast, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use sender::Sender;

/// How often it is looked whether something is due, where no change says so before.
const TICK: Duration = Duration::from_secs(1);

/// Least time between two looks, however fast changes come.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the right to deliver lasts that isn't renewed, in seconds.
const LEASE_SEC: u64 = 20;

/// When the right to deliver is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(5);

/// How often the log is tidied.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// Most queues that are sent at once: of all webhooks, and of one, so that a slow one leaves room for the others.
const MAX_BUSY: (usize, usize) = (64, 4);

/// Deliveries of one queue before the others of its webhook get their turn.
const TURN: usize = 50;

/// Delivers until it is told to stop; what is being sent then is still finished.
pub async fn run(fleet: Fleet, sender: Sender, stop: CancellationToken) {
    let mut changes = fleet.changes();
    let mut postman = Postman::new(fleet, sender, stop.clone());
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(TICK) => {}
            () = something_happened(&mut changes) => {}
            Some(ended) = postman.turns.join_next_with_id() => postman.turn_ended(ended),
        }
        if let Err(error) = postman.look().await {
            tracing::error!(%error, "webhooks can't be told now; it is tried again");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    postman.finish().await;
}

/// Returns when something changed that webhooks may hear of.
async fn something_happened(changes: &mut broadcast::Receiver<Change>) {
    loop {
        match changes.recv().await {
            Ok(Change { kind, .. })
                if !matches!(kind, ChangeKind::Rollout | ChangeKind::Settings) => {}
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            // The fleet is gone; only the time says when to look.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

struct Postman {
    fleet: Fleet,
    sender: Arc<Sender>,
    stop: CancellationToken,
    turns: JoinSet<()>,
    busy: HashMap<Id, WebhookQueue>,
    /// Until when this server has the right to deliver.
    lease: watch::Sender<Instant>,
    renew_at: Instant,
    tidy_at: Instant,
}

impl Postman {
    fn new(fleet: Fleet, sender: Sender, stop: CancellationToken) -> Self {
        let now = Instant::now();
        Self {
            fleet,
            sender: Arc::new(sender),
            stop,
            turns: JoinSet::new(),
            busy: HashMap::new(),
            lease: watch::Sender::new(now),
            renew_at: now,
            tidy_at: now + TIDY_EVERY,
        }
    }

    /// Begins a turn for every queue in which something is due, as far as there is room.
    async fn look(&mut self) -> otter_fleet::Result<()> {
        if !self.fleet.has_webhooks() && self.tidy_at > Instant::now() {
            return Ok(());
        }
        if !self.may_deliver().await? {
            return Ok(());
        }
        if self.tidy_at <= Instant::now() {
            self.fleet.tidy_deliveries().await?;
            self.tidy_at = Instant::now() + TIDY_EVERY;
        }
        for queue in self.fleet.due_webhook_queues().await? {
            if self.has_room_for(queue) {
                self.begin(queue);
            }
        }
        Ok(())
    }

    async fn may_deliver(&mut self) -> otter_fleet::Result<bool> {
        let now = Instant::now();
        if now < self.renew_at {
            return Ok(true);
        }
        if !self.fleet.hold_webhooks(LEASE_SEC).await? {
            return Ok(false);
        }
        // Counted from before it was asked for, so that nobody else has it sooner.
        self.lease
            .send_replace(now + Duration::from_secs(LEASE_SEC));
        self.renew_at = now + RENEW_AFTER;
        Ok(true)
    }

    fn has_room_for(&self, queue: WebhookQueue) -> bool {
        let (of_all, of_one) = MAX_BUSY;
        let same = self.busy.values();
        let same = same.filter(|busy| busy.webhook == queue.webhook);
        self.busy.len() < of_all
            && same.clone().count() < of_one
            && !same.clone().any(|busy| *busy == queue)
    }

    fn begin(&mut self, queue: WebhookQueue) {
        let turn = Turn {
            fleet: self.fleet.clone(),
            sender: Arc::clone(&self.sender),
            stop: self.stop.clone(),
            lease: self.lease.subscribe(),
            queue,
        };
        let handle = self.turns.spawn(turn.take());
        self.busy.insert(handle.id(), queue);
    }

    fn turn_ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "a webhook's turn failed; it is taken again");
                error.id()
            }
        };
        self.busy.remove(&id);
    }

    async fn finish(mut self) {
        while self.turns.join_next().await.is_some() {}
        if let Err(error) = self.fleet.release_webhooks().await {
            tracing::warn!(%error, "the right to tell webhooks stays until it ends");
        }
    }
}

/// Some deliveries of one queue, one after another.
struct Turn {
    fleet: Fleet,
    sender: Arc<Sender>,
    stop: CancellationToken,
    lease: watch::Receiver<Instant>,
    queue: WebhookQueue,
}

impl Turn {
    async fn take(self) {
        for _ in 0..TURN {
            // Another server that has the right now must not meet one of these on its way.
            let has_time = Instant::now() + sender::PATIENCE < *self.lease.borrow();
            if self.stop.is_cancelled() || !has_time {
                return;
            }
            match self.deliver_one().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let webhook = self.queue.webhook;
                    tracing::error!(%error, webhook, "a delivery can't be written; it is sent again");
                    return;
                }
            }
        }
    }

    /// Sends what is due; tells whether there may be more.
    async fn deliver_one(&self) -> otter_fleet::Result<bool> {
        let Some(delivery) = self.fleet.due_delivery(self.queue).await? else {
            return Ok(false);
        };
        let tried = self.sender.send(&delivery, self.fleet.now()).await;
        if let Some(error) = &tried.error {
            let (webhook, id) = (delivery.queue.webhook, delivery.id);
            tracing::info!(webhook, delivery = id, "a webhook wasn't told: {error}");
        }
        self.fleet.delivery_tried(delivery.id, &tried).await?;
        Ok(tried.error.is_none())
    }
}
