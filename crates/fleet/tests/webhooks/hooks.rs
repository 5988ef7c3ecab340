//! The log is bounded, and other servers learn of webhooks.

use std::time::Duration;

use otter_protocol::admin::{DeliveryFilter, DeliveryState, WebhookPatch};
use otter_protocol::rollout::Steering;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::common::{World, ann, each_database};
use crate::receiver::{listen, log, take_all};
use crate::world::roll_out;

async fn rows(world: &World) -> Vec<String> {
    world
        .texts("SELECT event FROM webhook_deliveries ORDER BY id")
        .await
}

each_database!(a_log_is_kept_for_a_week, |database| {
    let world = &World::new(database).await;
    let hook = listen(world, &["rollout.running", "rollout.paused"]).await;
    let rollout = roll_out(world, json!({})).await;
    take_all(&world.fleet).await;
    world.pass_sec(6 * 24 * 3600);
    let steer = async |steering| {
        world
            .fleet
            .steer_rollout(&ann(), rollout.id, steering, "")
            .await
    };
    steer(Steering::Pause).await.unwrap();
    world.fleet.tidy_deliveries().await.unwrap();
    assert_eq!(rows(world).await, ["rollout.running", "rollout.paused"]);
    world.pass_sec(24 * 3600 + 1);
    world.fleet.tidy_deliveries().await.unwrap();
    assert_eq!(rows(world).await, ["rollout.paused"]);
    // What waits is old, and was never tried: that it is, once, before it is given up.
    world.pass_sec(30 * 24 * 3600);
    world.fleet.tidy_deliveries().await.unwrap();
    assert_eq!(
        log(&world.fleet, hook).await[0].state,
        DeliveryState::Waiting
    );
    assert_eq!(take_all(&world.fleet).await.len(), 1);
    world.fleet.tidy_deliveries().await.unwrap();
    assert!(rows(world).await.is_empty());
});

each_database!(
    what_waits_for_a_webhook_that_is_off_or_gone_ends,
    |database| {
        let world = &World::new(database).await;
        let (off, gone) = (listen(world, &["*"]).await, listen(world, &["*"]).await);
        roll_out(world, json!({})).await;
        let turn_off = WebhookPatch {
            enabled: Some(false),
            ..WebhookPatch::default()
        };
        world
            .fleet
            .change_webhook(&ann(), off, &turn_off)
            .await
            .unwrap();
        world.fleet.delete_webhook(&ann(), gone).await.unwrap();
        assert!(world.fleet.due_webhook_queues().await.unwrap().is_empty());
        assert_eq!(rows(world).await.len(), 4);
        world.fleet.tidy_deliveries().await.unwrap();
        assert_eq!(rows(world).await, ["rollout.created", "rollout.running"]);
        world.pass_sec(24 * 3600 + 1);
        world.fleet.tidy_deliveries().await.unwrap();
        for delivery in log(&world.fleet, off).await {
            assert_eq!(delivery.state, DeliveryState::GivenUp);
            assert!(delivery.error.unwrap().contains("off"));
        }
    }
);

each_database!(a_log_is_read_by_page_and_by_state, |database| {
    let world = &World::new(database).await;
    let hook = listen(world, &["rollout.created"]).await;
    let rollout = roll_out(world, json!({})).await;
    for _ in 0..4 {
        world.fleet.ping_webhook(&ann(), hook).await.unwrap();
    }
    let page = |filter: serde_json::Value| {
        let filter: DeliveryFilter = serde_json::from_value(filter).unwrap();
        async move { world.fleet.webhook_deliveries(hook, &filter).await.unwrap() }
    };
    let first = page(json!({"limit": 3})).await;
    assert_eq!(first.items.len(), 3);
    let rest = page(json!({"limit": 3, "cursor": first.next})).await;
    assert_eq!((rest.items.len(), rest.next), (2, None));
    assert_eq!(rest.items[1].event, "rollout.created");
    assert_eq!(rest.items[1].rollout, Some(rollout.id));
    assert_eq!(rest.items[0].rollout, None);
    assert_eq!(page(json!({"rollout": rollout.id})).await.items.len(), 1);
    assert_eq!(page(json!({"state": "delivered"})).await.items.len(), 0);
    take_all(&world.fleet).await;
    assert_eq!(page(json!({"state": "delivered"})).await.items.len(), 5);
});

each_database!(other_servers_learn_of_webhooks, |database| {
    let world = &World::new(database).await;
    let other = world.another_server().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (other, stop) = (other.clone(), stop.clone());
        async move { other.run(stop).await }
    });
    // The other server follows from its start on; changes are made until it has heard of one.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !other.has_webhooks() {
        listen(world, &["rollout.*"]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(
            tokio::time::Instant::now() < deadline,
            "it never heard of it"
        );
    }
    stop.cancel();
    running.await.unwrap();
});
