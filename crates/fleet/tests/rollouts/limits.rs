//! How many begin, how fast, and how often one device may try.

use otter_protocol::AttemptState;
use otter_protocol::check_in::Instruction;
use otter_protocol::rollout::{RolloutState, Steering};
use otter_protocol::rule::Rule;
use serde_json::json;

use crate::common::{World, ann, each_database};
use crate::world::{TestDevice, at_once, engine_looks, enroll_many, roll_out};

async fn is_offered(world: &World, device: &mut TestDevice) -> bool {
    let reply = device.check_in(&world.fleet).await;
    matches!(reply.instruction, Instruction::Install(_))
}

async fn fails(world: &World, device: &mut TestDevice) {
    assert!(
        is_offered(world, device).await,
        "{} is offered nothing",
        device.id
    );
    device
        .report(&world.fleet, AttemptState::Failed, Some("no space"))
        .await;
}

each_database!(batches_wait_for_each_other, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 6).await;
    roll_out(
        world,
        json!({"phases": at_once(json!({})), "batch_size": 3}),
    )
    .await;
    for device in &mut devices[..3] {
        assert!(is_offered(world, device).await);
    }
    let reply = devices[3].check_in(&world.fleet).await;
    assert_eq!(
        reply.reasons[0].text,
        "3 of the batch of 3 are still under way"
    );
    for device in &mut devices[..2] {
        assert!(device.update(&world.fleet).await);
    }
    assert!(
        !is_offered(world, &mut devices[3]).await,
        "one is still under way"
    );
    assert!(devices[2].update(&world.fleet).await);
    assert!(is_offered(world, &mut devices[3]).await, "the next batch");
});

each_database!(a_pace_spreads_attempts_and_grows, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 6).await;
    let growth = json!({"factor": 2.0, "every_successes": 2, "max_per_hour": 1000});
    let pace = json!({"per_hour": 60, "growth": growth});
    roll_out(world, json!({"phases": at_once(json!({})), "pace": pace})).await;
    assert!(devices[0].update(&world.fleet).await);
    let reply = devices[1].check_in(&world.fleet).await;
    assert_eq!(reply.reasons[0].rule, Rule::InFlightLimit);
    assert_eq!(reply.reasons[0].until, Some(world.now().plus_sec(60)));
    world.pass_sec(59);
    assert!(!is_offered(world, &mut devices[1]).await);
    world.pass_sec(1);
    assert!(devices[1].update(&world.fleet).await);
    world.pass_sec(60);
    assert!(devices[2].update(&world.fleet).await, "two successes later");
    world.pass_sec(30);
    let reply = devices[3].check_in(&world.fleet).await;
    assert_eq!(reply.reasons, vec![], "twice as fast");
    let other = world.another_server().await;
    assert!(
        !devices[4].update(&other).await,
        "another server keeps to it"
    );
});

each_database!(
    a_device_backs_off_and_an_operator_has_it_retried,
    |database| {
        let world = &World::new(database).await;
        let mut devices = enroll_many(world, 1).await;
        let more = json!({"phases": at_once(json!({})), "max_attempts": 2, "retry_after_sec": 600});
        let rollout = roll_out(world, more).await;
        fails(world, &mut devices[0]).await;
        let reply = devices[0].check_in(&world.fleet).await;
        assert_eq!(reply.reasons[0].rule, Rule::BackedOff);
        assert_eq!(reply.reasons[0].until, Some(world.now().plus_sec(600)));
        engine_looks(world).await;
        let state = |detail: otter_protocol::admin::RolloutDetail| detail.summary.rollout.state;
        let detail = world.fleet.rollout(rollout.id).await.unwrap();
        assert_eq!(state(detail), RolloutState::Running, "it is waited for");
        world.pass_sec(600);
        fails(world, &mut devices[0]).await;
        world.pass_sec(86_400);
        let reply = devices[0].check_in(&world.fleet).await;
        assert_eq!(reply.reasons[0].rule, Rule::RetriesLeft);
        engine_looks(world).await;
        let detail = world.fleet.rollout(rollout.id).await.unwrap();
        assert_eq!(
            state(detail),
            RolloutState::Completed,
            "nobody is left to wait for"
        );

        let retry = Steering::RetryFailed;
        let again = world
            .fleet
            .steer_rollout(&ann(), rollout.id, retry, "space was freed")
            .await
            .unwrap();
        assert_eq!(again.state, RolloutState::Running);
        engine_looks(world).await;
        assert!(devices[0].update(&world.fleet).await);
        engine_looks(world).await;
        let detail = world.fleet.rollout(rollout.id).await.unwrap();
        assert_eq!(detail.summary.total.succeeded, 1);
        assert_eq!(state(detail), RolloutState::Completed);
    }
);

each_database!(a_device_that_fails_again_and_again_is_held, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 2).await;
    let more = json!({"phases": at_once(json!({})), "max_attempts": 9, "retry_after_sec": 0, "hold_after": 3});
    roll_out(world, more).await;
    for _ in 0..3 {
        fails(world, &mut devices[0]).await;
    }
    let held = world
        .fleet
        .device(&devices[0].id)
        .await
        .unwrap()
        .summary
        .hold
        .unwrap();
    assert_eq!(
        held,
        "It failed 3 times in a row; the last was an attempt at 1.1.0."
    );
    let reply = devices[0].check_in(&world.fleet).await;
    assert_eq!(reply.reasons[0].rule, Rule::NotHeld);
    assert_eq!(world.events("device.hold").await[0].actor, "engine");
    for _ in 0..2 {
        fails(world, &mut devices[1]).await;
    }
    assert!(devices[1].update(&world.fleet).await);
    assert_eq!(
        world
            .fleet
            .device(&devices[1].id)
            .await
            .unwrap()
            .summary
            .hold,
        None
    );
});

each_database!(a_phase_takes_so_many_devices_and_no_more, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 12).await;
    let phases = json!([
        {"name": "first", "scope": {"kind": "count", "devices": 4}},
        {"name": "second", "scope": {"kind": "count", "devices": 3}},
        {"name": "rest", "scope": {"kind": "share", "share": 100}},
    ]);
    let rollout = roll_out(world, json!({ "phases": phases })).await;
    for (open, least) in [(0, 4), (1, 3), (2, 5)] {
        engine_looks(world).await;
        let detail = world.fleet.rollout(rollout.id).await.unwrap();
        assert_eq!(detail.summary.rollout.current_phase, open);
        let waiting: Vec<_> = detail.summary.progress[open as usize..]
            .iter()
            .map(|phase| phase.tally.waiting.unwrap())
            .collect();
        let all = [4, 3, 5];
        assert_eq!(waiting, all[open as usize..]);
        let mut updated = 0;
        for device in &mut devices {
            updated += usize::from(device.update(&world.fleet).await);
        }
        assert_eq!(updated, least);
    }
    engine_looks(world).await;
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    assert_eq!(detail.summary.rollout.state, RolloutState::Completed);
});
