//! Devices' keys: held, accepted, rejected, changed.

use std::time::{Duration, Instant};

use ed25519_dalek::{Signer, SigningKey};
use otter_fleet::Fleet;
use otter_protocol::admin::{KeyDecision, KeyDecisions, KeyOf};
use otter_protocol::check_in::{EnrollReply, RotateRequest, rotation_message};
use otter_protocol::device::DeviceState;
use otter_protocol::{ProblemCode, Sha256Digest};
use tokio_util::sync::CancellationToken;

use crate::common::devices::{accepted, enroll, enrollment, id};
use crate::common::{World, ann, each_database, refuses};

/// The fingerprint of the key that a seed makes.
fn fingerprint(seed: u8) -> Sha256Digest {
    let key = SigningKey::from_bytes(&[seed; 32]);
    Sha256Digest::of(key.verifying_key().as_bytes())
}

fn about(seed: u8) -> KeyDecision {
    KeyDecision {
        fingerprint: Some(fingerprint(seed)),
        reason: "checked by phone".to_owned(),
    }
}

/// A change to another seed's key, with the token that a device has.
fn rotation(device: &str, from: u8, to: u8, token: &str) -> RotateRequest {
    let (from, to) = (
        SigningKey::from_bytes(&[from; 32]),
        SigningKey::from_bytes(&[to; 32]),
    );
    let public_key = hex::encode(to.verifying_key().as_bytes());
    let token = Sha256Digest::of(token.as_bytes());
    let message = rotation_message(&id(device), Some(token), &public_key);
    RotateRequest {
        public_key,
        proof: hex::encode(from.sign(&message).to_bytes()),
        new_proof: hex::encode(to.sign(&message).to_bytes()),
    }
}

async fn counts(fleet: &Fleet, token: &str) -> bool {
    match fleet.device_by_token(token).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.to_problem().code, ProblemCode::Unauthenticated);
            false
        }
    }
}

fn is_pending(reply: &EnrollReply) -> bool {
    matches!(reply, EnrollReply::Pending { .. })
}

each_database!(another_key_is_held_and_changes_nothing, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let token = enroll(fleet, "gw-1").await;
    for _ in 0..3 {
        let reply = fleet.enroll(&enrollment("gw-1", 2, None)).await.unwrap();
        assert!(is_pending(&reply), "{reply:?}");
    }
    assert_eq!(world.events("device.hold_key").await.len(), 1);
    refuses(
        fleet.enroll(&enrollment("gw-1", 3, None)).await,
        ProblemCode::Conflict,
        "third",
    );
    assert!(counts(fleet, &token).await);
    let device = fleet.device(&id("gw-1")).await.unwrap();
    assert_eq!(device.fingerprint, Some(fingerprint(1)));
    assert_eq!(device.held_key.unwrap().fingerprint, fingerprint(2));
    let waiting = fleet.waiting_keys(10).await.unwrap().remove(0);
    assert_eq!(waiting.fingerprint, fingerprint(2));
    assert_eq!(waiting.replaces, Some(fingerprint(1)));

    fleet
        .reject_device(&ann(), &id("gw-1"), &about(2))
        .await
        .unwrap();
    assert_eq!(fleet.waiting_keys(10).await.unwrap(), []);
    assert!(counts(fleet, &token).await);
    let event = world.events("device.reject_key").await.remove(0);
    assert_eq!(event.after.unwrap()["reason"], "checked by phone");
});

each_database!(
    a_held_key_that_is_accepted_ends_the_former_one,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        let token = enroll(fleet, "gw-1").await;
        fleet.enroll(&enrollment("gw-1", 2, None)).await.unwrap();
        refuses(
            fleet.accept_device(&ann(), &id("gw-1"), &about(3)).await,
            ProblemCode::Conflict,
            "fingerprint",
        );
        assert!(counts(fleet, &token).await);
        fleet
            .accept_device(&ann(), &id("gw-1"), &about(2))
            .await
            .unwrap();
        assert!(!counts(fleet, &token).await);
        let token = accepted(fleet.enroll(&enrollment("gw-1", 2, None)).await.unwrap());
        assert!(counts(fleet, &token).await);
        // Now the first key is the other one.
        let reply = fleet.enroll(&enrollment("gw-1", 1, None)).await.unwrap();
        assert!(is_pending(&reply), "{reply:?}");
        refuses(
            fleet
                .accept_device(&ann(), &id("gw-2"), &KeyDecision::default())
                .await,
            ProblemCode::NotFound,
            "gw-2",
        );
    }
);

each_database!(
    a_stolen_device_comes_back_only_with_an_operator,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        enroll(fleet, "gw-1").await;
        fleet.enroll(&enrollment("gw-1", 2, None)).await.unwrap();
        fleet
            .revoke_device(&ann(), &id("gw-1"), "stolen")
            .await
            .unwrap();
        assert_eq!(fleet.waiting_keys(10).await.unwrap(), [], "ended with it");
        let reply = fleet.enroll(&enrollment("gw-1", 2, None)).await.unwrap();
        assert!(is_pending(&reply), "{reply:?}");
        let back = fleet
            .accept_device(&ann(), &id("gw-1"), &about(2))
            .await
            .unwrap();
        assert_eq!(back.state, DeviceState::Accepted);
        accepted(fleet.enroll(&enrollment("gw-1", 2, None)).await.unwrap());

        fleet
            .decommission_device(&ann(), &id("gw-1"), "scrapped")
            .await
            .unwrap();
        for seed in [1, 2] {
            refuses(
                fleet.enroll(&enrollment("gw-1", seed, None)).await,
                ProblemCode::Forbidden,
                "decommissioned",
            );
        }
        let story = fleet.device(&id("gw-1")).await.unwrap();
        assert_eq!(story.summary.state, DeviceState::Decommissioned);
    }
);

each_database!(many_keys_are_decided_on_at_once, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    for seed in 1..=4 {
        let request = enrollment(&format!("gw-{seed}"), seed, None);
        fleet.enroll(&request).await.unwrap();
    }
    let of = |devices: &[(&str, u8)]| KeyDecisions {
        devices: devices
            .iter()
            .map(|(device, seed)| KeyOf {
                id: id(device),
                fingerprint: fingerprint(*seed),
            })
            .collect(),
        reason: "delivered today".to_owned(),
    };
    let wanted = of(&[("gw-1", 1), ("gw-2", 9), ("gw-3", 3), ("gw-9", 9)]);
    let done = fleet.accept_devices(&ann(), &wanted).await.unwrap();
    assert_eq!(done.decided, [id("gw-1"), id("gw-3")]);
    let failed: Vec<_> = done.failed.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(failed, ["gw-2", "gw-9"]);
    let unwanted = of(&[("gw-2", 2), ("gw-1", 1)]);
    let done = fleet.reject_devices(&ann(), &unwanted).await.unwrap();
    assert_eq!(done.decided, [id("gw-2")]);
    assert_eq!(done.failed.len(), 1, "gw-1 is accepted already");
    accepted(fleet.enroll(&enrollment("gw-1", 1, None)).await.unwrap());
    refuses(
        fleet.enroll(&enrollment("gw-2", 2, None)).await,
        ProblemCode::Forbidden,
        "revoked",
    );
    let waiting = fleet.waiting_keys(10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].id, id("gw-4"));
});

each_database!(a_device_changes_its_key_and_its_token, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let first = enroll(fleet, "gw-1").await;
    let known = fleet.device_by_token(&first).await.unwrap();
    let forged = [
        rotation("gw-1", 7, 2, &first),
        rotation("gw-2", 1, 2, &first),
        rotation("gw-1", 1, 2, "otd_another"),
        RotateRequest {
            public_key: rotation("gw-1", 1, 3, &first).public_key,
            ..rotation("gw-1", 1, 2, &first)
        },
        RotateRequest {
            new_proof: rotation("gw-1", 1, 3, &first).new_proof,
            ..rotation("gw-1", 1, 2, &first)
        },
    ];
    for request in forged {
        refuses(
            fleet.rotate_device(&known, &request).await,
            ProblemCode::Unauthenticated,
            "proofs",
        );
    }
    let request = rotation("gw-1", 1, 2, &first);
    let second = fleet.rotate_device(&known, &request).await.unwrap();
    assert!(!counts(fleet, &first).await);
    assert!(counts(fleet, &second.device_token).await);
    refuses(
        fleet.rotate_device(&known, &request).await,
        ProblemCode::Unauthenticated,
        "any more",
    );
    let device = fleet.device(&id("gw-1")).await.unwrap();
    assert_eq!(device.fingerprint, Some(fingerprint(2)));
    let former = fleet.enroll(&enrollment("gw-1", 1, None)).await.unwrap();
    assert!(is_pending(&former), "the former key is another's now");
    accepted(fleet.enroll(&enrollment("gw-1", 2, None)).await.unwrap());
    let event = world.events("device.rotate").await.remove(0);
    assert_eq!(event.actor, "device:gw-1");
    assert_eq!(
        event.after.unwrap()["fingerprint"],
        fingerprint(2).to_string()
    );
});

each_database!(what_one_server_ends_has_ended_on_the_other, |database| {
    let world = &World::new(database).await;
    let (here, there) = (&world.fleet, world.another_server().await);
    let stop = CancellationToken::new();
    let serving = [here.clone(), there.clone()].map(|fleet| {
        let stop = stop.clone();
        tokio::spawn(async move { fleet.run(stop).await })
    });
    let ends = async |token: &str| {
        let begun = Instant::now();
        while counts(&there, token).await {
            assert!(begun.elapsed() < Duration::from_secs(20), "it still counts");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let first = enroll(here, "gw-1").await;
    assert!(counts(&there, &first).await);
    let known = here.device_by_token(&first).await.unwrap();
    let request = rotation("gw-1", 1, 2, &first);
    let second = here.rotate_device(&known, &request).await.unwrap();
    ends(&first).await;
    assert!(counts(&there, &second.device_token).await);

    here.revoke_device(&ann(), &id("gw-1"), "lost")
        .await
        .unwrap();
    ends(&second.device_token).await;

    let third = enroll(here, "gw-2").await;
    assert!(counts(&there, &third).await);
    let by_certificate = async || there.device_by_certificate(&id("gw-2")).await;
    by_certificate().await.unwrap();
    here.decommission_device(&ann(), &id("gw-2"), "")
        .await
        .unwrap();
    ends(&third).await;
    refuses(by_certificate().await, ProblemCode::Unauthenticated, "gw-2");
    stop.cancel();
    for one in serving {
        one.await.unwrap();
    }
});
