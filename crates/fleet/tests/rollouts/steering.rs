//! Phases, gates, limits, and people who steer.

use otter_protocol::check_in::Instruction;
use otter_protocol::gate::Verdict;
use otter_protocol::rollout::{RolloutState, Steering, UnderWay};
use otter_protocol::{AttemptState, Cohort, ProblemCode, Share};
use serde_json::json;

use crate::common::{World, ann, each_database};
use crate::world::{TestDevice, at_once, engine_looks, enroll_many, publish, roll_out, spec};

/// Lets every device check in and update, in turn; returns those that were offered something.
async fn everybody_updates(world: &World, devices: &mut [TestDevice]) -> Vec<String> {
    let mut offered = Vec::new();
    for device in devices {
        if device.update(&world.fleet).await {
            offered.push(device.id.to_string());
        }
    }
    offered
}

each_database!(phases_open_one_after_another_to_the_end, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 60).await;
    let rollout = roll_out(world, json!({})).await;
    for (place, percent) in [5.0, 25.0, 100.0].into_iter().enumerate() {
        engine_looks(world).await;
        let detail = world.fleet.rollout(rollout.id).await.unwrap();
        assert_eq!(detail.summary.rollout.current_phase as usize, place);
        let share = Share::percent(percent).unwrap();
        let due = devices.iter().filter(|device| {
            Cohort::fixed(&device.id).is_below(share) && device.version == "1.0.0".into()
        });
        let due: Vec<String> = due.map(|device| device.id.to_string()).collect();
        assert!(!due.is_empty(), "the sample has somebody in each phase");
        let waiting = detail.summary.progress[place].tally.waiting;
        assert_eq!(waiting, Some(due.len() as u64), "phase {place}");
        assert_eq!(everybody_updates(world, &mut devices).await, due);
    }
    engine_looks(world).await;
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    assert_eq!(detail.summary.rollout.state, RolloutState::Completed);
    assert_eq!(
        (
            detail.summary.total.succeeded,
            detail.summary.total.under_way
        ),
        (60, 0)
    );
    assert!(
        world
            .fleet
            .verify_audit()
            .await
            .unwrap()
            .broken_at
            .is_none()
    );
});

each_database!(soak_holds_the_phase, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 30).await;
    let phase = |name: &str, share: f64| json!({"name": name, "scope": {"kind": "share", "share": share}, "gate": {"min_finished": 1, "soak_sec": 600}});
    let rollout = roll_out(
        world,
        json!({"phases": [phase("a", 25.0), phase("b", 100.0)]}),
    )
    .await;
    everybody_updates(world, &mut devices).await;
    engine_looks(world).await;
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    assert!(matches!(
        detail.summary.progress[0].verdict,
        Some(Verdict::Soaking { .. })
    ));
    world.pass_sec(599);
    engine_looks(world).await;
    assert_eq!(
        world
            .fleet
            .rollout(rollout.id)
            .await
            .unwrap()
            .summary
            .rollout
            .current_phase,
        0
    );
    world.pass_sec(2);
    engine_looks(world).await;
    assert_eq!(
        world
            .fleet
            .rollout(rollout.id)
            .await
            .unwrap()
            .summary
            .rollout
            .current_phase,
        1
    );
});

each_database!(
    a_breach_pauses_with_its_numbers_and_a_person_goes_on,
    |database| {
        let world = &World::new(database).await;
        let mut devices = enroll_many(world, 20).await;
        let gate = json!({"min_finished": 4, "max_failure_rate": 25.0, "judgement": "point"});
        let phases = at_once(gate);
        let rollout = roll_out(world, json!({"phases": phases})).await;
        for device in &mut devices[..2] {
            device.check_in(&world.fleet).await;
            device
                .report(
                    &world.fleet,
                    AttemptState::RolledBack,
                    Some("health: no answer"),
                )
                .await;
        }
        engine_looks(world).await;
        let detail = world.fleet.rollout(rollout.id).await.unwrap();
        assert_eq!(detail.summary.rollout.state, RolloutState::Paused);
        let reason = detail.summary.rollout.state_reason.unwrap();
        assert_eq!(reason, "phase all: 2 of 2 failed, 100.0 %, limit 25 %");
        assert_eq!(detail.failure_reasons[0].count, 2);
        assert!(
            !devices[5].update(&world.fleet).await,
            "a paused rollout offers nothing"
        );

        world
            .fleet
            .steer_rollout(&ann(), rollout.id, Steering::Resume, "a known fault of two")
            .await
            .unwrap();
        engine_looks(world).await;
        assert_eq!(
            world
                .fleet
                .rollout(rollout.id)
                .await
                .unwrap()
                .summary
                .rollout
                .state,
            RolloutState::Running
        );
        let offered = everybody_updates(world, &mut devices).await;
        assert_eq!(
            offered.len(),
            18,
            "the two that failed have no attempt left"
        );
        engine_looks(world).await;
        assert_eq!(
            world
                .fleet
                .rollout(rollout.id)
                .await
                .unwrap()
                .summary
                .rollout
                .state,
            RolloutState::Completed
        );
    }
);

each_database!(never_more_under_way_than_the_limit, |database| {
    let world = &World::new(database).await;
    let devices = enroll_many(world, 24).await;
    let rollout = roll_out(
        world,
        json!({"phases": at_once(json!({})), "max_in_flight": 5}),
    )
    .await;
    let other = world.another_server().await;
    let check_ins = devices.into_iter().enumerate().map(|(number, mut device)| {
        let fleet = if number % 2 == 0 {
            world.fleet.clone()
        } else {
            other.clone()
        };
        tokio::spawn(async move {
            matches!(
                device.check_in(&fleet).await.instruction,
                Instruction::Install(_)
            )
        })
    });
    let check_ins: Vec<_> = check_ins.collect();
    let mut offered = 0;
    for check_in in check_ins {
        offered += usize::from(check_in.await.unwrap());
    }
    assert_eq!(offered, 5);
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    assert_eq!(detail.summary.total.under_way, 5);
});

each_database!(
    pause_stops_offers_at_once_and_lets_attempts_go_on,
    |database| {
        let world = &World::new(database).await;
        let mut devices = enroll_many(world, 2).await;
        let rollout = roll_out(world, json!({"phases": at_once(json!({}))})).await;
        devices[0].check_in(&world.fleet).await;
        world
            .fleet
            .steer_rollout(&ann(), rollout.id, Steering::Pause, "lunch")
            .await
            .unwrap();
        let reply = devices[1].check_in(&world.fleet).await;
        assert_eq!(reply.instruction, Instruction::Wait);
        assert_eq!(reply.reasons[0].text, "the rollout is paused");
        assert!(matches!(
            devices[0].check_in(&world.fleet).await.instruction,
            Instruction::Install(_)
        ));
        let again = world
            .fleet
            .steer_rollout(&ann(), rollout.id, Steering::Pause, "")
            .await
            .unwrap_err()
            .to_problem();
        assert_eq!(again.code, ProblemCode::Conflict);
    }
);

each_database!(abort_takes_attempts_back, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 1).await;
    let rollout = roll_out(world, json!({"phases": at_once(json!({}))})).await;
    devices[0].check_in(&world.fleet).await;
    let attempt = devices[0].attempt.as_ref().unwrap().attempt;
    world
        .fleet
        .steer_rollout(
            &ann(),
            rollout.id,
            Steering::Abort(UnderWay::Cancel),
            "wrong build",
        )
        .await
        .unwrap();
    assert_eq!(
        devices[0].check_in(&world.fleet).await.instruction,
        Instruction::Cancel { attempt }
    );
    devices[0]
        .report(&world.fleet, AttemptState::Cancelled, None)
        .await;
    assert_eq!(
        devices[0].check_in(&world.fleet).await.instruction,
        Instruction::Wait
    );
    let total = world.fleet.rollout(rollout.id).await.unwrap().summary.total;
    assert_eq!((total.cancelled, total.under_way), (1, 0));
});

each_database!(silence_is_a_failure, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 1).await;
    let rollout = roll_out(
        world,
        json!({"attempt_deadline_sec": 300, "phases": at_once(json!({}))}),
    )
    .await;
    devices[0].check_in(&world.fleet).await;
    let attempt = devices[0].attempt.as_ref().unwrap().attempt;
    world.pass_sec(301);
    engine_looks(world).await;
    engine_looks(world).await;
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    assert_eq!(detail.summary.total.timed_out, 1);
    assert!(
        detail.failures[0]
            .message
            .as_ref()
            .unwrap()
            .starts_with("no word from the device since")
    );
    assert_eq!(
        devices[0].check_in(&world.fleet).await.instruction,
        Instruction::Cancel { attempt }
    );
});

each_database!(held_devices_are_not_waited_for, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 3).await;
    let hold = otter_protocol::admin::DevicePatch {
        hold: Some("on a ship".into()),
        ..Default::default()
    };
    world
        .fleet
        .patch_device(&ann(), &devices[0].id, &hold)
        .await
        .unwrap();
    let rollout = roll_out(world, json!({"phases": at_once(json!({}))})).await;
    assert_eq!(everybody_updates(world, &mut devices).await.len(), 2);
    engine_looks(world).await;
    assert_eq!(
        world
            .fleet
            .rollout(rollout.id)
            .await
            .unwrap()
            .summary
            .rollout
            .state,
        RolloutState::Completed
    );
});

each_database!(bad_rollouts_change_nothing, |database| {
    let world = &World::new(database).await;
    let release = publish(world).await;
    let refused = async |more| {
        let problem = world
            .fleet
            .create_rollout(&ann(), &spec(release, more), false)
            .await
            .unwrap_err()
            .to_problem();
        (problem.code, problem.field)
    };
    let invalid = |field: &str| (ProblemCode::InvalidRequest, Some(field.to_owned()));
    assert_eq!(refused(json!({"release": 99})).await, invalid("release"));
    assert_eq!(
        refused(json!({"audience": {"kind": "group", "group": "nobody"}})).await,
        invalid("audience.group")
    );
    let ring = json!([{"name": "a", "scope": {"kind": "group", "group": "nobody"}}]);
    assert_eq!(
        refused(json!({"phases": ring})).await,
        invalid("phases[0].scope.group")
    );
    let falling = json!([{"name": "a", "scope": {"kind": "share", "share": 25}}, {"name": "b", "scope": {"kind": "share", "share": 5}}]);
    assert_eq!(
        refused(json!({"phases": falling})).await,
        invalid("phases[1].scope.share")
    );
    assert!(world.fleet.rollouts().await.unwrap().is_empty());
});
