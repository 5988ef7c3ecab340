//! The way forth and back: releases on the way, former versions, and rollouts that meet.

use otter_protocol::admin::NewArtifact;
use otter_protocol::attempt::AttemptPurpose;
use otter_protocol::check_in::Instruction;
use otter_protocol::rollout::{RolloutState, Steering};
use otter_protocol::rule::Rule;
use otter_protocol::{ArtifactKind, AttemptState, ReleaseId};
use serde_json::json;

use crate::common::devices::{MODEL, model};
use crate::common::publisher::{Publisher, new_release};
use crate::common::{World, ann, each_database};
use crate::world::{TestDevice, at_once, engine_looks, enroll_many, spec};

async fn publish_over(
    world: &World,
    publisher: &mut Publisher,
    version: &str,
    min_version: &str,
) -> ReleaseId {
    let stored = world
        .upload(format!("the bytes of {version}").as_bytes())
        .await;
    let new = otter_protocol::admin::NewRelease {
        min_version: Some(min_version.into()),
        artifacts: vec![NewArtifact {
            sha256: stored.sha256,
            kind: ArtifactKind::Bundle,
            models: vec![model(MODEL)],
        }],
        ..new_release(version, stored.sha256)
    };
    let draft = world.fleet.create_release(&ann(), &new).await.unwrap();
    publisher.add(&draft);
    publisher.send(&world.fleet).await.unwrap();
    draft.id
}

async fn begin(
    world: &World,
    release: ReleaseId,
    more: serde_json::Value,
) -> otter_protocol::RolloutId {
    let mut all = json!({"phases": at_once(json!({}))});
    if let (Some(all), serde_json::Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    let spec = spec(release, all);
    world
        .fleet
        .create_rollout(&ann(), &spec, false)
        .await
        .unwrap()
        .id
}

async fn offered_version(world: &World, device: &mut TestDevice) -> Option<String> {
    match device.check_in(&world.fleet).await.instruction {
        Instruction::Install(offer) => Some(offer.version.to_string()),
        _ => None,
    }
}

each_database!(a_release_is_reached_by_way_of_others, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 1).await;
    let publisher = &mut Publisher::set_up(world).await;
    publish_over(world, publisher, "1.5.0", "1.0.0").await;
    publish_over(world, publisher, "2.0.0", "1.5.0").await;
    let last = publish_over(world, publisher, "3.0.0", "2.0.0").await;
    let rollout = begin(world, last, json!({})).await;
    let device = &mut devices[0];
    for version in ["1.5.0", "2.0.0", "3.0.0"] {
        assert_eq!(
            offered_version(world, device).await.as_deref(),
            Some(version)
        );
        assert!(device.update(&world.fleet).await);
    }
    engine_looks(world).await;
    let detail = world.fleet.rollout(rollout).await.unwrap();
    let total = detail.summary.total;
    assert_eq!(
        (total.succeeded, total.stepped, total.finished()),
        (1, 2, 1)
    );
    assert_eq!(detail.summary.rollout.state, RolloutState::Completed);
    let purposes: Vec<_> = world.fleet.device(&device.id).await.unwrap().attempts;
    let purposes: Vec<_> = purposes.iter().map(|one| one.summary.purpose).collect();
    use AttemptPurpose::{Step, Update};
    assert_eq!(purposes, [Update, Step, Step]);
});

each_database!(without_a_way_the_rule_says_so, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 1).await;
    let publisher = &mut Publisher::set_up(world).await;
    let step = publish_over(world, publisher, "1.5.0", "1.0.0").await;
    let last = publish_over(world, publisher, "2.0.0", "1.5.0").await;
    world
        .fleet
        .withdraw_release(&ann(), step, "broken")
        .await
        .unwrap();
    begin(world, last, json!({})).await;
    let reply = devices[0].check_in(&world.fleet).await;
    assert_eq!(reply.reasons[0].rule, Rule::MinVersion);
    assert_eq!(reply.reasons[0].text, "has 1.0.0, against 1.5.0");
});

each_database!(
    a_rollout_is_rolled_back_to_each_devices_former_version,
    |database| {
        let world = &World::new(database).await;
        let mut devices = enroll_many(world, 3).await;
        let publisher = &mut Publisher::set_up(world).await;
        publish_over(world, publisher, "0.9.5", "0.1.0").await;
        publish_over(world, publisher, "1.0.0", "0.1.0").await;
        let bad = publish_over(world, publisher, "1.1.0", "0.1.0").await;
        devices[1].version = "0.9.5".into();
        // What a third ran before, nobody published.
        devices[2].version = "0.9.7".into();
        let rollout = begin(world, bad, json!({})).await;
        for device in &mut devices {
            assert!(device.update(&world.fleet).await);
        }
        engine_looks(world).await;
        // Even where the release is withdrawn by now.
        world
            .fleet
            .withdraw_release(&ann(), bad, "burns")
            .await
            .unwrap();
        let back = Steering::RollBack;
        world
            .fleet
            .steer_rollout(&ann(), rollout, back, "burns")
            .await
            .unwrap();
        engine_looks(world).await;
        let detail = world.fleet.rollout(rollout).await.unwrap();
        assert_eq!(detail.summary.rollout.state, RolloutState::RollingBack);
        assert_eq!(detail.summary.way_back.unwrap().waiting, Some(2));
        assert_eq!(
            offered_version(world, &mut devices[0]).await.as_deref(),
            Some("1.0.0")
        );
        assert_eq!(
            offered_version(world, &mut devices[1]).await.as_deref(),
            Some("0.9.5")
        );
        let reply = devices[2].check_in(&world.fleet).await;
        assert_eq!(reply.instruction, Instruction::Wait);
        assert!(
            reply.reasons[0].text.starts_with("ran 0.9.7 before"),
            "{:?}",
            reply.reasons
        );
        for device in &mut devices[..2] {
            assert!(device.update(&world.fleet).await);
        }
        engine_looks(world).await;
        let detail = world.fleet.rollout(rollout).await.unwrap();
        assert_eq!(detail.summary.rollout.state, RolloutState::RolledBack);
        assert_eq!(detail.summary.way_back.unwrap().succeeded, 2);
        let why = detail.summary.rollout.state_reason.unwrap();
        assert!(
            why.ends_with("2 of the 3 devices that it updated went back"),
            "{why}"
        );
        assert_eq!(
            detail.summary.total.succeeded, 3,
            "the way forth stays as it was"
        );
        assert_eq!(devices[0].version.as_str(), "1.0.0");
        assert!(!devices[0].update(&world.fleet).await, "and it is over");
    }
);

each_database!(a_breach_rolls_back_by_itself, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 6).await;
    let publisher = &mut Publisher::set_up(world).await;
    publish_over(world, publisher, "1.0.0", "0.1.0").await;
    let bad = publish_over(world, publisher, "1.1.0", "0.1.0").await;
    let gate = json!({"min_finished": 4, "max_rollback_rate": 30, "judgement": "point"});
    let more = json!({"phases": at_once(gate), "on_breach": "roll_back"});
    let rollout = begin(world, bad, more).await;
    for device in &mut devices[..2] {
        assert!(device.update(&world.fleet).await);
    }
    for device in &mut devices[2..5] {
        device.check_in(&world.fleet).await;
    }
    for device in &mut devices[2..4] {
        let (fleet, state) = (&world.fleet, AttemptState::RolledBack);
        device.report(fleet, state, Some("no answer")).await;
    }
    // Nothing begins after the breach, even before the engine has looked.
    assert!(!devices[5].update(&world.fleet).await);
    engine_looks(world).await;
    let detail = world.fleet.rollout(rollout).await.unwrap();
    let now = &detail.summary.rollout;
    assert_eq!(now.state, RolloutState::RollingBack);
    assert_eq!(
        now.state_reason.as_deref(),
        Some("phase all: 2 of 4 rolled back, 50.0 %, limit 30 %")
    );
    // What is under way forth is taken back.
    let under_way = devices[4].attempt.as_ref().unwrap().attempt;
    let reply = devices[4].check_in(&world.fleet).await;
    assert_eq!(
        reply.instruction,
        Instruction::Cancel { attempt: under_way }
    );
    devices[4]
        .report(&world.fleet, AttemptState::Cancelled, None)
        .await;
    for device in &mut devices[..2] {
        assert_eq!(
            offered_version(world, device).await.as_deref(),
            Some("1.0.0")
        );
        assert!(device.update(&world.fleet).await);
    }
    engine_looks(world).await;
    let detail = world.fleet.rollout(rollout).await.unwrap();
    assert_eq!(detail.summary.rollout.state, RolloutState::RolledBack);
    assert_eq!(
        detail.summary.rollout.state_reason.as_deref(),
        Some(
            "phase all: 2 of 4 rolled back, 50.0 %, limit 30 %; 2 of the 2 devices that it updated went back"
        )
    );
});

each_database!(
    of_two_rollouts_one_goes_first_and_the_other_says_so,
    |database| {
        let world = &World::new(database).await;
        let mut devices = enroll_many(world, 1).await;
        let publisher = &mut Publisher::set_up(world).await;
        let lower = publish_over(world, publisher, "1.1.0", "0.1.0").await;
        let higher = publish_over(world, publisher, "1.2.0", "0.1.0").await;
        let patient = begin(world, higher, json!({"name": "patient"})).await;
        begin(world, lower, json!({"name": "urgent", "priority": 5})).await;
        let yields = async || {
            let decision = world.fleet.device(&devices[0].id).await.unwrap().decision;
            let considered = decision
                .considered
                .into_iter()
                .find(|one| one.rollout == patient);
            let outcomes = considered.unwrap().outcomes;
            outcomes
                .into_iter()
                .find(|one| one.rule == Rule::GoesFirst)
                .unwrap()
                .to_string()
        };
        assert_eq!(yields().await, "rollout 2 (urgent) goes first");
        let device = &mut devices[0];
        assert_eq!(
            offered_version(world, device).await.as_deref(),
            Some("1.1.0")
        );
        let decision = world.fleet.device(&device.id).await.unwrap().decision;
        let text = decision
            .considered
            .iter()
            .flat_map(|one| one.blockers())
            .map(ToString::to_string);
        assert!(
            text.collect::<Vec<_>>()
                .contains(&"rollout 2 (urgent) is under way on it".to_owned())
        );
        assert!(device.update(&world.fleet).await);
        assert_eq!(
            offered_version(world, device).await.as_deref(),
            Some("1.2.0")
        );
    }
);
