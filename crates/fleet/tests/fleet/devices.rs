//! The registry, groups, and the fleet at a glance.

use otter_protocol::admin::{DeviceFilter, DevicePatch, DeviceSummary};
use otter_protocol::check_in::{CheckIn, Instruction};
use otter_protocol::device::DeviceState;
use otter_protocol::group::{Group, RINGS};
use otter_protocol::{AttemptState, GroupName, ProblemCode};

use crate::common::devices::{MODEL, accepted, enroll, enrollment, id, model, open_token};
use crate::common::publisher::{Publisher, draft};
use crate::common::{World, ann, each_database, refuses, refuses_field};

fn names(devices: &[DeviceSummary]) -> Vec<&str> {
    devices.iter().map(|device| device.id.as_str()).collect()
}

fn group(name: &str) -> Group {
    Group {
        name: GroupName::new(name).unwrap(),
        description: "a shop".into(),
        selector: Some("location=shop".parse().unwrap()),
        window: None,
    }
}

each_database!(devices_are_found_a_page_at_a_time, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let token = fleet
        .create_enrollment_token(&ann(), &open_token())
        .await
        .unwrap()
        .secret;
    for name in ["a_1", "a%1", "aX1", "Büro-1", "b-2"] {
        let mut request = enrollment(name, 1, Some(&token));
        if name == "b-2" {
            request.model = model("esp32");
            request.version = "2.0.0".into();
        }
        fleet.enroll(&request).await.unwrap();
    }
    fleet.enroll(&enrollment("waiting", 1, None)).await.unwrap();
    let find = async |filter: DeviceFilter| {
        let mut found: Vec<String> = names(&fleet.devices(&filter).await.unwrap().items)
            .into_iter()
            .map(str::to_owned)
            .collect();
        found.sort();
        found
    };
    let search = async |text: &str| {
        find(DeviceFilter {
            search: Some(text.into()),
            ..DeviceFilter::default()
        })
        .await
    };
    // What means something else in patterns means itself here.
    assert_eq!(search("_").await, ["a_1"]);
    assert_eq!(search("%").await, ["a%1"]);
    assert_eq!(search("AX").await, ["aX1"]);
    assert_eq!(search("ro-").await, ["Büro-1"]);
    assert_eq!(search("").await.len(), 6);
    assert_eq!(
        find(DeviceFilter {
            model: Some(model("esp32")),
            ..DeviceFilter::default()
        })
        .await,
        ["b-2"]
    );
    assert_eq!(
        find(DeviceFilter {
            version: Some("2.0.0".into()),
            ..DeviceFilter::default()
        })
        .await,
        ["b-2"]
    );
    assert_eq!(
        find(DeviceFilter {
            state: Some(DeviceState::Pending),
            ..DeviceFilter::default()
        })
        .await,
        ["waiting"]
    );

    let mut filter = DeviceFilter {
        limit: Some(2),
        ..DeviceFilter::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = fleet.devices(&filter).await.unwrap();
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|device| device.id));
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            break;
        }
    }
    let all = fleet.devices(&DeviceFilter::default()).await.unwrap().items;
    assert_eq!(
        seen,
        all.into_iter().map(|device| device.id).collect::<Vec<_>>()
    );
    assert_eq!(seen.len(), 6);
    assert_eq!(
        fleet.models().await.unwrap(),
        [model("esp32"), model(MODEL)]
    );
    refuses(
        fleet.device(&id("nobody")).await,
        ProblemCode::NotFound,
        "nobody",
    );
});

each_database!(
    a_patch_changes_what_it_names_and_is_seen_at_once,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        let token = enroll(fleet, "gw-1").await;
        fleet.device_by_token(&token).await.unwrap();
        let gw = id("gw-1");
        let labels = Some([("floor".to_owned(), "2".to_owned())].into());
        let patch = DevicePatch {
            labels,
            group: Some("canary".into()),
            hold: Some("on loan".into()),
        };
        let changed = fleet.patch_device(&ann(), &gw, &patch).await.unwrap();
        assert_eq!(changed.hold.as_deref(), Some("on loan"));
        let known = fleet.device_by_token(&token).await.unwrap();
        assert_eq!(known.device.group, changed.group);
        assert_eq!(
            known.device.labels.get("floor").map(String::as_str),
            Some("2")
        );

        let before = world.actions().await;
        fleet.patch_device(&ann(), &gw, &patch).await.unwrap();
        fleet
            .patch_device(&ann(), &gw, &DevicePatch::default())
            .await
            .unwrap();
        assert_eq!(
            world.actions().await,
            before,
            "what changes nothing is no event"
        );

        let let_go = DevicePatch {
            hold: Some(String::new()),
            ..DevicePatch::default()
        };
        assert_eq!(
            fleet.patch_device(&ann(), &gw, &let_go).await.unwrap().hold,
            None
        );
        let event = world.events("device.patch").await.remove(1);
        assert_eq!(event.before, Some(serde_json::json!({"hold": "on loan"})));
        assert_eq!(event.after, Some(serde_json::json!({"hold": null})));

        let nowhere = DevicePatch {
            group: Some("nowhere".into()),
            ..DevicePatch::default()
        };
        refuses_field(fleet.patch_device(&ann(), &gw, &nowhere).await, "group");
        let bad = DevicePatch {
            labels: Some([(String::new(), String::new())].into()),
            ..DevicePatch::default()
        };
        refuses_field(fleet.patch_device(&ann(), &gw, &bad).await, "labels.");
        refuses(
            fleet.patch_device(&ann(), &id("nobody"), &patch).await,
            ProblemCode::NotFound,
            "nobody",
        );
    }
);

each_database!(who_is_decommissioned_never_comes_back, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let token = enroll(fleet, "gw-1").await;
    let gw = id("gw-1");
    let gone = fleet
        .decommission_device(&ann(), &gw, "scrapped")
        .await
        .unwrap();
    assert_eq!(gone.state, DeviceState::Decommissioned);
    assert_eq!(
        fleet.decommission_device(&ann(), &gw, "").await.unwrap(),
        gone
    );
    refuses(
        fleet.device_by_token(&token).await,
        ProblemCode::Unauthenticated,
        "",
    );
    refuses(
        fleet.enroll(&enrollment("gw-1", 1, None)).await,
        ProblemCode::Forbidden,
        "decommissioned",
    );
    refuses(
        fleet.revoke_device(&ann(), &gw, "").await,
        ProblemCode::Conflict,
        "decommissioned",
    );
    refuses(
        fleet.accept_device(&ann(), &gw, &Default::default()).await,
        ProblemCode::Conflict,
        "decommissioned",
    );
    assert_eq!(world.events("device.decommission").await.len(), 1);
});

each_database!(groups_are_made_changed_and_removed, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let mut rings = RINGS.to_vec();
    rings.sort_unstable();
    let listed = async || {
        fleet
            .groups()
            .await
            .unwrap()
            .into_iter()
            .map(|group| group.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed().await, rings);
    let shop = group("shop");
    assert_eq!(fleet.put_group(&ann(), &shop).await.unwrap(), shop);
    assert_eq!(fleet.put_group(&ann(), &shop).await.unwrap(), shop);
    let token = enroll(fleet, "gw-1").await;
    let known = fleet.device_by_token(&token).await.unwrap();
    assert!(
        fleet.plan().is_member(&known.device, &shop.name),
        "the selector takes it in"
    );

    let into = DevicePatch {
        group: Some("shop".into()),
        ..DevicePatch::default()
    };
    fleet
        .patch_device(&ann(), &id("gw-1"), &into)
        .await
        .unwrap();
    fleet.device_by_token(&token).await.unwrap();
    fleet.delete_group(&ann(), &shop.name).await.unwrap();
    let known = fleet.device_by_token(&token).await.unwrap();
    assert_eq!(known.device.group, None);
    assert!(!fleet.plan().is_member(&known.device, &shop.name));
    assert_eq!(listed().await, rings);
    refuses(
        fleet.delete_group(&ann(), &shop.name).await,
        ProblemCode::NotFound,
        "shop",
    );
    refuses(
        fleet
            .delete_group(&ann(), &GroupName::new("canary").unwrap())
            .await,
        ProblemCode::Conflict,
        "rings",
    );
    assert_eq!(world.events("group.*").await.len(), RINGS.len() + 2);
});

each_database!(a_group_that_a_rollout_speaks_of_stays, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    fleet.put_group(&ann(), &group("shop")).await.unwrap();
    let release = Publisher::set_up(world).await.publish(world, "1.0.0").await;
    let spec = serde_json::json!({
        "name": "r", "release": release.id, "phases": [{"name": "p", "scope": {"kind": "group", "group": "shop"}}],
    });
    let rollout = fleet
        .create_rollout(&ann(), &serde_json::from_value(spec).unwrap(), false)
        .await
        .unwrap();
    let shop = GroupName::new("shop").unwrap();
    refuses(
        fleet.delete_group(&ann(), &shop).await,
        ProblemCode::Conflict,
        "Rollout",
    );
    fleet
        .steer_rollout(
            &ann(),
            rollout.id,
            otter_protocol::rollout::Steering::Abort(otter_protocol::rollout::UnderWay::Cancel),
            "",
        )
        .await
        .unwrap();
    fleet.delete_group(&ann(), &shop).await.unwrap();
});

each_database!(the_overview_counts, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let token = fleet
        .create_enrollment_token(&ann(), &open_token())
        .await
        .unwrap()
        .secret;
    for (name, version) in [("a", "1.9.0"), ("b", "1.10.0"), ("c", "1.10.0")] {
        let mut request = enrollment(name, 1, Some(&token));
        request.version = version.into();
        accepted(fleet.enroll(&request).await.unwrap());
    }
    fleet.enroll(&enrollment("d", 1, None)).await.unwrap();
    let waiting = draft(world, "2.0.0").await;
    let overview = fleet.overview().await.unwrap();
    assert_eq!(
        overview.devices_by_state,
        [("accepted".to_owned(), 3), ("pending".to_owned(), 1)].into()
    );
    let versions: Vec<_> = overview
        .versions
        .iter()
        .map(|count| (count.version.as_str(), count.devices))
        .collect();
    assert_eq!(versions, [("1.10.0", 2), ("1.9.0", 1)]);
    assert_eq!(overview.drafts, [waiting]);
    assert_eq!(
        (
            overview.online,
            overview.last_day.finished(),
            overview.rollouts.len()
        ),
        (0, 0, 0)
    );
});

each_database!(a_device_that_leaves_ends_its_attempt, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let token = enroll(fleet, "gw-1").await;
    let release = Publisher::set_up(world).await.publish(world, "1.1.0").await;
    let spec = serde_json::json!({
        "name": "r", "release": release.id, "phases": [{"name": "p", "scope": {"kind": "share", "share": 100.0}}],
    });
    let spec = serde_json::from_value(spec).unwrap();
    let rollout = fleet.create_rollout(&ann(), &spec, false).await.unwrap();
    let known = fleet.device_by_token(&token).await.unwrap();
    let check_in = CheckIn {
        version: "1.0.0".into(),
        ..CheckIn::default()
    };
    let reply = fleet.check_in(&known, check_in).await.unwrap();
    assert!(
        matches!(reply.instruction, Instruction::Install(_)),
        "{reply:?}"
    );
    assert_eq!(
        fleet
            .rollout(rollout.id)
            .await
            .unwrap()
            .summary
            .total
            .under_way,
        1
    );

    fleet
        .revoke_device(&ann(), &id("gw-1"), "stolen")
        .await
        .unwrap();
    let device = fleet.device(&id("gw-1")).await.unwrap();
    assert_eq!(device.attempts[0].summary.state, AttemptState::Cancelled);
    let total = fleet.rollout(rollout.id).await.unwrap().summary.total;
    assert_eq!(
        (total.under_way, total.cancelled, total.finished()),
        (0, 1, 0)
    );
    assert_eq!(
        device.rollout_names.get(&rollout.id).map(String::as_str),
        Some("r")
    );
});
