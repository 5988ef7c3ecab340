//! Artifacts on their way in and out, and drafts made of them.

use futures::TryStreamExt;
use otter_protocol::admin::{NewArtifact, NewRelease};
use otter_protocol::release::ReleaseState;
use otter_protocol::{ArtifactKind, ProblemCode, ReleaseId, Sha256Digest};

use crate::common::devices::{MODEL, enroll, model};
use crate::common::publisher::{Publisher, draft, new_release};
use crate::common::{MAX_ARTIFACT, World, ann, each_database, refuses, refuses_field};

fn files_in_store(world: &World) -> usize {
    let folders = std::fs::read_dir(world.folder.path().join("artifacts")).unwrap();
    folders
        .map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count())
        .sum()
}

async fn read(world: &World, sha256: Sha256Digest, range: std::ops::Range<u64>) -> Vec<u8> {
    let reader = world.fleet.open_artifact(sha256).await.unwrap();
    let chunks: Vec<_> = reader
        .stream(range)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    chunks.concat()
}

each_database!(bytes_come_in_and_go_out_in_parts, |database| {
    let world = &World::new(database).await;
    let bytes: Vec<u8> = (0..700_000_u32).map(|n| (n / 3 % 251) as u8).collect();
    let sha256 = Sha256Digest::of(&bytes);
    let mut upload = world
        .fleet
        .begin_upload(&ann(), Some(sha256), Some(bytes.len() as u64))
        .await
        .unwrap();
    for part in bytes.chunks(100_001) {
        upload.write(part).await.unwrap();
    }
    let stored = upload.finish().await.unwrap();
    assert_eq!((stored.sha256, stored.size), (sha256, bytes.len() as u64));
    assert_eq!(
        world.fleet.artifact(sha256).await.unwrap(),
        Some(stored.clone())
    );
    refuses(
        world.fleet.open_artifact(sha256).await,
        ProblemCode::NotFound,
        "published",
    );

    let mut publisher = Publisher::set_up(world).await;
    let release = world
        .fleet
        .create_release(&ann(), &new_release("1.0.0", sha256))
        .await
        .unwrap();
    refuses(
        world.fleet.open_artifact(sha256).await,
        ProblemCode::NotFound,
        "published",
    );
    publisher.add(&release);
    publisher.send(&world.fleet).await.unwrap();
    assert_eq!(read(world, sha256, 0..stored.size).await, bytes);
    assert_eq!(
        read(world, sha256, 300_000..300_005).await,
        bytes[300_000..300_005]
    );
    assert_eq!(read(world, sha256, 7..7).await, b"");
    let reader = world.fleet.open_artifact(sha256).await.unwrap();
    let beyond = reader.stream(0..stored.size + 1).await.map(|_| ());
    refuses(beyond, ProblemCode::RangeNotSatisfiable, "700000 bytes");
});

each_database!(
    an_upload_that_is_not_what_was_named_leaves_nothing,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        let named = Sha256Digest::of(b"otter");

        let mut truncated = fleet
            .begin_upload(&ann(), Some(named), Some(5))
            .await
            .unwrap();
        truncated.write(b"ott").await.unwrap();
        refuses(
            truncated.finish().await,
            ProblemCode::DigestMismatch,
            "Only 3 of 5 bytes",
        );
        let mut other = fleet.begin_upload(&ann(), Some(named), None).await.unwrap();
        other.write(b"beaver").await.unwrap();
        let error = crate::common::problem(other.finish().await);
        assert_eq!(error.code, ProblemCode::DigestMismatch);
        for digest in [named, Sha256Digest::of(b"beaver")] {
            assert!(
                error.detail.contains(&digest.to_string()),
                "{}",
                error.detail
            );
        }
        let mut longer = fleet
            .begin_upload(&ann(), Some(named), Some(3))
            .await
            .unwrap();
        refuses(
            longer.write(b"otter").await,
            ProblemCode::DigestMismatch,
            "More bytes",
        );
        drop(longer);
        let mut broken_off = fleet
            .begin_upload(&ann(), Some(named), Some(5))
            .await
            .unwrap();
        broken_off.write(b"ot").await.unwrap();
        drop(broken_off);

        let announced = fleet
            .begin_upload(&ann(), None, Some(MAX_ARTIFACT + 1))
            .await;
        refuses(announced.map(drop), ProblemCode::TooLarge, "1048576");
        let mut endless = fleet.begin_upload(&ann(), None, None).await.unwrap();
        let half = vec![0; MAX_ARTIFACT as usize / 2];
        for _ in 0..2 {
            endless.write(&half).await.unwrap();
        }
        refuses(endless.write(b"x").await, ProblemCode::TooLarge, "1048576");
        drop(endless);

        assert_eq!(files_in_store(world), 0);
        assert_eq!(fleet.artifact(named).await.unwrap(), None);
        assert_eq!(world.actions().await, Vec::<String>::new());
    }
);

each_database!(the_same_bytes_are_kept_once, |database| {
    let world = &World::new(database).await;
    let (first, second) = tokio::join!(world.upload(b"otter"), world.upload(b"otter"));
    assert_eq!(first, second);
    let file = world
        .folder
        .path()
        .join("artifacts")
        .join(&first.sha256.to_string()[..2])
        .join(first.sha256.to_string());
    std::fs::remove_file(&file).unwrap();
    world.upload(b"otter").await;
    assert_eq!(std::fs::read(file).unwrap(), b"otter");
    assert_eq!(files_in_store(world), 1);
    assert_eq!(world.actions().await, ["artifact.upload"]);
    let digests = world
        .texts("SELECT sha1 || ' ' || md5 FROM artifacts")
        .await;
    assert_eq!(
        digests,
        ["867ed8dcdfe835ee6f81a4a6d7d590da44dbe9d3 d8e265f13545e890c178a34a72f62c43"]
    );
});

each_database!(
    a_file_that_was_changed_in_the_store_is_not_served,
    |database| {
        let world = &World::new(database).await;
        let mut publisher = Publisher::set_up(world).await;
        let sha256 = publisher.publish(world, "1.0.0").await.artifacts[0].sha256;
        let file = world
            .folder
            .path()
            .join("artifacts")
            .join(&sha256.to_string()[..2])
            .join(sha256.to_string());
        std::fs::write(file, b"cut").unwrap();
        refuses(
            world.fleet.open_artifact(sha256).await,
            ProblemCode::Internal,
            "",
        );
    }
);

each_database!(drafts_are_made_of_what_is_there, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let sha256 = world.upload(b"bytes").await.sha256;
    let good = new_release("1.0.0", sha256);
    let with = |artifacts: Vec<NewArtifact>| NewRelease {
        artifacts,
        ..good.clone()
    };
    let one = |sha256, models: &[&str]| NewArtifact {
        sha256,
        kind: ArtifactKind::Image,
        models: models.iter().map(|name| model(name)).collect(),
    };
    let missing = Sha256Digest::of(b"never uploaded");
    let too_long = NewRelease {
        notes: "x".repeat((64 << 10) + 1),
        ..good.clone()
    };
    for (bad, field) in [
        (with(vec![]), "artifacts"),
        (
            with(vec![one(sha256, &[MODEL]), one(missing, &["esp32"])]),
            "artifacts[1].sha256",
        ),
        (with(vec![one(sha256, &[])]), "artifacts[0].models"),
        (
            with(vec![one(sha256, &[MODEL]), one(missing, &[MODEL])]),
            "artifacts[1].models",
        ),
        (
            with(vec![one(sha256, &[MODEL]), one(sha256, &["esp32"])]),
            "artifacts[1].sha256",
        ),
        (
            NewRelease {
                version: " ".into(),
                ..good.clone()
            },
            "version",
        ),
        (
            NewRelease {
                version: "x".repeat(101).into(),
                ..good.clone()
            },
            "version",
        ),
        (
            NewRelease {
                min_version: Some("".into()),
                ..good.clone()
            },
            "min_version",
        ),
        (too_long, "notes"),
    ] {
        refuses_field(fleet.create_release(&ann(), &bad).await, field);
    }
    assert_eq!(fleet.releases().await.unwrap(), []);
    assert_eq!(world.actions().await, ["artifact.upload"]);
    let made = fleet.create_release(&ann(), &good).await.unwrap();
    assert_eq!(
        (made.state, made.release_counter),
        (ReleaseState::Draft, None)
    );
    assert_eq!(fleet.releases().await.unwrap(), [made]);
});

each_database!(a_model_has_a_version_once, |database| {
    let world = &World::new(database).await;
    let first = draft(world, "1.0.0").await;
    let mut again = new_release("1.0.0", first.artifacts[0].sha256);
    again.artifacts[0].models = vec![model("esp32"), model(MODEL)];
    refuses(
        world.fleet.create_release(&ann(), &again).await,
        ProblemCode::AlreadyExists,
        MODEL,
    );
    again.artifacts[0].models = vec![model("esp32")];
    let second = world.fleet.create_release(&ann(), &again).await.unwrap();
    let ids: Vec<ReleaseId> = world
        .fleet
        .releases()
        .await
        .unwrap()
        .into_iter()
        .map(|release| release.id)
        .collect();
    assert_eq!(ids, [second.id, first.id]);

    let attempts = (0..6).map(|_| {
        let fleet = world.fleet.clone();
        let new = new_release("3.0.0", first.artifacts[0].sha256);
        tokio::spawn(async move { fleet.create_release(&ann(), &new).await })
    });
    let made = futures::future::join_all(attempts)
        .await
        .into_iter()
        .filter(|made| made.as_ref().unwrap().is_ok());
    assert_eq!(made.count(), 1);
});

each_database!(
    a_release_is_withdrawn_once_and_tells_where_it_runs,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        let mut publisher = Publisher::set_up(world).await;
        enroll(fleet, "gw-1").await;
        let release = publisher.publish(world, "1.0.0").await;
        assert_eq!(fleet.release(release.id).await.unwrap().devices_on_it, 1);
        assert!(fleet.plan().release(release.id).is_some());
        let withdrawn = fleet
            .withdraw_release(&ann(), release.id, "it crashes")
            .await
            .unwrap();
        assert_eq!(withdrawn.state, ReleaseState::Withdrawn);
        assert!(fleet.plan().release(release.id).is_none());
        refuses(
            fleet.withdraw_release(&ann(), release.id, "").await,
            ProblemCode::Conflict,
            "before",
        );
        refuses(
            fleet.withdraw_release(&ann(), ReleaseId(99), "").await,
            ProblemCode::NotFound,
            "99",
        );
        refuses(
            fleet.release(ReleaseId(99)).await,
            ProblemCode::NotFound,
            "99",
        );
        let event = world.events("release.withdraw").await.remove(0);
        assert_eq!(
            event.after,
            Some(serde_json::json!({"state": "withdrawn", "reason": "it crashes"}))
        );
    }
);
