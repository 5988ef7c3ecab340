//! What is told of a rollout from its start to its end, and what it costs.

use otter_protocol::AttemptState;
use otter_protocol::admin::DeliveryState;
use otter_protocol::rollout::{RolloutState, Steering, UnderWay};
use serde_json::json;

use crate::common::{World, ann, each_database};
use crate::receiver::{events, listen, log, notice, take_all};
use crate::world::{at_once, engine_looks, enroll_many, publish, roll_out, spec};

each_database!(a_rollout_is_told_from_start_to_end, |database| {
    let world = &World::new(database).await;
    let hook = listen(world, &["*"]).await;
    let mut devices = enroll_many(world, 1).await;
    let rollout = roll_out(world, json!({"phases": at_once(json!({}))})).await;
    world
        .fleet
        .steer_rollout(&ann(), rollout.id, Steering::Pause, "lunch")
        .await
        .unwrap();
    world
        .fleet
        .steer_rollout(&ann(), rollout.id, Steering::Resume, "")
        .await
        .unwrap();
    assert!(devices[0].update(&world.fleet).await);
    engine_looks(world).await;
    let told = take_all(&world.fleet).await;
    let mut names = events(&told);
    let gates: Vec<String> = names
        .extract_if(.., |name| name.starts_with("rollout.gate_"))
        .collect();
    assert_eq!(gates.last().unwrap(), "rollout.gate_open");
    assert_eq!(
        names,
        [
            "rollout.created",
            "rollout.running",
            "rollout.paused",
            "rollout.running",
            "attempt.offered",
            "attempt.downloading",
            "attempt.succeeded",
            "rollout.completed",
        ]
    );
    let paused = notice(&told[2]);
    assert_eq!(
        (paused.version, paused.event.as_str()),
        (1, "rollout.paused")
    );
    assert_eq!(paused.detail.as_deref(), Some("lunch"));
    let of = paused.rollout.unwrap();
    assert_eq!((of.id, of.name.as_str()), (rollout.id, "test"));
    assert_eq!(
        (of.state, of.version),
        (RolloutState::Paused, "1.1.0".into())
    );
    assert_eq!(of.state_reason.as_deref(), Some("lunch"));
    assert_eq!((of.current_phase, of.phases), (0, 1));
    let succeeded = told.iter().find(|due| due.event == "attempt.succeeded");
    let attempt = notice(succeeded.unwrap()).attempt.unwrap();
    assert_eq!(attempt.device, devices[0].id);
    assert_eq!(attempt.state, AttemptState::Succeeded);
    let log = log(&world.fleet, hook).await;
    assert_eq!(log.len(), told.len());
    for (delivery, due) in log.iter().zip(&told) {
        assert_eq!((delivery.id, &delivery.event), (due.id, &due.event));
        assert_eq!(delivery.state, DeliveryState::Delivered);
        assert_eq!((delivery.tries, delivery.status), (1, Some(204)));
        assert_eq!(delivery.answer.as_deref(), Some("well\u{fffd}received"));
        assert_eq!(delivery.body["event"], json!(due.event));
    }
});

each_database!(ends_that_no_device_reports_are_told, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 3).await;
    let more = json!({"phases": at_once(json!({})), "attempt_deadline_sec": 60, "max_attempts": 3});
    let rollout = roll_out(world, more).await;
    listen(world, &["attempt.*", "rollout.aborted"]).await;
    for device in &mut devices {
        device.check_in(&world.fleet).await;
    }
    world
        .fleet
        .decommission_device(&ann(), &devices[0].id, "")
        .await
        .unwrap();
    world.pass_sec(61);
    engine_looks(world).await;
    let release = world.fleet.plan().rollout(rollout.id).unwrap().release.id;
    world
        .fleet
        .withdraw_release(&ann(), release, "wrong")
        .await
        .unwrap();
    let told = take_all(&world.fleet).await;
    assert_eq!(
        events(&told),
        [
            "attempt.offered",
            "attempt.offered",
            "attempt.offered",
            "attempt.cancelled",
            "attempt.timed_out",
            "attempt.timed_out",
            "rollout.aborted",
        ]
    );
    assert_eq!(notice(&told[3]).attempt.unwrap().device, devices[0].id);
    let timed_out = notice(&told[5]).attempt.unwrap();
    assert_eq!(timed_out.state, AttemptState::TimedOut);
    assert!(timed_out.message.unwrap().contains("no word"));
    let aborted = notice(&told[6]).rollout.unwrap();
    assert!(aborted.state_reason.unwrap().contains("withdrawn"));
});

each_database!(what_was_refused_is_not_told, |database| {
    let world = &World::new(database).await;
    let rollout = roll_out(world, json!({})).await;
    listen(world, &["*"]).await;
    let steer = async |steering| {
        world
            .fleet
            .steer_rollout(&ann(), rollout.id, steering, "")
            .await
    };
    assert!(steer(Steering::Resume).await.is_err());
    assert!(steer(Steering::SkipGate).await.is_err());
    assert!(take_all(&world.fleet).await.is_empty());
    steer(Steering::Abort(UnderWay::Cancel)).await.unwrap();
    assert_eq!(events(&take_all(&world.fleet).await), ["rollout.aborted"]);
});

each_database!(people_and_gates_are_told_apart, |database| {
    let world = &World::new(database).await;
    listen(world, &["rollout.*"]).await;
    let release = publish(world).await;
    let gate = json!({"min_finished": 1, "max_failure_rate": 10.0, "judgement": "point"});
    let phases = json!([
        {"name": "a", "scope": {"kind": "share", "share": 50.0}, "gate": gate},
        {"name": "b", "scope": {"kind": "share", "share": 100.0}, "gate": gate},
    ]);
    let mut devices = enroll_many(world, 8).await;
    let spec = spec(release, json!({"phases": phases, "needs_approval": true}));
    let made = world
        .fleet
        .create_rollout(&ann(), &spec, false)
        .await
        .unwrap();
    let bob = otter_fleet::Actor::User("bob".to_owned());
    let steer = |steering| world.fleet.steer_rollout(&bob, made.id, steering, "seen");
    steer(Steering::Approve).await.unwrap();
    engine_looks(world).await;
    for device in &mut devices {
        device.check_in(&world.fleet).await;
        if device.attempt.is_some() {
            device
                .report(&world.fleet, AttemptState::Failed, Some("no"))
                .await;
        }
    }
    engine_looks(world).await;
    steer(Steering::SkipGate).await.unwrap();
    let told = take_all(&world.fleet).await;
    assert_eq!(
        events(&told),
        [
            "rollout.created",
            "rollout.awaiting_approval",
            "rollout.approved",
            "rollout.running",
            "rollout.gate_sampling",
            "rollout.gate_breached",
            "rollout.paused",
            "rollout.gate_skipped",
            "rollout.next_phase",
            "rollout.running",
        ]
    );
    let breached = notice(&told[5]);
    let detail = breached.detail.unwrap();
    assert!(
        detail.contains("failed") && detail.contains("limit 10 %"),
        "{detail}"
    );
    assert_eq!(notice(&told[7]).detail.as_deref(), Some("seen"));
});

/// Counts the statements of a report of a device under way.
async fn statements_of_a_report(world: &World, state: AttemptState) -> u64 {
    let mut device = enroll_many(world, 1).await.remove(0);
    device.check_in(&world.fleet).await;
    // What the registry knows of the device is in memory from here on.
    world.fleet.device_by_token(&device.token).await.unwrap();
    let before = world.fleet.database_statements();
    device.report(&world.fleet, state, None).await;
    world.fleet.database_statements() - before
}

each_database!(without_a_webhook_nothing_costs_more, |database| {
    let mut counts = Vec::new();
    let hooks: [&[&str]; 3] = [&[], &["rollout.*"], &["attempt.*"]];
    for (place, events) in hooks.into_iter().enumerate() {
        // Databases that differ in nothing but their webhook.
        let fresh = match database.url.starts_with("postgres") {
            true => crate::common::TestDatabase::postgres().await.unwrap(),
            false => crate::common::TestDatabase::sqlite(),
        };
        let world = &World::new(&fresh).await;
        roll_out(world, json!({"phases": at_once(json!({}))})).await;
        if place > 0 {
            listen(world, events).await;
        }
        counts.push(statements_of_a_report(world, AttemptState::Downloading).await);
    }
    assert!(counts[0] > 0);
    assert_eq!(counts[0], counts[1], "one that doesn't take it");
    assert!(counts[2] > counts[0], "one that takes it: {counts:?}");
});
