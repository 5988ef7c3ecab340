//! How devices come in, and who doesn't.

use otter_fleet::Fleet;
use otter_protocol::admin::{DeviceFilter, KeyDecision, NewEnrollmentToken};
use otter_protocol::check_in::EnrollReply;
use otter_protocol::device::DeviceState;
use otter_protocol::{GroupName, ProblemCode, Sha256Digest};

use crate::common::devices::{MODEL, accepted, enroll, enrollment, id, model, open_token};
use crate::common::{World, ann, each_database, refuses, refuses_field};

async fn token(fleet: &Fleet, new: NewEnrollmentToken) -> String {
    fleet
        .create_enrollment_token(&ann(), &new)
        .await
        .unwrap()
        .secret
}

async fn known_devices(fleet: &Fleet) -> Vec<String> {
    let devices = fleet.devices(&DeviceFilter::default()).await.unwrap().items;
    devices
        .into_iter()
        .map(|device| device.id.to_string())
        .collect()
}

each_database!(a_token_lets_in_and_puts_in_its_group, |database| {
    let world = &World::new(database).await;
    let canary = Some(GroupName::new("canary").unwrap());
    let secret = token(
        &world.fleet,
        NewEnrollmentToken {
            group: canary.clone(),
            ..open_token()
        },
    )
    .await;
    assert!(secret.starts_with("ote_"));
    let reply = world
        .fleet
        .enroll(&enrollment("gw-1", 1, Some(&secret)))
        .await
        .unwrap();
    let device_token = accepted(reply);
    assert!(device_token.starts_with("otd_"));
    assert_eq!(
        world
            .fleet
            .device_by_token(&device_token)
            .await
            .unwrap()
            .device
            .id,
        id("gw-1")
    );

    let device = world.fleet.device(&id("gw-1")).await.unwrap();
    assert_eq!(
        (device.summary.state, device.summary.group),
        (DeviceState::Accepted, canary)
    );
    assert_eq!(
        device.metadata.get("location").map(String::as_str),
        Some("shop")
    );
    assert_eq!(world.fleet.enrollment_tokens().await.unwrap()[0].used, 1);
    let events = world.events("device.enroll").await;
    assert_eq!((events.len(), events[0].actor.as_str()), (1, "device:gw-1"));
    let all = serde_json::to_string(&world.events("*").await).unwrap();
    assert!(
        !all.contains(&secret[4..]) && !all.contains(&device_token[4..]),
        "a secret is in the audit log"
    );
});

each_database!(a_quota_is_kept_also_by_two_servers_at_once, |database| {
    let world = &World::new(database).await;
    let secret = token(
        &world.fleet,
        NewEnrollmentToken {
            quota: Some(3),
            ..open_token()
        },
    )
    .await;
    let other = world.another_server().await;
    let enrollments = (0..12).map(|n: u8| {
        let fleet = if n.is_multiple_of(2) {
            world.fleet.clone()
        } else {
            other.clone()
        };
        let request = enrollment(&format!("gw-{n}"), n, Some(&secret));
        tokio::spawn(async move { fleet.enroll(&request).await })
    });
    let mut let_in = 0;
    for enrollment in futures::future::join_all(enrollments).await {
        match enrollment.unwrap() {
            Ok(reply) => {
                accepted(reply);
                let_in += 1;
            }
            Err(error) => refuses::<()>(Err(error), ProblemCode::Unauthenticated, "3 devices"),
        }
    }
    assert_eq!(let_in, 3);
    assert_eq!(known_devices(&world.fleet).await.len(), 3);
    assert_eq!(world.fleet.enrollment_tokens().await.unwrap()[0].used, 3);
});

each_database!(a_token_that_does_not_count_lets_nobody_in, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let ends = Some(world.now().plus_sec(60));
    let ended = token(
        fleet,
        NewEnrollmentToken {
            expires_at: ends,
            ..open_token()
        },
    )
    .await;
    world.pass_sec(60);
    let others = token(
        fleet,
        NewEnrollmentToken {
            models: vec![model("esp32")],
            ..open_token()
        },
    )
    .await;
    let taken_back = fleet
        .create_enrollment_token(&ann(), &open_token())
        .await
        .unwrap();
    fleet
        .revoke_enrollment_token(&ann(), taken_back.made.id)
        .await
        .unwrap();

    for (secret, why) in [
        (ended.as_str(), "has ended"),
        (others.as_str(), MODEL),
        (taken_back.secret.as_str(), "taken back"),
        ("ote_unknown", "unknown"),
    ] {
        let request = enrollment("gw-1", 1, Some(secret));
        refuses(
            fleet.enroll(&request).await,
            ProblemCode::Unauthenticated,
            why,
        );
    }
    assert_eq!(known_devices(fleet).await, Vec::<String>::new());
    assert_eq!(world.events("device.enroll").await, []);
});

each_database!(a_proof_must_be_the_keys_own_over_this_request, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let secret = token(fleet, open_token()).await;
    let good = enrollment("gw-1", 1, Some(&secret));
    let mut of_another_key = good.clone();
    of_another_key.proof = enrollment("gw-1", 2, Some(&secret)).proof;
    let mut for_another_device = good.clone();
    for_another_device.id = id("gw-2");
    let mut for_another_token = good.clone();
    for_another_token.enrollment_token = None;
    let mut nonsense = good.clone();
    nonsense.proof = "no hex".to_owned();
    for request in [
        of_another_key,
        for_another_device,
        for_another_token,
        nonsense,
    ] {
        refuses(
            fleet.enroll(&request).await,
            ProblemCode::Unauthenticated,
            "proof",
        );
    }
    let mut no_key = good.clone();
    no_key.public_key = "00".to_owned();
    refuses_field(fleet.enroll(&no_key).await, "public_key");
    assert_eq!(known_devices(fleet).await, Vec::<String>::new());
    fleet.enroll(&good).await.unwrap();
});

each_database!(its_own_key_gets_a_device_a_new_token, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let first = enroll(fleet, "gw-1").await;
    fleet.device_by_token(&first).await.unwrap();
    let second = accepted(fleet.enroll(&enrollment("gw-1", 1, None)).await.unwrap());
    assert_ne!(first, second);
    refuses(
        fleet.device_by_token(&first).await,
        ProblemCode::Unauthenticated,
        "enroll",
    );
    fleet.device_by_token(&second).await.unwrap();
});

each_database!(without_a_token_a_device_waits_for_an_operator, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let request = enrollment("gw-1", 1, None);
    let key: Vec<u8> = hex::decode(&request.public_key).unwrap();
    for _ in 0..3 {
        let reply = fleet.enroll(&request).await.unwrap();
        assert_eq!(
            reply,
            EnrollReply::Pending {
                fingerprint: Sha256Digest::of(&key),
                retry_after_sec: 30
            }
        );
    }
    assert_eq!(world.actions().await, ["device.enroll"]);
    assert_eq!(
        fleet.device(&id("gw-1")).await.unwrap().fingerprint,
        Some(Sha256Digest::of(&key))
    );

    let accepted_by_ann = fleet
        .accept_device(&ann(), &id("gw-1"), &KeyDecision::default())
        .await
        .unwrap();
    assert_eq!(accepted_by_ann.state, DeviceState::Accepted);
    let device_token = accepted(fleet.enroll(&request).await.unwrap());
    fleet.device_by_token(&device_token).await.unwrap();
    assert_eq!(
        world.actions().await,
        ["device.enroll", "device.accept", "device.enroll"]
    );
});

each_database!(a_revoked_device_stays_out, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let device_token = enroll(fleet, "gw-1").await;
    fleet.device_by_token(&device_token).await.unwrap();
    fleet
        .revoke_device(&ann(), &id("gw-1"), "stolen")
        .await
        .unwrap();
    refuses(
        fleet.device_by_token(&device_token).await,
        ProblemCode::Unauthenticated,
        "",
    );
    let secret = token(fleet, open_token()).await;
    for offered in [None, Some(secret.as_str())] {
        refuses(
            fleet.enroll(&enrollment("gw-1", 1, offered)).await,
            ProblemCode::Forbidden,
            "revoked",
        );
    }
    refuses(
        fleet
            .accept_device(&ann(), &id("gw-1"), &KeyDecision::default())
            .await,
        ProblemCode::Conflict,
        "revoked",
    );
    let event = world.events("device.revoke").await.remove(0);
    assert_eq!(
        event.after,
        Some(serde_json::json!({"state": "revoked", "reason": "stolen"}))
    );
});

each_database!(tokens_that_make_no_sense_are_refused, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let nowhere = Some(GroupName::new("nowhere").unwrap());
    for (new, field) in [
        (
            NewEnrollmentToken {
                name: String::new(),
                ..open_token()
            },
            "name",
        ),
        (
            NewEnrollmentToken {
                quota: Some(0),
                ..open_token()
            },
            "quota",
        ),
        (
            NewEnrollmentToken {
                expires_at: Some(world.now()),
                ..open_token()
            },
            "expires_at",
        ),
        (
            NewEnrollmentToken {
                group: nowhere,
                ..open_token()
            },
            "group",
        ),
    ] {
        refuses_field(fleet.create_enrollment_token(&ann(), &new).await, field);
    }
    refuses(
        fleet.revoke_enrollment_token(&ann(), 99).await,
        ProblemCode::NotFound,
        "99",
    );
    assert_eq!(world.actions().await, Vec::<String>::new());
});
