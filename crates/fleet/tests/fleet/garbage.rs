//! Artifacts that are part of no release go; what a release names stays.

use otter_protocol::Sha256Digest;

use crate::common::publisher::{Publisher, new_release};
use crate::common::{World, ann, each_database, refuses_field};

const HOUR_SEC: i64 = 3600;

async fn put(world: &World, bytes: &[u8]) -> Sha256Digest {
    world.upload(bytes).await.sha256
}

async fn is_known(world: &World, sha256: Sha256Digest) -> bool {
    world.fleet.artifact(sha256).await.unwrap().is_some()
}

fn has_bytes(world: &World, sha256: Sha256Digest) -> bool {
    let name = sha256.to_string();
    let folder = world.folder.path().join("artifacts").join(&name[..2]);
    folder.join(name).exists()
}

/// The engine's events about artifacts, the oldest first.
async fn story(world: &World) -> Vec<String> {
    let events = world.events("artifact.*").await.into_iter();
    let mine = events.filter(|event| event.actor == "engine");
    mine.map(|event| event.action).collect()
}

each_database!(what_no_release_names_goes_in_two_steps, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    let published = publisher.publish(world, "1.0.0").await;
    let published = published.artifacts[0].sha256;
    let drafted = put(world, b"drafted").await;
    let draft = new_release("2.0.0", drafted);
    world.fleet.create_release(&ann(), &draft).await.unwrap();
    let lost = put(world, b"lost").await;

    world.pass_sec(23 * HOUR_SEC);
    world.fleet.collect_garbage().await.unwrap();
    assert!(is_known(world, lost).await && has_bytes(world, lost));

    world.pass_sec(2 * HOUR_SEC);
    world.fleet.collect_garbage().await.unwrap();
    assert!(!is_known(world, lost).await);
    assert!(has_bytes(world, lost), "somebody may be reading it");
    assert_eq!(story(world).await, ["artifact.condemn"]);
    let again = new_release("3.0.0", lost);
    refuses_field(
        world.fleet.create_release(&ann(), &again).await,
        "artifacts[0].sha256",
    );

    world.pass_sec(HOUR_SEC);
    world.fleet.collect_garbage().await.unwrap();
    assert!(!has_bytes(world, lost));
    assert_eq!(story(world).await, ["artifact.condemn", "artifact.remove"]);
    for kept in [published, drafted] {
        assert!(is_known(world, kept).await && has_bytes(world, kept));
    }
});

each_database!(what_comes_again_stays, |database| {
    let world = &World::new(database).await;
    let lost = put(world, b"lost").await;
    world.pass_sec(25 * HOUR_SEC);
    world.fleet.collect_garbage().await.unwrap();
    assert!(!is_known(world, lost).await);
    // Condemned, and brought again before it went.
    put(world, b"lost").await;
    assert!(is_known(world, lost).await);
    world.pass_sec(2 * HOUR_SEC);
    world.fleet.collect_garbage().await.unwrap();
    assert!(is_known(world, lost).await && has_bytes(world, lost));
    // Its grace began anew.
    world.pass_sec(25 * HOUR_SEC);
    world.fleet.collect_garbage().await.unwrap();
    world.pass_sec(2 * HOUR_SEC);
    world.fleet.collect_garbage().await.unwrap();
    assert!(!has_bytes(world, lost));
    put(world, b"lost").await;
    assert!(is_known(world, lost).await && has_bytes(world, lost));
});
