//! Reports: whatever is repeated, late or a lie.

use otter_protocol::{AttemptState, ProblemCode};
use serde_json::json;

use crate::common::{World, each_database};
use crate::world::{at_once, enroll_many, roll_out};

each_database!(reports_are_idempotent_and_owned, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 2).await;
    let rollout = roll_out(world, json!({"phases": at_once(json!({}))})).await;
    devices[0].check_in(&world.fleet).await;
    let own = world
        .fleet
        .device_by_token(&devices[0].token)
        .await
        .unwrap();
    let other = world
        .fleet
        .device_by_token(&devices[1].token)
        .await
        .unwrap();

    let (attempt, downloading) = devices[0].report_of(AttemptState::Downloading, None);
    let (_, installing) = devices[0].report_of(AttemptState::Installing, None);
    assert!(
        world
            .fleet
            .report(&own, attempt, &installing)
            .await
            .unwrap()
            .applied
    );
    let late = world
        .fleet
        .report(&own, attempt, &downloading)
        .await
        .unwrap();
    assert_eq!(
        (late.applied, late.state),
        (false, AttemptState::Installing)
    );
    assert!(
        !world
            .fleet
            .report(&own, attempt, &installing)
            .await
            .unwrap()
            .applied,
        "repeated"
    );

    let foreign = world
        .fleet
        .report(&other, attempt, &installing)
        .await
        .unwrap_err()
        .to_problem();
    assert_eq!(foreign.code, ProblemCode::NotFound);
    let (_, lie) = devices[0].report_of(AttemptState::Succeeded, None);
    let refused = world
        .fleet
        .report(&own, attempt, &lie)
        .await
        .unwrap_err()
        .to_problem();
    assert!(
        refused
            .detail
            .contains("must come with the version `1.1.0`, not `1.0.0`"),
        "{}",
        refused.detail
    );

    devices[0]
        .report(&world.fleet, AttemptState::Succeeded, None)
        .await;
    let total = world.fleet.rollout(rollout.id).await.unwrap().summary.total;
    assert_eq!((total.succeeded, total.under_way), (1, 0));
    let detail = world.fleet.device(&devices[0].id).await.unwrap();
    assert_eq!(detail.summary.version, "1.1.0".into());
    let states: Vec<_> = detail.attempts[0]
        .steps
        .iter()
        .map(|step| step.report.state)
        .collect();
    assert_eq!(states, [AttemptState::Installing, AttemptState::Succeeded]);
});

each_database!(logs_are_kept_for_the_attempt, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 2).await;
    roll_out(world, json!({"phases": at_once(json!({}))})).await;
    devices[0].check_in(&world.fleet).await;
    let attempt = devices[0].attempt.as_ref().unwrap().attempt;
    let own = world
        .fleet
        .device_by_token(&devices[0].token)
        .await
        .unwrap();
    let other = world
        .fleet
        .device_by_token(&devices[1].token)
        .await
        .unwrap();
    world
        .fleet
        .put_attempt_log(&own, attempt, "first")
        .await
        .unwrap();
    world
        .fleet
        .put_attempt_log(&own, attempt, "second\0")
        .await
        .unwrap();
    assert_eq!(
        world.fleet.attempt_log(attempt).await.unwrap().as_deref(),
        Some("second\u{fffd}")
    );
    assert!(
        world
            .fleet
            .put_attempt_log(&other, attempt, "x")
            .await
            .is_err()
    );
    assert!(world.fleet.device(&devices[0].id).await.unwrap().attempts[0].has_log);
});
