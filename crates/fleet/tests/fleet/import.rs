//! Devices registered in bulk, before they enroll.

use otter_protocol::admin::{DeviceFilter, ImportDevice, Imported, NewEnrollmentToken, Place};
use otter_protocol::check_in::EnrollReply;
use otter_protocol::device::DeviceState;
use otter_protocol::{GroupName, ProblemCode};
use serde_json::json;

use crate::common::devices::{MODEL, accepted, enroll, enrollment, id, model, open_token};
use crate::common::{World, ann, each_database, problem, refuses};

fn device(name: &str) -> ImportDevice {
    serde_json::from_value(json!({"id": name, "model": MODEL})).unwrap()
}

fn placed(devices: impl IntoIterator<Item = ImportDevice>) -> Vec<(Place, ImportDevice)> {
    (1..).map(Place::Line).zip(devices).collect()
}

fn group(name: &str) -> Option<GroupName> {
    Some(GroupName::new(name).unwrap())
}

async fn token_into(world: &World, name: Option<&str>) -> String {
    let new = NewEnrollmentToken {
        group: name.and_then(group),
        ..open_token()
    };
    let made = world.fleet.create_enrollment_token(&ann(), &new).await;
    made.unwrap().secret
}

each_database!(
    new_ones_are_registered_and_known_ones_stay_as_they_are,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        enroll(fleet, "gw-1").await;
        let before = fleet.device(&id("gw-1")).await.unwrap();
        let mut taken = device("gw-1");
        (taken.model, taken.group) = (model("esp32"), group("canary"));
        let mut new = device("gw-2");
        new.version = "0.9.0".into();
        new.group = group("pilot");
        new.labels = [("site".to_owned(), "north".to_owned())].into();
        new.metadata = [("serial".to_owned(), "7".to_owned())].into();
        new.hold = Some("in the shop".to_owned());
        let batch = placed([taken, new, device("gw-10")]);

        let imported = fleet.import_devices(&ann(), &batch).await.unwrap();
        assert_eq!((imported.created, imported.known), (2, 1));
        let after = fleet.device(&id("gw-1")).await.unwrap();
        assert_eq!(after.summary, before.summary);
        let found = fleet.device(&id("gw-2")).await.unwrap();
        assert_eq!(found.summary.state, DeviceState::Accepted);
        assert_eq!(found.summary.version, "0.9.0".into());
        assert_eq!(found.summary.group, group("pilot"));
        assert_eq!(found.summary.hold.as_deref(), Some("in the shop"));
        assert_eq!(found.summary.labels["site"], "north");
        assert_eq!(found.metadata["serial"], "7");
        assert_eq!(
            (found.fingerprint, found.summary.last_seen_at),
            (None, None)
        );

        let again = fleet.import_devices(&ann(), &batch).await.unwrap();
        assert_eq!((again.created, again.known), (0, 3));
        let events = world.events("device.import").await;
        let only: Vec<_> = events.iter().map(|event| event.after.clone()).collect();
        assert_eq!(
            only,
            [Some(
                json!({"devices": 2, "first": "gw-10", "last": "gw-2"})
            )]
        );
        assert!(fleet.verify_audit().await.unwrap().broken_at.is_none());
    }
);

each_database!(
    a_registered_key_is_let_in_at_once_and_another_is_not,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        let mut known = device("gw-1");
        known.public_key = Some(enrollment("gw-1", 1, None).public_key.to_uppercase());
        known.group = group("pilot");
        fleet
            .import_devices(&ann(), &placed([known]))
            .await
            .unwrap();

        let token = token_into(world, Some("canary")).await;
        for offered in [None, Some(token.as_str())] {
            let other = fleet.enroll(&enrollment("gw-1", 2, offered)).await;
            assert!(
                matches!(other, Ok(EnrollReply::Pending { .. })),
                "{other:?}"
            );
        }
        let device_token = accepted(fleet.enroll(&enrollment("gw-1", 1, None)).await.unwrap());
        let seen = fleet.device_by_token(&device_token).await.unwrap();
        assert_eq!(seen.device.group, group("pilot"));
        // What it says of itself at last goes before what was said of it.
        assert_eq!(seen.device.version, "1.0.0".into());
        assert_eq!(seen.device.metadata["location"], "shop");
    }
);

each_database!(
    without_a_key_it_takes_a_token_and_its_place_is_kept,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        let mut known = device("gw-1");
        known.group = group("pilot");
        known.labels = [("site".to_owned(), "north".to_owned())].into();
        let batch = placed([known, device("gw-2")]);
        fleet.import_devices(&ann(), &batch).await.unwrap();

        let bare = fleet.enroll(&enrollment("gw-1", 1, None)).await;
        refuses(bare, ProblemCode::Unauthenticated, "enrollment token");
        let token = token_into(world, Some("canary")).await;
        for name in ["gw-1", "gw-2"] {
            let request = enrollment(name, 1, Some(&token));
            accepted(fleet.enroll(&request).await.unwrap());
        }
        let first = fleet.device(&id("gw-1")).await.unwrap();
        assert_eq!(first.summary.group, group("pilot"));
        assert_eq!(first.summary.labels["site"], "north");
        assert!(first.fingerprint.is_some());
        let second = fleet.device(&id("gw-2")).await.unwrap();
        assert_eq!(second.summary.group, group("canary"));
        assert_eq!(fleet.enrollment_tokens().await.unwrap()[0].used, 2);
        // From now on it has a key.
        let other = fleet.enroll(&enrollment("gw-1", 2, Some(&token))).await;
        assert!(
            matches!(other, Ok(EnrollReply::Pending { .. })),
            "{other:?}"
        );
        let event = world.events("device.enroll").await.remove(0);
        assert_eq!(event.before.unwrap()["fingerprint"], json!(null));
    }
);

each_database!(a_revoked_one_without_a_key_stays_out, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    fleet
        .import_devices(&ann(), &placed([device("gw-1")]))
        .await
        .unwrap();
    fleet
        .revoke_device(&ann(), &id("gw-1"), "lost")
        .await
        .unwrap();
    let token = token_into(world, None).await;
    let request = enrollment("gw-1", 1, Some(&token));
    refuses(
        fleet.enroll(&request).await,
        ProblemCode::Forbidden,
        "revoked",
    );
});

each_database!(
    what_is_wrong_is_named_by_its_line_and_nothing_is_taken,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        let mut nowhere = device("b");
        nowhere.group = group("nowhere");
        let mut no_key = device("b");
        no_key.public_key = Some("00".to_owned());
        let mut bad_label = device("b");
        bad_label.labels = [(" ".to_owned(), "x".to_owned())].into();
        let mut long = device("b");
        long.metadata = [("k".to_owned(), "x".repeat(1025))].into();
        for (bad, field) in [
            (nowhere, "line 2: group"),
            (no_key, "line 2: public_key"),
            (bad_label, "line 2: labels. "),
            (long, "line 2: metadata.k"),
            (device("a"), "line 2: id"),
        ] {
            let batch = placed([device("a"), bad]);
            let problem = problem(fleet.import_devices(&ann(), &batch).await);
            assert_eq!(problem.field.as_deref(), Some(field), "{}", problem.detail);
            assert!(problem.detail.contains("line 2"), "{}", problem.detail);
        }
        let many = placed((0..10_001).map(|number| device(&format!("d{number}"))));
        refuses(
            fleet.import_devices(&ann(), &many).await,
            ProblemCode::TooLarge,
            "10001",
        );
        let found = fleet.devices(&DeviceFilter::default()).await.unwrap();
        assert!(found.items.is_empty());
        assert_eq!(world.actions().await, Vec::<String>::new());
    }
);

each_database!(
    two_servers_that_import_the_same_count_each_device_once,
    |database| {
        let world = &World::new(database).await;
        let other = world.another_server().await;
        let batch = placed((0..3000).map(|number| device(&format!("d{number:04}"))));
        let actor = ann();
        let (one, two) = tokio::join!(
            world.fleet.import_devices(&actor, &batch),
            other.import_devices(&actor, &batch)
        );
        let (one, two): (Imported, Imported) = (one.unwrap(), two.unwrap());
        assert_eq!(one.created + two.created, 3000);
        assert_eq!(one.known + two.known, 3000);
    }
);
