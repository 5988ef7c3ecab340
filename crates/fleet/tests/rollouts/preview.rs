//! What a preview says, against what then happens.

use otter_protocol::admin::{DevicePatch, PreviewConcern, RolloutPreview};
use otter_protocol::check_in::CheckIn;
use otter_protocol::device::Conditions;
use otter_protocol::group::Group;
use otter_protocol::rollout::{RolloutState, Steering};
use otter_protocol::rule::Rule;
use otter_protocol::{Cohort, ProblemCode, Share};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::common::{World, ann, each_database, refuses, refuses_field};
use crate::world::{TestDevice, at_once, engine_looks, enroll_many, publish, roll_out, spec};

/// Lets devices in that were seen just now.
async fn seen(world: &World, count: usize) -> Vec<TestDevice> {
    let mut devices = enroll_many(world, count).await;
    for device in &mut devices {
        device.check_in(&world.fleet).await;
    }
    devices
}

/// Has what is gathered in memory written.
async fn write_presence(world: &World) {
    let stop = CancellationToken::new();
    stop.cancel();
    world.fleet.run(stop).await;
}

pub(crate) fn count(number: u32) -> Value {
    json!({"name": format!("{number}"), "scope": {"kind": "count", "devices": number}, "gate": {}})
}

pub(crate) fn share(percent: f64, gate: Value) -> Value {
    json!({"name": format!("{percent} %"), "scope": {"kind": "share", "share": percent}, "gate": gate})
}

fn concerns(preview: &RolloutPreview) -> Vec<PreviewConcern> {
    preview.warnings.iter().map(|one| one.about).collect()
}

each_database!(it_foresees_what_then_happens, |database| {
    let world = &World::new(database).await;
    let mut devices = seen(world, 40).await;
    let spec = spec(publish(world).await, json!({"max_in_flight": 5}));
    let events = world.actions().await;
    let before = world.fleet.preview_new_rollout(&spec).await.unwrap();
    assert_eq!(world.actions().await, events, "nothing was made");
    assert_eq!((before.devices, before.audience, before.on_it), (40, 40, 0));
    assert_eq!((before.left, before.held_devices), (40, 0));
    let below = |percent| {
        let share = Share::percent(percent).unwrap();
        let inside = devices
            .iter()
            .filter(|one| Cohort::fixed(&one.id).is_below(share));
        inside.count() as u64
    };
    let foreseen: Vec<u64> = before.phases.iter().map(|phase| phase.devices).collect();
    assert_eq!(
        foreseen,
        [below(5.0), below(25.0) - below(5.0), 40 - below(25.0)]
    );
    let end = before.ends_at.unwrap();
    // 40 devices, 5 at a time, 120 seconds each.
    assert!(
        (960..3000).contains(&end.sec_since(world.now())),
        "{before:?}"
    );
    assert_eq!(before.curve.last().unwrap().finished, 40);
    assert_eq!(before.assumptions.attempts_measured, 0);

    let rollout = world
        .fleet
        .create_rollout(&ann(), &spec, false)
        .await
        .unwrap();
    while world
        .fleet
        .rollout(rollout.id)
        .await
        .unwrap()
        .summary
        .rollout
        .state
        == RolloutState::Running
    {
        engine_looks(world).await;
        let now = world.fleet.preview_rollout(rollout.id).await;
        let Ok(now) = now else { break };
        let taken: Vec<u64> = now.phases.iter().map(|phase| phase.devices).collect();
        assert_eq!(
            taken, foreseen,
            "each device is counted once, whatever became of it"
        );
        assert_eq!(now.left + now.finished, 40);
        let detail = world.fleet.rollout(rollout.id).await.unwrap();
        let waiting = detail
            .summary
            .progress
            .iter()
            .map(|one| one.tally.waiting.unwrap());
        assert_eq!(now.left, waiting.sum::<u64>(), "as the engine counts");
        world.pass_sec(30);
        for device in &mut devices {
            device.update(&world.fleet).await;
        }
    }
    engine_looks(world).await;
    refuses(
        world.fleet.preview_rollout(rollout.id).await,
        ProblemCode::Conflict,
        "completed",
    );
});

each_database!(who_is_held_is_said_by_rule_with_an_example, |database| {
    let world = &World::new(database).await;
    let mut devices = seen(world, 6).await;
    let hold = DevicePatch {
        hold: Some("on a ship".into()),
        ..DevicePatch::default()
    };
    world
        .fleet
        .patch_device(&ann(), &devices[0].id, &hold)
        .await
        .unwrap();
    let low = Conditions {
        battery_percent: Some(10),
        ..Conditions::default()
    };
    let known = world
        .fleet
        .device_by_token(&devices[1].token)
        .await
        .unwrap();
    let check_in = CheckIn {
        version: "1.0.0".into(),
        conditions: low,
        ..CheckIn::default()
    };
    world.fleet.check_in(&known, check_in).await.unwrap();
    write_presence(world).await;
    devices[2].version = "1.1.0".into();
    devices[2].check_in(&world.fleet).await;
    devices[3].version = "0.1.0".into();
    devices[3].check_in(&world.fleet).await;
    let spec = spec(
        publish(world).await,
        json!({"phases": at_once(json!({})), "requirements": {"min_battery_percent": 30}}),
    );
    let preview = world.fleet.preview_new_rollout(&spec).await.unwrap();
    assert_eq!((preview.audience, preview.on_it, preview.left), (6, 1, 3));
    assert_eq!(preview.held_devices, 3);
    let held = |rule: Rule| {
        let held = preview.held.iter().find(|held| held.rule == rule).unwrap();
        (
            held.devices,
            held.lasting,
            held.device.clone(),
            held.example.as_str(),
        )
    };
    assert_eq!(
        held(Rule::NotHeld),
        (1, 1, devices[0].id.clone(), "held: on a ship")
    );
    assert_eq!(
        held(Rule::Battery),
        (1, 0, devices[1].id.clone(), "has 10 %, needs at least 30 %")
    );
    assert_eq!(
        held(Rule::MinVersion),
        (1, 1, devices[3].id.clone(), "has 0.1.0, against 0.9.0")
    );
    assert_eq!(preview.phases[0].held, preview.held);
    assert_eq!(preview.phases[0].unreached, 1);
    assert_eq!(preview.ends_at, None);
    let why = preview.no_end.unwrap();
    assert!(
        why.contains("1 device that are never reached: 1 held by their battery"),
        "{why}"
    );
    assert!(preview.last_finish_at.is_some(), "the others are foreseen");
});

each_database!(audiences_of_every_kind_are_counted, |database| {
    let world = &World::new(database).await;
    let devices = seen(world, 10).await;
    let label = |pairs: &[(&str, &str)]| DevicePatch {
        labels: Some(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        ),
        ..DevicePatch::default()
    };
    for device in &devices[..4] {
        let patch = label(&[("site", "north")]);
        world
            .fleet
            .patch_device(&ann(), &device.id, &patch)
            .await
            .unwrap();
    }
    let release = publish(world).await;
    let preview = async |more: Value| {
        let spec = spec(release, more);
        world.fleet.preview_new_rollout(&spec).await.unwrap()
    };
    let north = json!({"kind": "selector", "selector": "site=north"});
    let listed = json!({"kind": "devices", "devices": ["device-009", "device-001", "device-004"]});
    let all = at_once(json!({}));
    assert_eq!(
        preview(json!({"audience": north, "phases": all}))
            .await
            .audience,
        4
    );
    assert_eq!(
        preview(json!({"audience": listed, "phases": all}))
            .await
            .left,
        3
    );
    let without = json!({"phases": all, "exclude": {"devices": ["device-009", "device-000"], "selector": "site=north"}});
    assert_eq!(preview(without).await.audience, 5);

    // Phases that take so many fill up as they are counted.
    let counted = preview(json!({"phases": [count(3), count(4), share(100.0, json!({}))]})).await;
    let taken: Vec<u64> = counted.phases.iter().map(|phase| phase.devices).collect();
    assert_eq!(taken, [3, 4, 3]);
    assert_eq!(counted.held_devices, 0);

    let nobody = json!({"audience": {"kind": "selector", "selector": "site=south"}, "phases": all});
    assert_eq!(
        concerns(&preview(nobody).await),
        [PreviewConcern::NoAudience]
    );
    let half = preview(json!({"phases": [share(0.0001, json!({"min_finished": 3})), share(100.0, json!({"min_finished": 50}))]})).await;
    assert_eq!(
        concerns(&half),
        [PreviewConcern::EmptyPhase, PreviewConcern::Sample]
    );
    let spread = preview(json!({"cohort": "spread"})).await;
    assert!(concerns(&spread).contains(&PreviewConcern::Cohort));
});

each_database!(windows_silence_and_people_stand_in_its_way, |database| {
    let world = &World::new(database).await;
    let devices = seen(world, 5).await;
    let release = publish(world).await;
    let night = json!({"spans": [{"days": ["wednesday"], "start_minute": 120, "end_minute": 240}], "zone": "UTC"});
    // It is Tuesday, 2030-01-01, 00:00.
    let at_night = spec(
        release,
        json!({"phases": at_once(json!({})), "window": night}),
    );
    let preview = world.fleet.preview_new_rollout(&at_night).await.unwrap();
    let hours = preview.ends_at.unwrap().sec_since(world.now()) as f64 / 3600.0;
    assert!((26.0..26.2).contains(&hours), "{hours}");
    assert_eq!(preview.held[0].rule, Rule::WindowOpen);
    assert_eq!((preview.held[0].devices, preview.held[0].lasting), (5, 0));

    // A group whose window never meets it.
    let by_day = Group {
        name: otter_protocol::GroupName::new("by-day").unwrap(),
        description: String::new(),
        selector: Some("location=shop".parse().unwrap()),
        window: Some(serde_json::from_value(json!({"spans": [{"days": ["friday"], "start_minute": 600, "end_minute": 660}], "zone": "UTC"})).unwrap()),
    };
    world.fleet.put_group(&ann(), &by_day).await.unwrap();
    let location = |device: &TestDevice| {
        let labels = [("location".to_owned(), "shop".to_owned())].into();
        (
            device.id.clone(),
            DevicePatch {
                labels: Some(labels),
                ..DevicePatch::default()
            },
        )
    };
    let (id, patch) = location(&devices[0]);
    world.fleet.patch_device(&ann(), &id, &patch).await.unwrap();
    let shut = world.fleet.preview_new_rollout(&at_night).await.unwrap();
    assert!(
        concerns(&shut).contains(&PreviewConcern::Window),
        "{:?}",
        shut.warnings
    );
    assert!(shut.no_end.unwrap().contains("whose window doesn't open"));

    world.pass_sec(600);
    let silent = spec(
        release,
        json!({"phases": at_once(json!({"needs_approval": true}))}),
    );
    let preview = world.fleet.preview_new_rollout(&silent).await.unwrap();
    assert_eq!(
        (preview.assumptions.silent, preview.phases[0].unreached),
        (5, 5)
    );
    assert_eq!(concerns(&preview), [PreviewConcern::Silent]);
    assert!(preview.no_end.unwrap().contains("5 not seen"));
});

each_database!(an_approval_ends_what_can_be_told, |database| {
    let world = &World::new(database).await;
    seen(world, 8).await;
    let phases = json!([count(2), share(100.0, json!({}))]);
    let mut asked = spec(
        publish(world).await,
        json!({"phases": phases, "needs_approval": true}),
    );
    asked.phases[0].gate.needs_approval = true;
    let preview = world.fleet.preview_new_rollout(&asked).await.unwrap();
    assert_eq!(concerns(&preview), [PreviewConcern::Person]);
    let why = preview.no_end.unwrap();
    assert!(
        why.starts_with("phase 1 (2) waits for an approval from 2030-01-01T00:"),
        "{why}"
    );
    assert_eq!(preview.phases[1].starts_at, None);
});

each_database!(who_goes_first_is_told, |database| {
    let world = &World::new(database).await;
    let devices = seen(world, 6).await;
    let first = roll_out(world, json!({"phases": at_once(json!({})), "priority": 5, "audience": {"kind": "devices", "devices": ["device-000", "device-001"]}})).await;
    let spec = spec(first.spec.release, json!({"phases": at_once(json!({}))}));
    let preview = world.fleet.preview_new_rollout(&spec).await.unwrap();
    let warning = &preview.warnings[0];
    assert_eq!(warning.about, PreviewConcern::Priority);
    assert_eq!(
        warning.text,
        format!("Rollout {} (test) gets 2 devices first.", first.id)
    );
    assert_eq!(
        (preview.held[0].rule, preview.held[0].devices),
        (Rule::GoesFirst, 2)
    );
    assert_eq!(preview.held[0].device, devices[0].id);
    assert_eq!(preview.left, 6, "it still waits for them");
});

each_database!(the_way_back_is_foreseen_too, |database| {
    let world = &World::new(database).await;
    let mut devices = seen(world, 6).await;
    let rollout = roll_out(world, json!({"phases": at_once(json!({}))})).await;
    // There is a release of what they ran before.
    let former = world.texts("SELECT version FROM releases").await;
    assert_eq!(former, ["1.1.0"]);
    for device in &mut devices[..4] {
        device.update(&world.fleet).await;
    }
    world
        .fleet
        .steer_rollout(&ann(), rollout.id, Steering::RollBack, "it hums")
        .await
        .unwrap();
    let preview = world.fleet.preview_rollout(rollout.id).await.unwrap();
    assert_eq!(preview.state, Some(RolloutState::RollingBack));
    assert_eq!((preview.phases.len(), preview.audience), (1, 4));
    let held = &preview.held[0];
    assert_eq!(
        (held.rule, held.devices, held.lasting),
        (Rule::ModelFits, 4, 4)
    );
    assert_eq!((preview.phases[0].devices, preview.left), (4, 0));
});

each_database!(what_can_not_be_made_can_not_be_foreseen, |database| {
    let world = &World::new(database).await;
    let release = publish(world).await;
    let refused = async |more: Value, field: &str| {
        let spec = spec(release, more);
        refuses_field(world.fleet.preview_new_rollout(&spec).await, field);
    };
    refused(json!({"release": 99}), "release").await;
    refused(json!({"phases": []}), "phases").await;
    refused(
        json!({"audience": {"kind": "group", "group": "nobody"}}),
        "audience.group",
    )
    .await;
    refused(json!({"starts_at": "2029-01-01T00:00:00Z"}), "starts_at").await;
    let unknown = world
        .fleet
        .preview_rollout(otter_protocol::RolloutId(7))
        .await;
    refuses(unknown, ProblemCode::NotFound, "rollout 7");
});
