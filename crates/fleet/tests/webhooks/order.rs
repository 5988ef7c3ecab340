//! One after another per rollout, again and again for a day, and never lost.

use std::collections::HashMap;
use std::time::Duration;

use otter_fleet::WebhookQueue;
use otter_protocol::AttemptState;
use otter_protocol::admin::DeliveryState;
use otter_protocol::rollout::Steering;
use serde_json::json;
use tokio::task::JoinSet;

use crate::common::{World, ann, each_database};
use crate::receiver::{answered, events, listen, log, notice, take_all, take_once};
use crate::world::{at_once, enroll_many, publish, roll_out, spec};

each_database!(a_failed_notice_holds_back_those_after_it, |database| {
    let world = &World::new(database).await;
    listen(world, &["rollout.*"]).await;
    let release = publish(world).await;
    let make = || async {
        let spec = spec(release, json!({}));
        let made = world.fleet.create_rollout(&ann(), &spec, false).await;
        made.unwrap().id
    };
    let (first, second) = (make().await, make().await);
    // The first rollout's oldest fails; the other's goes.
    for queue in world.fleet.due_webhook_queues().await.unwrap() {
        let due = world.fleet.due_delivery(queue).await.unwrap().unwrap();
        assert_eq!(due.event, "rollout.created");
        let status = if queue.rollout == first.0 { 500 } else { 200 };
        let tried = answered(status);
        world.fleet.delivery_tried(due.id, &tried).await.unwrap();
    }
    let rest = take_all(&world.fleet).await;
    assert_eq!(events(&rest), ["rollout.running"]);
    assert_eq!(rest[0].queue.rollout, second.0);
    // Soon it is tried again, and only then what comes after it.
    world.pass_sec(6);
    let rest = take_all(&world.fleet).await;
    assert_eq!(events(&rest), ["rollout.created", "rollout.running"]);
    assert!(rest.iter().all(|due| due.queue.rollout == first.0));
});

each_database!(waits_grow_until_it_is_given_up, |database| {
    let world = &World::new(database).await;
    let hook = listen(world, &["rollout.created", "rollout.running"]).await;
    roll_out(world, json!({})).await;
    let begin = world.now();
    let mut waits = Vec::new();
    let mut tried = 0;
    while log(&world.fleet, hook).await[0].state == DeliveryState::Waiting {
        assert_eq!(
            events(&take_once(&world.fleet, 503).await),
            ["rollout.created"]
        );
        tried += 1;
        let head = log(&world.fleet, hook).await.remove(0);
        assert_eq!(head.tries, tried);
        assert_eq!(head.error.as_deref(), Some("the receiver answered 503"));
        let Some(next) = head.next_at else { break };
        let wait = next.0 - world.now().0;
        // A moment before nothing is due.
        world.pass_sec((wait - 1) / 1000);
        assert!(take_once(&world.fleet, 200).await.is_empty());
        world.pass_sec(1);
        waits.push(wait);
    }
    assert!((2_500..=5_000).contains(&waits[0]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 3_600_000), "{waits:?}");
    assert!(waits.last().unwrap() > &1_800_000, "{waits:?}");
    let hours = world.now().sec_since(begin) / 3600;
    assert!((22..=24).contains(&hours), "given up after {hours} h");
    // What comes after it goes.
    assert_eq!(events(&take_all(&world.fleet).await), ["rollout.running"]);
    let given_up = log(&world.fleet, hook).await.remove(0);
    assert_eq!(given_up.state, DeliveryState::GivenUp);
    assert_eq!(
        (given_up.finished_at, given_up.next_at),
        (Some(world.now()), None)
    );
    // A person puts it back: the same delivery, with its whole day.
    let again = world.fleet.redeliver(&ann(), given_up.id).await.unwrap();
    assert_eq!(
        (again.id, again.state),
        (given_up.id, DeliveryState::Waiting)
    );
    take_once(&world.fleet, 500).await;
    world.pass_sec(6);
    let got = take_once(&world.fleet, 200).await;
    assert_eq!(
        (got[0].id, notice(&got[0]).event.as_str()),
        (given_up.id, "rollout.created")
    );
    assert_eq!(world.actions().await.last().unwrap(), "webhook.redeliver");
});

each_database!(an_end_is_written_once, |database| {
    let world = &World::new(database).await;
    let hook = listen(world, &["rollout.created"]).await;
    roll_out(world, json!({})).await;
    let due = take_once(&world.fleet, 200).await.remove(0);
    // A server that lost its lease, and was slow.
    let late = answered(500);
    world.fleet.delivery_tried(due.id, &late).await.unwrap();
    let delivery = log(&world.fleet, hook).await.remove(0);
    assert_eq!(delivery.state, DeliveryState::Delivered);
    assert_eq!((delivery.tries, delivery.error), (1, None));
});

each_database!(one_server_at_a_time_delivers, |database| {
    let world = &World::new(database).await;
    let other = world.another_server().await;
    assert!(world.fleet.hold_webhooks(20).await.unwrap());
    assert!(!other.hold_webhooks(20).await.unwrap());
    world.pass_sec(15);
    assert!(world.fleet.hold_webhooks(20).await.unwrap());
    world.pass_sec(15);
    assert!(!other.hold_webhooks(20).await.unwrap());
    world.pass_sec(6);
    assert!(other.hold_webhooks(20).await.unwrap());
    assert!(!world.fleet.hold_webhooks(20).await.unwrap());
    other.release_webhooks().await.unwrap();
    assert!(world.fleet.hold_webhooks(20).await.unwrap());
});

/// Devices report at three servers at once, people steer, and all the while somebody delivers: what he gets rises, in its
/// numbers and in its times, and nothing is missing.
async fn many_at_once(world: &World) {
    const DEVICES: usize = 24;
    listen(world, &["*"]).await;
    let devices = enroll_many(world, DEVICES).await;
    let rollout = roll_out(world, json!({"phases": at_once(json!({}))})).await;
    let servers = [
        world.fleet.clone(),
        world.another_server().await,
        world.another_server().await,
    ];
    let mut work = JoinSet::new();
    for (place, mut device) in devices.into_iter().enumerate() {
        let server = servers[place % servers.len()].clone();
        work.spawn(async move { assert!(device.update(&server).await) });
    }
    let queue = WebhookQueue {
        webhook: 1,
        rollout: rollout.id.0,
    };
    let fleet = world.fleet.clone();
    let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let postman = tokio::spawn({
        let is_over = is_over.clone();
        async move {
            let mut taken = Vec::new();
            loop {
                let was_over = is_over.load(std::sync::atomic::Ordering::SeqCst);
                match fleet.due_delivery(queue).await.unwrap() {
                    Some(due) => {
                        fleet.delivery_tried(due.id, &answered(200)).await.unwrap();
                        taken.push(due);
                    }
                    None if was_over => return taken,
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        }
    });
    while let Some(done) = work.join_next().await {
        done.unwrap();
        if work.is_empty() {
            let (id, fleet) = (rollout.id, &world.fleet);
            let paused = fleet.steer_rollout(&ann(), id, Steering::Pause, "").await;
            paused.unwrap();
        }
    }
    is_over.store(true, std::sync::atomic::Ordering::SeqCst);
    let taken = postman.await.unwrap();
    assert!(taken.is_sorted_by(|a, b| a.id < b.id), "numbers rise");
    assert!(taken.is_sorted_by_key(|due| notice(due).at), "times rise");
    assert_eq!(taken.last().unwrap().event, "rollout.paused");
    let mut steps: HashMap<_, Vec<AttemptState>> = HashMap::new();
    for attempt in taken.iter().filter_map(|due| notice(due).attempt) {
        steps.entry(attempt.device).or_default().push(attempt.state);
    }
    assert_eq!(steps.len(), DEVICES);
    let whole = [
        AttemptState::Offered,
        AttemptState::Downloading,
        AttemptState::Succeeded,
    ];
    assert!(steps.values().all(|steps| *steps == whole), "{steps:?}");
}

each_database!(numbers_rise_in_the_order_of_commits, |database| {
    many_at_once(&World::new(database).await).await;
});
