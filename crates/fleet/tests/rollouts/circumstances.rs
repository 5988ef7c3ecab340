//! Devices' health after an update, windows of groups, exclusions, and those that join later.

use otter_protocol::check_in::{CheckIn, CheckInReply, Instruction};
use otter_protocol::device::{Conditions, Pairs};
use otter_protocol::group::Group;
use otter_protocol::rollout::RolloutState;
use otter_protocol::rule::Rule;
use otter_protocol::{GroupName, Timestamp};
use serde_json::json;

use crate::common::{World, ann, each_database};
use crate::world::{TestDevice, at_once, engine_looks, enroll_many, roll_out};

async fn says(world: &World, device: &TestDevice, conditions: Conditions) -> CheckInReply {
    let known = world.fleet.device_by_token(&device.token).await.unwrap();
    let check_in = CheckIn {
        version: device.version.clone(),
        conditions,
        ..CheckIn::default()
    };
    world.fleet.check_in(&known, check_in).await.unwrap()
}

async fn is_well(world: &World, device: &TestDevice, is_healthy: bool) {
    let conditions = Conditions {
        is_healthy: Some(is_healthy),
        ..Conditions::default()
    };
    says(world, device, conditions).await;
}

each_database!(devices_that_become_unhealthy_stop_a_rollout, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 10).await;
    let gate = json!({"min_finished": 4, "soak_sec": 3600, "max_unhealthy_rate": 30, "judgement": "point"});
    let rollout = roll_out(world, json!({"phases": at_once(gate)})).await;
    is_well(world, &devices[9], false).await;
    for device in &mut devices[..4] {
        assert!(device.update(&world.fleet).await);
        is_well(world, device, true).await;
    }
    let unhealthy = async || {
        engine_looks(world).await;
        let summary = world.fleet.rollout(rollout.id).await.unwrap().summary;
        (summary.total.unhealthy, summary.rollout.state)
    };
    assert_eq!(
        unhealthy().await,
        (0, RolloutState::Running),
        "who hasn't updated doesn't count"
    );
    for _ in 0..2 {
        is_well(world, &devices[0], false).await;
    }
    assert_eq!(unhealthy().await, (1, RolloutState::Running));
    is_well(world, &devices[0], true).await;
    assert_eq!(unhealthy().await, (0, RolloutState::Running));
    is_well(world, &devices[0], false).await;
    is_well(world, &devices[1], false).await;
    assert_eq!(unhealthy().await, (2, RolloutState::Paused));
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    let reason = detail.summary.rollout.state_reason.unwrap();
    assert_eq!(
        reason,
        "phase all: 2 of 4 became unhealthy, 50.0 %, limit 30 %"
    );
});

fn in_warehouse(window: serde_json::Value) -> Group {
    Group {
        name: GroupName::new("warehouse").unwrap(),
        description: String::new(),
        selector: Some("location=shop".parse().unwrap()),
        window: serde_json::from_value(window).unwrap(),
    }
}

each_database!(
    a_groups_window_holds_its_members_back_and_says_when,
    |database| {
        let world = &World::new(database).await;
        let mut devices = enroll_many(world, 40).await;
        // 2030-01-01 is a Tuesday, and it is midnight in UTC.
        let span = json!({"days": ["tuesday"], "start_minute": 60, "end_minute": 120});
        let group = in_warehouse(json!({"zone": "UTC", "spans": [span]}));
        world.fleet.put_group(&ann(), &group).await.unwrap();
        roll_out(world, json!({"phases": at_once(json!({}))})).await;
        let opens: Timestamp = "2030-01-01T01:00:00Z".parse().unwrap();
        let mut back = Vec::new();
        for device in &mut devices {
            let reply = device.check_in(&world.fleet).await;
            assert_eq!(reply.reasons[0].rule, Rule::WindowOpen);
            assert_eq!(
                reply.reasons[0].text,
                "the window of group warehouse opens today at 01:00 UTC"
            );
            assert_eq!(reply.reasons[0].until, Some(opens));
            back.push(reply.come_back_at.unwrap());
        }
        let interval = i64::from(world.fleet.config().check_in_interval_sec) * 1000;
        assert!(
            back.iter()
                .all(|at| (opens.0..opens.0 + interval).contains(&at.0)),
            "{back:?}"
        );
        let early = back
            .iter()
            .filter(|at| at.0 < opens.0 + interval / 2)
            .count();
        assert!(
            (8..=32).contains(&early),
            "{early} of 40 come in the first half"
        );
        // Within the last interval they are told to come then, not before.
        world.pass_sec(3600 - 10);
        let reply = devices[0].check_in(&world.fleet).await;
        assert_eq!(reply.instruction, Instruction::Wait);
        let soon = world.now().plus_sec(reply.next_check_in_sec.into());
        assert!(soon >= opens, "{soon} {reply:?}");
        world.pass_sec(10);
        assert!(devices[0].update(&world.fleet).await);
    }
);

each_database!(
    who_says_nothing_of_itself_stays_in_its_group_and_who_says_otherwise_leaves_it,
    |database| {
        let world = &World::new(database).await;
        let devices = enroll_many(world, 1).await;
        let never = json!({"zone": "UTC", "spans": [], "freezes": [{"from": "2029-01-01", "until": "2031-01-01"}]});
        let group = in_warehouse(never);
        world.fleet.put_group(&ann(), &group).await.unwrap();
        roll_out(world, json!({"phases": at_once(json!({}))})).await;
        let says = async |metadata: Option<Pairs>| {
            let token = &devices[0].token;
            let known = world.fleet.device_by_token(token).await.unwrap();
            let check_in = CheckIn {
                version: "1.0.0".into(),
                metadata,
                ..CheckIn::default()
            };
            let reply = world.fleet.check_in(&known, check_in).await.unwrap();
            reply.instruction
        };
        assert_eq!(says(None).await, Instruction::Wait);
        let moved = says(Some(Pairs::new())).await;
        assert!(matches!(moved, Instruction::Install(_)), "{moved:?}");
    }
);

each_database!(the_excluded_and_the_late_stay_out, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 3).await;
    let exclude = json!({"devices": ["device-001"], "selector": "floor=2"});
    let more = json!({"phases": at_once(json!({})), "exclude": exclude, "frozen": true});
    let rollout = roll_out(world, more).await;
    world.pass_sec(60);
    let token = crate::common::devices::enroll(&world.fleet, "late").await;
    let reply = devices[1].check_in(&world.fleet).await;
    assert_eq!(reply.reasons[0].text, "excluded: it is listed");
    let patch = otter_protocol::admin::DevicePatch {
        labels: Some([("floor".to_owned(), "2".to_owned())].into()),
        ..otter_protocol::admin::DevicePatch::default()
    };
    let id = devices[2].id.clone();
    world.fleet.patch_device(&ann(), &id, &patch).await.unwrap();
    let reply = devices[2].check_in(&world.fleet).await;
    assert_eq!(reply.reasons[0].text, "excluded: floor=2");
    let known = world.fleet.device_by_token(&token).await.unwrap();
    let check_in = CheckIn {
        version: "1.0.0".into(),
        ..CheckIn::default()
    };
    let reply = world.fleet.check_in(&known, check_in).await.unwrap();
    assert!(
        reply.reasons[0]
            .text
            .starts_with("joined at 2030-01-01T00:01:00Z"),
        "{:?}",
        reply.reasons
    );
    assert!(devices[0].update(&world.fleet).await);
    engine_looks(world).await;
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    assert_eq!(
        detail.summary.rollout.state,
        RolloutState::Completed,
        "and it doesn't wait for them"
    );
});
