//! Drafts, approvals, gates that people open or skip, and what the gates said.

use otter_fleet::Actor;
use otter_protocol::check_in::Instruction;
use otter_protocol::gate::Verdict;
use otter_protocol::rollout::{RolloutState, Steering, UnderWay};
use otter_protocol::{ProblemCode, RolloutId};
use serde_json::json;

use crate::common::{World, ann, each_database, refuses, refuses_field};
use crate::world::{at_once, engine_looks, enroll_many, publish, roll_out, spec};

fn bob() -> Actor {
    Actor::User("bob".to_owned())
}

async fn state_of(world: &World, id: RolloutId) -> RolloutState {
    world.fleet.rollout(id).await.unwrap().summary.rollout.state
}

each_database!(somebody_else_approves_before_it_begins, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 1).await;
    let more = json!({"phases": at_once(json!({})), "needs_approval": true});
    let rollout = roll_out(world, more).await;
    assert_eq!(rollout.state, RolloutState::AwaitingApproval);
    let reply = devices[0].check_in(&world.fleet).await;
    assert_eq!(reply.instruction, Instruction::Wait);
    assert_eq!(reply.reasons[0].text, "the rollout is awaiting approval");

    let fleet = &world.fleet;
    let by_author = fleet
        .steer_rollout(&ann(), rollout.id, Steering::Approve, "")
        .await;
    refuses_field(by_author, "created_by");
    let approved = fleet
        .steer_rollout(&bob(), rollout.id, Steering::Approve, "looks good")
        .await
        .unwrap();
    assert_eq!(approved.state, RolloutState::Running);
    assert_eq!(approved.approved_by.as_deref(), Some("user:bob"));
    assert!(devices[0].update(fleet).await);
    let again = fleet
        .steer_rollout(&bob(), rollout.id, Steering::Approve, "")
        .await;
    refuses(again, ProblemCode::Conflict, "can't be approved");
    let told = world.events("rollout.approve").await;
    let after = told[0].after.clone().unwrap();
    assert_eq!(
        (told[0].actor.as_str(), &after["reason"]),
        ("user:bob", &json!("looks good"))
    );
});

each_database!(a_draft_is_written_anew_until_it_is_started, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 1).await;
    let release = publish(world).await;
    let fleet = &world.fleet;
    let draft = fleet
        .create_rollout(&ann(), &spec(release, json!({})), true)
        .await
        .unwrap();
    assert_eq!(draft.state, RolloutState::Draft);
    assert!(!devices[0].update(fleet).await);
    let better = spec(
        release,
        json!({"name": "better", "phases": at_once(json!({}))}),
    );
    let written = fleet
        .update_rollout(&ann(), draft.id, &better)
        .await
        .unwrap();
    assert_eq!(
        (written.spec.name.as_str(), written.spec.phases.len()),
        ("better", 1)
    );
    fleet
        .steer_rollout(&ann(), draft.id, Steering::Start, "")
        .await
        .unwrap();
    assert!(devices[0].update(fleet).await);
    engine_looks(world).await;
    assert_eq!(state_of(world, draft.id).await, RolloutState::Completed);
    let late = fleet.update_rollout(&ann(), draft.id, &better).await;
    refuses(late, ProblemCode::Conflict, "only a draft");
});

each_database!(a_gate_waits_for_its_approval, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 4).await;
    let phases = json!([
        {"name": "first", "scope": {"kind": "count", "devices": 1}, "gate": {"needs_approval": true}},
        {"name": "rest", "scope": {"kind": "share", "share": 100}},
    ]);
    let rollout = roll_out(world, json!({ "phases": phases })).await;
    assert!(devices[0].update(&world.fleet).await);
    engine_looks(world).await;
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    assert_eq!(
        detail.summary.progress[0].verdict,
        Some(Verdict::AwaitingApproval)
    );
    assert!(!devices[1].update(&world.fleet).await, "the gate is closed");
    let by_author = world
        .fleet
        .steer_rollout(&ann(), rollout.id, Steering::ApproveGate, "")
        .await;
    refuses_field(by_author, "created_by");
    world
        .fleet
        .steer_rollout(&bob(), rollout.id, Steering::ApproveGate, "")
        .await
        .unwrap();
    engine_looks(world).await;
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    assert_eq!(detail.summary.rollout.current_phase, 1);
    assert_eq!(
        detail.summary.rollout.gate_approved_by, None,
        "each gate asks anew"
    );
    let kinds: Vec<&Verdict> = detail.gates.iter().map(|gate| &gate.verdict).collect();
    assert!(kinds.contains(&&Verdict::AwaitingApproval), "{kinds:?}");
    assert!(kinds.contains(&&Verdict::Open), "{kinds:?}");
});

each_database!(a_gate_is_skipped_with_a_reason, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 3).await;
    let phases = json!([
        {"name": "first", "scope": {"kind": "count", "devices": 1}, "gate": {"soak_sec": 86_400}},
        {"name": "rest", "scope": {"kind": "share", "share": 100}, "gate": {"soak_sec": 86_400}},
    ]);
    let rollout = roll_out(world, json!({ "phases": phases })).await;
    assert!(devices[0].update(&world.fleet).await);
    engine_looks(world).await;
    let skip = async |reason| {
        let (fleet, skip) = (&world.fleet, Steering::SkipGate);
        fleet.steer_rollout(&ann(), rollout.id, skip, reason).await
    };
    refuses_field(skip(" ").await, "reason");
    assert_eq!(skip("the fair is tomorrow").await.unwrap().current_phase, 1);
    assert!(devices[1].update(&world.fleet).await);
    let skipped = skip("enough").await.unwrap();
    assert_eq!(
        skipped.state,
        RolloutState::Completed,
        "the last gate is the end"
    );
    assert!(!devices[2].update(&world.fleet).await);
});

each_database!(evaluations_keep_their_numbers, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 3).await;
    let gate = json!({"min_finished": 3, "max_failure_rate": 50, "judgement": "point"});
    let rollout = roll_out(world, json!({"phases": at_once(gate)})).await;
    engine_looks(world).await;
    assert!(devices[0].update(&world.fleet).await);
    engine_looks(world).await;
    for device in &mut devices[1..] {
        device.check_in(&world.fleet).await;
        device
            .report(
                &world.fleet,
                otter_protocol::AttemptState::Failed,
                Some("no"),
            )
            .await;
    }
    engine_looks(world).await;
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    let said: Vec<String> = detail
        .gates
        .iter()
        .map(|gate| gate.verdict.to_string())
        .collect();
    assert_eq!(
        said,
        [
            "2 of 3 failed, 66.7 %, limit 50 %",
            "1 of 3 attempts finished"
        ]
    );
    assert_eq!(detail.gates[0].tally.failed, 2);
    assert_eq!(detail.summary.rollout.state, RolloutState::Paused);
});

each_database!(an_abort_may_let_attempts_finish, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 2).await;
    let rollout = roll_out(world, json!({"phases": at_once(json!({}))})).await;
    devices[0].check_in(&world.fleet).await;
    let abort = Steering::Abort(UnderWay::Finish);
    world
        .fleet
        .steer_rollout(&ann(), rollout.id, abort, "enough")
        .await
        .unwrap();
    assert!(
        devices[0].update(&world.fleet).await,
        "it goes on to its end"
    );
    assert!(!devices[1].update(&world.fleet).await);
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    assert_eq!(
        (
            detail.summary.total.succeeded,
            detail.summary.total.under_way
        ),
        (1, 0)
    );
});

each_database!(what_can_never_work_is_refused, |database| {
    let world = &World::new(database).await;
    let release = publish(world).await;
    let refused = async |more, field| {
        let spec = spec(release, more);
        refuses_field(
            world.fleet.create_rollout(&ann(), &spec, false).await,
            field,
        );
    };
    refused(json!({"starts_at": "2029-12-31T23:00:00Z"}), "starts_at").await;
    refused(
        json!({"exclude": {"groups": ["nobody"]}}),
        "exclude.groups[0]",
    )
    .await;
    refused(json!({"pace": {"per_hour": 0}}), "pace.per_hour").await;
    let count = json!([{"name": "a", "scope": {"kind": "count", "devices": 3}, "gate": {"min_finished": 4}}]);
    refused(json!({ "phases": count }), "phases[0].gate.min_finished").await;
    let span = json!({"days": ["monday"], "start_minute": 60, "end_minute": 60});
    refused(json!({"window": {"spans": [span]}}), "window").await;
});

each_database!(a_rollout_for_nobody_says_why_it_is_over, |database| {
    let world = &World::new(database).await;
    let rollout = roll_out(world, json!({})).await;
    engine_looks(world).await;
    let reason = async |id| {
        let rollout = world.fleet.rollout(id).await.unwrap().summary.rollout;
        (rollout.state, rollout.state_reason.unwrap_or_default())
    };
    let (state, why) = reason(rollout.id).await;
    assert_eq!(state, RolloutState::Completed);
    assert!(why.starts_with("no device was offered it"), "{why}");

    let mut devices = enroll_many(world, 1).await;
    let release = rollout.spec.release;
    let more = json!({"phases": at_once(json!({}))});
    let second = world
        .fleet
        .create_rollout(&ann(), &spec(release, more), false)
        .await
        .unwrap();
    assert!(devices[0].update(&world.fleet).await);
    engine_looks(world).await;
    assert_eq!(
        reason(second.id).await,
        (RolloutState::Completed, String::new())
    );
});
