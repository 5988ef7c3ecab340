//! What servers hold in memory: an idle poll asks nothing, and changes reach every server.

use std::time::Duration;

use otter_protocol::ProblemCode;
use otter_protocol::check_in::Instruction;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::common::{World, ann, each_database};
use crate::world::{at_once, enroll_many, roll_out};

each_database!(an_idle_check_in_asks_the_database_nothing, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 3).await;
    roll_out(world, json!({})).await;
    for device in &mut devices {
        device.update(&world.fleet).await;
        device.check_in(&world.fleet).await;
    }
    let before = world.fleet.database_statements();
    assert!(before > 0, "statements are counted");
    for _ in 0..100 {
        for device in &mut devices {
            assert_eq!(
                device.check_in(&world.fleet).await.instruction,
                Instruction::Wait
            );
        }
    }
    assert_eq!(world.fleet.database_statements(), before);
});

each_database!(last_seen_times_are_written_in_batches, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 3).await;
    for device in &mut devices {
        device.check_in(&world.fleet).await;
    }
    world.pass_sec(60);
    devices[1].check_in(&world.fleet).await;
    let seen = async |fleet: &otter_fleet::Fleet| {
        fleet
            .device(&devices[1].id)
            .await
            .unwrap()
            .summary
            .last_seen_at
    };
    let stop = CancellationToken::new();
    stop.cancel();
    world.fleet.run(stop).await;
    let other = world.another_server().await;
    assert_eq!(seen(&other).await, Some(world.now()));
});

each_database!(changes_reach_the_other_server, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 2).await;
    let other = world.another_server().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (other, stop) = (other.clone(), stop.clone());
        async move { other.run(stop).await }
    });
    devices[0].check_in(&other).await;
    // Made at one server while the other follows: both within the deadline.
    let rollout = roll_out(world, json!({"phases": at_once(json!({}))})).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while other.plan().rollout(rollout.id).is_none() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the other server never heard of the rollout"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(
        devices[0].check_in(&other).await.instruction,
        Instruction::Install(_)
    ));
    world
        .fleet
        .revoke_device(&ann(), &devices[0].id, "stolen")
        .await
        .unwrap();
    loop {
        match other.device_by_token(&devices[0].token).await {
            Err(error) => break assert_eq!(error.to_problem().code, ProblemCode::Unauthenticated),
            Ok(_) => assert!(
                tokio::time::Instant::now() < deadline,
                "the other server still lets it in"
            ),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    running.await.unwrap();
});
