//! Who may say what devices run: what the server takes from publishers, and what it refuses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests stand here")]

mod common;

use common::publisher::{Publisher, YEAR, draft, key, new_release, sign, targets_of};
use common::{World, ann, each_database, refuses};
use jiff::SignedDuration;
use otter_protocol::ProblemCode;
use otter_protocol::release::ReleaseState;
use otter_trust::{Document, OnlineMetadata, RoleKeys, TargetsDocument, verify_published};

async fn file(world: &World, name: &str) -> Vec<u8> {
    let bytes = world.fleet.trust_metadata(name).await.unwrap();
    bytes.unwrap_or_else(|| panic!("there is no {name}"))
}

/// Reads all metadata as a device that has seen none of it would, and verifies it.
async fn verify_as_device(world: &World, root: u64, targets: u64) {
    let root = file(world, &format!("{root}.root.json")).await;
    let timestamp = file(world, "timestamp.json").await;
    let named: serde_json::Value = serde_json::from_slice(&timestamp).unwrap();
    let snapshot = named["signed"]["meta"]["snapshot.json"]["version"].as_u64().unwrap();
    let snapshot = file(world, &format!("{snapshot}.snapshot.json")).await;
    let targets = file(world, &format!("{targets}.targets.json")).await;
    let online = OnlineMetadata { snapshot, timestamp };
    verify_published(&root, &online, &targets, world.now().to_jiff()).unwrap();
}

each_database!(a_signed_release_is_published, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    let release = publisher.publish(world, "1.0.0").await;
    assert_eq!((release.state, release.release_counter), (ReleaseState::Published, Some(1)));
    assert_eq!(release.published_at, Some(world.now()));
    verify_as_device(world, 1, 1).await;
    let status = world.fleet.trust_status().await.unwrap();
    assert_eq!((status.root_version, status.targets_version), (Some(1), Some(1)));

    let reader = world.fleet.open_artifact(release.artifacts[0].sha256).await.unwrap();
    assert_eq!(reader.size(), release.artifacts[0].size);
    publisher.publish(world, "1.1.0").await;
    verify_as_device(world, 1, 2).await;
    for action in ["trust.root", "trust.targets", "release.publish"] {
        assert!(world.actions().await.iter().any(|known| known == action), "{action} is not recorded");
    }
    assert!(world.fleet.verify_audit().await.unwrap().broken_at.is_none());
});

each_database!(the_same_files_again_change_nothing, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    let draft = draft(world, "1.0.0").await;
    publisher.add(&draft);
    let bytes = publisher.signed_targets();
    let first = world.fleet.put_targets(&ann(), &bytes).await.unwrap();
    let before = world.actions().await;
    assert_eq!(world.fleet.put_targets(&ann(), &bytes).await.unwrap(), first);
    assert_eq!(world.fleet.put_root(&ann(), &publisher.signed_root()).await.unwrap(), first);
    assert_eq!(world.actions().await, before);
});

each_database!(what_is_not_signed_rightly_is_refused, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let mut publisher = Publisher::new(world.now(), &fleet.online_keys().await.unwrap());
    let early = publisher.signed_targets();
    refuses(fleet.put_targets(&ann(), &early).await, ProblemCode::Conflict, "no root yet");
    fleet.put_root(&ann(), &publisher.signed_root()).await.unwrap();
    let draft = draft(world, "1.0.0").await;
    publisher.add(&draft);

    let document = publisher.targets.finish(world.now().to_jiff(), YEAR).unwrap();
    refuses(fleet.put_targets(&ann(), &sign(document.clone(), &[])).await, ProblemCode::Untrusted, "0 of the 1");
    let thiefs = sign(document.clone(), &[&key(66)]);
    refuses(fleet.put_targets(&ann(), &thiefs).await, ProblemCode::Untrusted, "0 of the 1");
    let altered = String::from_utf8(publisher.signed_targets()).unwrap().replace("Fewer bugs", "Other bugs");
    refuses(fleet.put_targets(&ann(), altered.as_bytes()).await, ProblemCode::Untrusted, "0 of the 1");
    let short = publisher.targets.finish(world.now().to_jiff(), SignedDuration::from_secs(-60)).unwrap();
    refuses(fleet.put_targets(&ann(), &sign(short, &[&publisher.targets_key])).await, ProblemCode::Untrusted, "expired");
    for nonsense in [&b"{}"[..], b"not JSON", &publisher.signed_root()] {
        refuses(fleet.put_targets(&ann(), nonsense).await, ProblemCode::Untrusted, "");
    }
    assert_eq!(fleet.trust_status().await.unwrap().targets_version, None);
    assert_eq!(fleet.release(draft.id).await.unwrap().release, draft);
    assert_eq!(fleet.trust_metadata("timestamp.json").await.unwrap(), None);
    assert_eq!(world.events("trust.targets").await, []);
});

each_database!(signed_bytes_must_be_those_in_the_store, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    let draft = draft(world, "1.0.0").await;
    let honest = publisher.targets.clone();
    let signed = targets_of(&draft, 1).remove(0);

    let mut longer = signed.clone();
    longer.length += 1;
    let mut others = signed.clone();
    others.sha256 = otter_protocol::Sha256Digest::of(b"never uploaded");
    for (wrong, why) in [(longer, "was signed with"), (others, "no bytes with this SHA-256")] {
        publisher.targets = honest.clone();
        publisher.targets.add(&wrong).unwrap();
        refuses(publisher.send(&world.fleet).await, ProblemCode::DigestMismatch, why);
    }
    assert_eq!(world.fleet.release(draft.id).await.unwrap().release.state, ReleaseState::Draft);
});

each_database!(a_target_must_fit_a_draft_in_everything, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    let draft = draft(world, "1.0.0").await;
    let other_bytes = world.upload(b"of no release").await;
    let empty = publisher.targets.clone();
    let changes: [(&str, fn(&mut otter_trust::SignedArtifact)); 7] = [
        ("no such release", |signed| signed.facts.version = "9.9.9".to_owned()),
        ("no such release", |signed| signed.facts.models = vec!["esp32".to_owned()]),
        ("its models", |signed| signed.facts.models.push("esp32".to_owned())),
        ("its kind", |signed| signed.facts.kind = otter_protocol::ArtifactKind::Image),
        ("its min_version", |signed| signed.facts.min_version = None),
        ("its notes", |signed| signed.facts.notes = "Other notes".to_owned()),
        ("required", |signed| signed.facts.required = true),
    ];
    for (why, change) in changes {
        let mut signed = targets_of(&draft, 1).remove(0);
        change(&mut signed);
        publisher.targets = empty.clone();
        publisher.targets.add(&signed).unwrap();
        refuses(publisher.send(&world.fleet).await, ProblemCode::Untrusted, why);
    }
    let mut signed = targets_of(&draft, 1).remove(0);
    (signed.sha256, signed.length) = (other_bytes.sha256, other_bytes.size);
    publisher.targets = empty.clone();
    publisher.targets.add(&signed).unwrap();
    refuses(publisher.send(&world.fleet).await, ProblemCode::Untrusted, "its bytes");
    assert_eq!(world.fleet.release(draft.id).await.unwrap().release, draft);
    assert_eq!(world.fleet.trust_status().await.unwrap().targets_version, None);
});

each_database!(what_is_published_cannot_be_lost_or_altered, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let mut publisher = Publisher::set_up(world).await;
    let first = publisher.publish(world, "1.0.0").await;
    let signed = targets_of(&first, 1).remove(0);
    let published = publisher.targets.clone();

    publisher.targets.withdraw(&signed.name()).unwrap();
    refuses(publisher.send(fleet).await, ProblemCode::Untrusted, "Withdraw the release first");
    let mut altered = signed.clone();
    altered.facts.notes = "History, rewritten".to_owned();
    publisher.targets.add(&altered).unwrap();
    refuses(publisher.send(fleet).await, ProblemCode::Untrusted, "something else");
    publisher.targets = TargetsDocument::new();
    refuses(publisher.send(fleet).await, ProblemCode::Untrusted, "rollback");

    publisher.targets = published.clone();
    publisher.targets.permit_downgrade(&signed.name(), true).unwrap();
    publisher.send(fleet).await.unwrap();
    publisher.targets.withdraw(&signed.name()).unwrap();
    fleet.withdraw_release(&ann(), first.id, "it crashes").await.unwrap();
    publisher.send(fleet).await.unwrap();
    verify_as_device(world, 1, 3).await;
    refuses(fleet.open_artifact(signed.sha256).await, ProblemCode::NotFound, "published");
    publisher.targets.add(&signed).unwrap();
    refuses(publisher.send(fleet).await, ProblemCode::Untrusted, "was given before");
});

each_database!(a_root_must_follow_the_one_before, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let mut publisher = Publisher::new(world.now(), &fleet.online_keys().await.unwrap());
    let root = publisher.root.clone();
    publisher.root.version = 2;
    refuses(fleet.put_root(&ann(), &publisher.signed_root()).await, ProblemCode::Untrusted, "version 1");
    publisher.root = root.clone();
    publisher.root.timestamp = RoleKeys::new([key(9).public()], 1);
    refuses(fleet.put_root(&ann(), &publisher.signed_root()).await, ProblemCode::Untrusted, "timestamp keys");
    publisher.root = root.clone();
    let unsigned = sign(root.to_document().unwrap(), &[]);
    refuses(fleet.put_root(&ann(), &unsigned).await, ProblemCode::Untrusted, "0 of the 1");
    assert_eq!(fleet.trust_status().await.unwrap().root_version, None);
    fleet.put_root(&ann(), &publisher.signed_root()).await.unwrap();

    let mut next = root.next(world.now().to_jiff(), YEAR).unwrap();
    next.root = RoleKeys::new([key(103).public()], 1);
    let document = next.to_document().unwrap();
    for signers in [vec![&publisher.root_key], vec![]] {
        refuses(fleet.put_root(&ann(), &sign(document.clone(), &signers)).await, ProblemCode::Untrusted, "0 of the 1");
    }
    let both = sign(document, &[&publisher.root_key, &key(103)]);
    let status = fleet.put_root(&ann(), &both).await.unwrap();
    assert_eq!(status.root_version, Some(2));
    assert_eq!(file(world, "2.root.json").await, both);
    assert_eq!(file(world, "1.root.json").await, publisher.signed_root());
    assert_eq!(fleet.trust_metadata("3.root.json").await.unwrap(), None);
    assert_eq!(world.events("trust.root").await.len(), 2);
});

each_database!(new_targets_keys_take_over_with_their_first_targets, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    publisher.publish(world, "1.0.0").await;
    publisher.root = publisher.root.next(world.now().to_jiff(), YEAR).unwrap();
    publisher.root.targets = RoleKeys::new([key(104).public()], 1);
    world.fleet.put_root(&ann(), &publisher.signed_root()).await.unwrap();
    refuses(publisher.send(&world.fleet).await, ProblemCode::Untrusted, "0 of the 1");
    publisher.targets_key = key(104);
    publisher.send(&world.fleet).await.unwrap();
    verify_as_device(world, 2, 2).await;
});

each_database!(the_server_keeps_its_metadata_fresh, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    assert!(!fleet.renew_trust().await.unwrap(), "there is nothing to renew yet");
    let mut publisher = Publisher::set_up(world).await;
    publisher.publish(world, "1.0.0").await;
    let version = async || Document::parse(&file(world, "timestamp.json").await).unwrap().version().unwrap();
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
    let secrets = serde_json::to_string(&world.events("*").await).unwrap();
    assert!(!secrets.contains("PRIVATE") && !secrets.contains("seed"));
});

each_database!(two_releases_of_one_version_for_two_models, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    let mut drafts = Vec::new();
    for model in ["esp32", "rpi5"] {
        let stored = world.upload(model.as_bytes()).await;
        let mut new = new_release("2.0.0", stored.sha256);
        new.artifacts[0].models = vec![common::devices::model(model)];
        drafts.push(world.fleet.create_release(&ann(), &new).await.unwrap());
    }
    for draft in &drafts {
        publisher.add(draft);
    }
    publisher.send(&world.fleet).await.unwrap();
    let counters = world.fleet.releases().await.unwrap().into_iter().map(|release| release.release_counter);
    assert_eq!(counters.collect::<Vec<_>>(), [Some(2), Some(1)]);
});
