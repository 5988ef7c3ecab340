//! Who may say what devices run: what the server takes from publishers, and what it refuses.

use jiff::SignedDuration;
use otter_protocol::ProblemCode;
use otter_protocol::admin::TrustWarning;
use otter_protocol::release::ReleaseState;
use otter_trust::{SignedArtifact, TargetsDocument};

use crate::common::metadata::verify_as_device;
use crate::common::publisher::{Publisher, YEAR, draft, key, new_release, sign, targets_of};
use crate::common::{World, ann, each_database, refuses};

/// Makes a target say something else than its draft.
type Change = fn(&mut SignedArtifact);

each_database!(a_signed_release_is_published, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    let release = publisher.publish(world, "1.0.0").await;
    assert_eq!(
        (release.state, release.release_counter),
        (ReleaseState::Published, Some(1))
    );
    assert_eq!(release.published_at, Some(world.now()));
    verify_as_device(world, 1, 1).await;
    let status = world.fleet.trust_status().await.unwrap();
    assert_eq!(
        (status.root_version, status.targets_version),
        (Some(1), Some(1))
    );

    let reader = world
        .fleet
        .open_artifact(release.artifacts[0].sha256)
        .await
        .unwrap();
    assert_eq!(reader.size(), release.artifacts[0].size);
    publisher.publish(world, "1.1.0").await;
    verify_as_device(world, 1, 2).await;
    for action in ["trust.root", "trust.targets", "release.publish"] {
        assert!(
            world.actions().await.iter().any(|known| known == action),
            "{action} is not recorded"
        );
    }
    assert!(
        world
            .fleet
            .verify_audit()
            .await
            .unwrap()
            .broken_at
            .is_none()
    );
});

each_database!(the_same_files_again_change_nothing, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    let draft = draft(world, "1.0.0").await;
    publisher.add(&draft);
    let bytes = publisher.signed_targets();
    let first = world.fleet.put_targets(&ann(), &bytes).await.unwrap();
    let before = world.actions().await;
    assert_eq!(
        world.fleet.put_targets(&ann(), &bytes).await.unwrap(),
        first
    );
    assert_eq!(
        world
            .fleet
            .put_root(&ann(), &publisher.signed_root())
            .await
            .unwrap(),
        first
    );
    assert_eq!(world.actions().await, before);
});

each_database!(what_is_not_signed_rightly_is_refused, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let mut publisher = Publisher::new(world.now(), &fleet.online_keys().await.unwrap());
    let early = publisher.signed_targets();
    refuses(
        fleet.put_targets(&ann(), &early).await,
        ProblemCode::Conflict,
        "no root yet",
    );
    fleet
        .put_root(&ann(), &publisher.signed_root())
        .await
        .unwrap();
    let draft = draft(world, "1.0.0").await;
    publisher.add(&draft);

    let document = publisher
        .targets
        .finish(world.now().to_jiff(), YEAR)
        .unwrap();
    refuses(
        fleet
            .put_targets(&ann(), &sign(document.clone(), &[]))
            .await,
        ProblemCode::Untrusted,
        "0 of the 1",
    );
    let thiefs = sign(document.clone(), &[&key(66)]);
    refuses(
        fleet.put_targets(&ann(), &thiefs).await,
        ProblemCode::Untrusted,
        "0 of the 1",
    );
    let altered = String::from_utf8(publisher.signed_targets())
        .unwrap()
        .replace("Fewer bugs", "Other bugs");
    refuses(
        fleet.put_targets(&ann(), altered.as_bytes()).await,
        ProblemCode::Untrusted,
        "0 of the 1",
    );
    let short = publisher
        .targets
        .finish(world.now().to_jiff(), SignedDuration::from_secs(-60))
        .unwrap();
    refuses(
        fleet
            .put_targets(&ann(), &sign(short, &[&publisher.targets_key]))
            .await,
        ProblemCode::Untrusted,
        "expired",
    );
    for nonsense in [&b"{}"[..], b"not JSON", &publisher.signed_root()] {
        refuses(
            fleet.put_targets(&ann(), nonsense).await,
            ProblemCode::Untrusted,
            "",
        );
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
    for (wrong, why) in [
        (longer, "was signed with"),
        (others, "no bytes with this SHA-256"),
    ] {
        publisher.targets = honest.clone();
        publisher.targets.add(&wrong).unwrap();
        refuses(
            publisher.send(&world.fleet).await,
            ProblemCode::DigestMismatch,
            why,
        );
    }
    assert_eq!(
        world.fleet.release(draft.id).await.unwrap().release.state,
        ReleaseState::Draft
    );
});

each_database!(a_target_must_fit_a_draft_in_everything, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    let draft = draft(world, "1.0.0").await;
    let other_bytes = world.upload(b"of no release").await;
    let empty = publisher.targets.clone();
    let changes: [(&str, Change); 7] = [
        ("no such release", |signed| {
            signed.facts.version = "9.9.9".to_owned()
        }),
        ("no such release", |signed| {
            signed.facts.models = vec!["esp32".to_owned()]
        }),
        ("its models", |signed| {
            signed.facts.models.push("esp32".to_owned())
        }),
        ("its kind", |signed| {
            signed.facts.kind = otter_protocol::ArtifactKind::Image
        }),
        ("its min_version", |signed| signed.facts.min_version = None),
        ("its notes", |signed| {
            signed.facts.notes = "Other notes".to_owned()
        }),
        ("required", |signed| signed.facts.required = true),
    ];
    for (why, change) in changes {
        let mut signed = targets_of(&draft, 1).remove(0);
        change(&mut signed);
        publisher.targets = empty.clone();
        publisher.targets.add(&signed).unwrap();
        refuses(
            publisher.send(&world.fleet).await,
            ProblemCode::Untrusted,
            why,
        );
    }
    let mut signed = targets_of(&draft, 1).remove(0);
    (signed.sha256, signed.length) = (other_bytes.sha256, other_bytes.size);
    publisher.targets = empty.clone();
    publisher.targets.add(&signed).unwrap();
    refuses(
        publisher.send(&world.fleet).await,
        ProblemCode::Untrusted,
        "its bytes",
    );
    assert_eq!(world.fleet.release(draft.id).await.unwrap().release, draft);
    assert_eq!(
        world.fleet.trust_status().await.unwrap().targets_version,
        None
    );
});

each_database!(what_is_published_cannot_be_lost_or_altered, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let mut publisher = Publisher::set_up(world).await;
    let first = publisher.publish(world, "1.0.0").await;
    let signed = targets_of(&first, 1).remove(0);
    let published = publisher.targets.clone();

    publisher
        .targets
        .withdraw(&signed.name(), "it crashes")
        .unwrap();
    refuses(
        publisher.send(fleet).await,
        ProblemCode::Untrusted,
        "Withdraw the release first",
    );
    let mut altered = signed.clone();
    altered.facts.notes = "History, rewritten".to_owned();
    publisher.targets = published_as(&TargetsDocument::new(), published.version());
    publisher.targets.add(&altered).unwrap();
    refuses(
        publisher.send(fleet).await,
        ProblemCode::Untrusted,
        "something else",
    );
    publisher.targets = TargetsDocument::new();
    refuses(
        publisher.send(fleet).await,
        ProblemCode::Untrusted,
        "rollback",
    );

    publisher.targets = published.clone();
    publisher
        .targets
        .permit_downgrade(&signed.name(), true)
        .unwrap();
    publisher.send(fleet).await.unwrap();
    publisher
        .targets
        .withdraw(&signed.name(), "it crashes")
        .unwrap();
    fleet
        .withdraw_release(&ann(), first.id, "it crashes")
        .await
        .unwrap();
    publisher.send(fleet).await.unwrap();
    verify_as_device(world, 1, 3).await;
    refuses(
        fleet.open_artifact(signed.sha256).await,
        ProblemCode::NotFound,
        "published",
    );
    // Withdrawn stays withdrawn, whoever signs that it isn't; and a counter is given once.
    assert!(publisher.targets.add(&signed).is_err());
    let withdrawn = std::mem::replace(&mut publisher.targets, published_as(&published, 3));
    refuses(
        publisher.send(fleet).await,
        ProblemCode::Untrusted,
        "was withdrawn, and this list doesn't say so",
    );
    publisher.targets = withdrawn;
    let mut other = signed.clone();
    other.sha256 = world.upload(b"other bytes").await.sha256;
    publisher.targets.add(&other).unwrap();
    refuses(
        publisher.send(fleet).await,
        ProblemCode::Untrusted,
        "was given before",
    );
});

each_database!(two_releases_of_one_version_for_two_models, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    let mut drafts = Vec::new();
    for model in ["esp32", "rpi5"] {
        let stored = world.upload(model.as_bytes()).await;
        let mut new = new_release("2.0.0", stored.sha256);
        new.artifacts[0].models = vec![crate::common::devices::model(model)];
        drafts.push(world.fleet.create_release(&ann(), &new).await.unwrap());
    }
    for draft in &drafts {
        publisher.add(draft);
    }
    publisher.send(&world.fleet).await.unwrap();
    let counters = world
        .fleet
        .releases()
        .await
        .unwrap()
        .into_iter()
        .map(|release| release.release_counter);
    assert_eq!(counters.collect::<Vec<_>>(), [Some(2), Some(1)]);
});

each_database!(what_ends_soon_is_warned_of, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    publisher.publish(world, "1.0.0").await;
    assert_eq!(world.fleet.trust_warnings().await.unwrap(), []);
    let status = world.fleet.trust_status().await.unwrap();
    let ends = status.root_expires_at.unwrap();
    let first = world
        .fleet
        .trust_metadata("1.root.json")
        .await
        .unwrap()
        .unwrap();
    let fingerprint = otter_protocol::Sha256Digest::of(&first);
    assert_eq!(status.root_fingerprint, Some(fingerprint));
    world.pass_sec(ends.sec_since(world.now()) as i64 - 29 * 24 * 3600);
    let warnings = world.fleet.trust_warnings().await.unwrap();
    let is_over = false;
    assert!(
        warnings.contains(&TrustWarning::RootEnds { at: ends, is_over }),
        "{warnings:?}"
    );
    world.pass_sec(30 * 24 * 3600);
    let warnings = world.fleet.trust_warnings().await.unwrap();
    assert!(
        warnings.iter().all(|warning| warning.stops_updates()),
        "{warnings:?}"
    );
});

/// The same list at a version that devices would take.
fn published_as(targets: &TargetsDocument, version: u64) -> TargetsDocument {
    let mut targets = targets.clone();
    while targets.version() < version {
        let life = jiff::SignedDuration::from_hours(1);
        let next = targets.finish(otter_trust::Timestamp::now(), life).unwrap();
        targets = TargetsDocument::parse(&next.to_bytes().unwrap()).unwrap();
    }
    targets
}
