//! Which keys count, and how the server keeps its own signatures fresh.

use otter_protocol::ProblemCode;
use otter_trust::{Document, RoleKeys};

use crate::common::metadata::{file, verify_as_device};
use crate::common::publisher::{Publisher, YEAR, key, sign};
use crate::common::{World, ann, each_database, refuses};

each_database!(a_root_must_follow_the_one_before, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let mut publisher = Publisher::new(world.now(), &fleet.online_keys().await.unwrap());
    let root = publisher.root.clone();
    publisher.root.version = 2;
    refuses(
        fleet.put_root(&ann(), &publisher.signed_root()).await,
        ProblemCode::Untrusted,
        "version 1",
    );
    publisher.root = root.clone();
    publisher.root.timestamp = RoleKeys::new([key(9).public()], 1);
    refuses(
        fleet.put_root(&ann(), &publisher.signed_root()).await,
        ProblemCode::Untrusted,
        "timestamp keys",
    );
    publisher.root = root.clone();
    let unsigned = sign(root.to_document().unwrap(), &[]);
    refuses(
        fleet.put_root(&ann(), &unsigned).await,
        ProblemCode::Untrusted,
        "0 of the 1",
    );
    assert_eq!(fleet.trust_status().await.unwrap().root_version, None);
    fleet
        .put_root(&ann(), &publisher.signed_root())
        .await
        .unwrap();

    let mut next = root.next(world.now().to_jiff(), YEAR).unwrap();
    next.root = RoleKeys::new([key(103).public()], 1);
    let document = next.to_document().unwrap();
    for signers in [vec![&publisher.root_key], vec![]] {
        refuses(
            fleet
                .put_root(&ann(), &sign(document.clone(), &signers))
                .await,
            ProblemCode::Untrusted,
            "0 of the 1",
        );
    }
    let both = sign(document, &[&publisher.root_key, &key(103)]);
    let status = fleet.put_root(&ann(), &both).await.unwrap();
    assert_eq!(status.root_version, Some(2));
    assert_eq!(file(world, "2.root.json").await, both);
    assert_eq!(file(world, "1.root.json").await, publisher.signed_root());
    assert_eq!(fleet.trust_metadata("3.root.json").await.unwrap(), None);
    assert_eq!(world.events("trust.root").await.len(), 2);
});

each_database!(
    new_targets_keys_take_over_with_their_first_targets,
    |database| {
        let world = &World::new(database).await;
        let mut publisher = Publisher::set_up(world).await;
        publisher.publish(world, "1.0.0").await;
        publisher.root = publisher.root.next(world.now().to_jiff(), YEAR).unwrap();
        publisher.root.targets = RoleKeys::new([key(104).public()], 1);
        world
            .fleet
            .put_root(&ann(), &publisher.signed_root())
            .await
            .unwrap();
        refuses(
            publisher.send(&world.fleet).await,
            ProblemCode::Untrusted,
            "0 of the 1",
        );
        publisher.targets_key = key(104);
        publisher.send(&world.fleet).await.unwrap();
        verify_as_device(world, 2, 2).await;
    }
);

each_database!(the_server_keeps_its_metadata_fresh, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    assert!(
        !fleet.renew_trust().await.unwrap(),
        "there is nothing to renew yet"
    );
    let mut publisher = Publisher::set_up(world).await;
    publisher.publish(world, "1.0.0").await;
    let version = async || {
        Document::parse(&file(world, "timestamp.json").await)
            .unwrap()
            .version()
            .unwrap()
    };
    assert_eq!(version().await, 1);
    assert!(!fleet.renew_trust().await.unwrap());
    world.pass_sec(13 * 3600);
    assert!(fleet.renew_trust().await.unwrap());
    assert!(!fleet.renew_trust().await.unwrap());
    assert_eq!(version().await, 2);
    verify_as_device(world, 1, 1).await;

    // A month and more later, only what devices need is left.
    for _ in 0..40 {
        world.pass_sec(24 * 3600);
        assert!(fleet.renew_trust().await.unwrap());
    }
    verify_as_device(world, 1, 1).await;
    assert_eq!(fleet.trust_metadata("1.snapshot.json").await.unwrap(), None);
    assert!(fleet.trust_metadata("1.root.json").await.unwrap().is_some());
});

each_database!(two_servers_share_keys_and_take_turns, |database| {
    let world = &World::new(database).await;
    let other = world.another_server().await;
    let (a, b) = tokio::join!(world.fleet.online_keys(), other.online_keys());
    assert_eq!(a.unwrap(), b.unwrap());
    assert_eq!(world.events("trust.online_key").await.len(), 2);
    let mut publisher = Publisher::set_up(world).await;
    publisher.publish(world, "1.0.0").await;
    world.pass_sec(13 * 3600);
    let (a, b) = tokio::join!(world.fleet.renew_trust(), other.renew_trust());
    assert!(a.unwrap() ^ b.unwrap(), "one of them renews, and only one");
    let kept = world.texts("SELECT value FROM secrets").await;
    let events = serde_json::to_string(&world.events("*").await).unwrap();
    assert_eq!(kept.len(), 2);
    assert!(
        kept.iter().all(|secret| !events.contains(secret)),
        "a key is in the audit log"
    );
});
