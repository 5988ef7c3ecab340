//! A receiver that is there in the test alone: it takes what is due, and answers as it is told.

use otter_fleet::{DueDelivery, Fleet, TriedDelivery};
use otter_protocol::admin::{DeliveryFilter, NewWebhook, WebhookDelivery, WebhookNotice};

use crate::common::{World, ann};

pub(crate) fn hook(events: &[&str]) -> NewWebhook {
    NewWebhook {
        name: "chat".to_owned(),
        url: "https://example.org/hooks/token-1".to_owned(),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        enabled: true,
    }
}

/// Makes a webhook; returns its number.
pub(crate) async fn listen(world: &World, events: &[&str]) -> i64 {
    let made = world.fleet.create_webhook(&ann(), &hook(events)).await;
    made.unwrap().made.id
}

/// Takes everything that is due, of every queue its oldest, and answers each with a status; returns what it got.
pub(crate) async fn take_once(fleet: &Fleet, status: u16) -> Vec<DueDelivery> {
    let mut taken = Vec::new();
    for queue in fleet.due_webhook_queues().await.unwrap() {
        let due = fleet.due_delivery(queue).await.unwrap();
        let due = due.expect("what is due is there");
        fleet
            .delivery_tried(due.id, &answered(status))
            .await
            .unwrap();
        taken.push(due);
    }
    taken
}

/// Takes until nothing is due.
pub(crate) async fn take_all(fleet: &Fleet) -> Vec<DueDelivery> {
    let mut taken = Vec::new();
    loop {
        let more = take_once(fleet, 204).await;
        if more.is_empty() {
            return taken;
        }
        taken.extend(more);
    }
}

pub(crate) fn answered(status: u16) -> TriedDelivery {
    TriedDelivery {
        error: (status >= 300).then(|| format!("the receiver answered {status}")),
        status: Some(status),
        took_ms: 7,
        answer: Some("well\0received".to_owned()),
    }
}

pub(crate) fn notice(delivery: &DueDelivery) -> WebhookNotice {
    serde_json::from_str(&delivery.body).unwrap()
}

pub(crate) fn events(deliveries: &[DueDelivery]) -> Vec<String> {
    deliveries.iter().map(|due| due.event.clone()).collect()
}

/// Returns a webhook's log, the oldest first.
pub(crate) async fn log(fleet: &Fleet, hook: i64) -> Vec<WebhookDelivery> {
    let filter = DeliveryFilter {
        limit: Some(500),
        ..DeliveryFilter::default()
    };
    let mut items = fleet.webhook_deliveries(hook, &filter).await.unwrap().items;
    items.reverse();
    items
}
