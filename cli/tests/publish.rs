//! Publishing from end to end: what `otter` sends is what publishers meant, and verifies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]

mod common;

use common::{House, PASSPHRASE, lock, write};
use otter_protocol::admin::{NewArtifact, NewRelease};
use otter_protocol::release::ReleaseState;
use otter_protocol::{ArtifactKind, Model, Sha256Digest};
use otter_trust::{KeyFile, Role};

const PUBLISH: [&str; 4] = ["release", "publish", "--key", "targets.key"];

fn with<'a>(base: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [base, more].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_becomes_a_signed_release() {
    let house = House::with_trust().await;
    write(house.path("app/bin/service"), "#!/bin/sh\n");
    let arguments = [
        "--version",
        "1.1.0",
        "--model",
        "rpi4",
        "--model",
        "rpi5",
        "--notes",
        "Fewer bugs",
        "--min-version",
        "1.0.0",
        "--required",
        "--root",
        "root.json",
        "--json",
        "app",
    ];
    let published = house.otter(&with(&PUBLISH, &arguments)).await.json();
    assert_eq!(published["state"], "published");
    assert_eq!(published["release_counter"], 1);

    let signed = lock(&house.world).publishing.signed();
    assert_eq!(signed.len(), 1);
    let facts = &signed[0].facts;
    assert_eq!(facts.models, ["rpi4", "rpi5"]);
    assert_eq!(
        (facts.version.as_str(), facts.kind),
        ("1.1.0", ArtifactKind::Bundle)
    );
    assert_eq!(facts.min_version.as_deref(), Some("1.0.0"));
    assert_eq!((facts.notes.as_str(), facts.required), ("Fewer bugs", true));

    // What the server has is what the same folder packs to, here and now.
    let packed = house
        .otter(&["--json", "bundle", "pack", "app", "app.tar.zst"])
        .await
        .json();
    assert_eq!(packed["sha256"], signed[0].sha256.to_string());
    assert_eq!(packed["size"], signed[0].length);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_with_their_own_files_share_a_counter_and_the_next_release_gets_the_next() {
    let house = House::with_trust().await;
    for name in ["a.bin", "b.bin", "c.bin"] {
        write(house.path(name), name);
    }
    let first = [
        "--version",
        "1.0.0",
        "--kind",
        "firmware",
        "--artifact",
        "esp32=a.bin",
        "--artifact",
        "esp32-v2=b.bin",
    ];
    house.otter(&with(&PUBLISH, &first)).await.ok();
    let second = [
        "--version",
        "1.1.0",
        "--kind",
        "firmware",
        "--model",
        "esp32",
        "c.bin",
    ];
    house.otter(&with(&PUBLISH, &second)).await.ok();

    let signed = lock(&house.world).publishing.signed();
    let mut counters: Vec<u64> = signed.iter().map(|one| one.facts.release_counter).collect();
    counters.sort_unstable();
    assert_eq!(counters, [1, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_of_one_release_may_differ_in_kind() {
    let house = House::with_trust().await;
    write(house.path("rootfs.img"), "a root file system");
    write(house.path("app/run"), "1");
    let arguments = [
        "--version",
        "1.0.0",
        "--artifact",
        "rpi4=image:rootfs.img",
        "--artifact",
        "rpi5=app",
    ];
    house.otter(&with(&PUBLISH, &arguments)).await.ok();
    let mut kinds: Vec<_> = lock(&house.world)
        .publishing
        .signed()
        .into_iter()
        .map(|one| (one.facts.models, one.facts.kind))
        .collect();
    kinds.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        kinds,
        [
            (vec!["rpi4".to_owned()], ArtifactKind::Image),
            (vec!["rpi5".to_owned()], ArtifactKind::Bundle)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_as_two_kinds_are_refused() {
    let house = House::with_trust().await;
    write(house.path("a.bin"), "bytes");
    let arguments = [
        "--version",
        "1.0.0",
        "--artifact",
        "rpi4=image:a.bin",
        "--artifact",
        "esp32=firmware:a.bin",
    ];
    let error = house.otter(&with(&PUBLISH, &arguments)).await.fails(2);
    assert!(error.contains("an artifact has one kind"), "{error}");
    assert!(lock(&house.world).publishing.releases.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_broke_off_goes_on_without_a_second_upload() {
    let house = House::with_trust().await;
    write(house.path("app/run"), "1");
    let arguments = with(&PUBLISH, &["--version", "1.1.0", "--model", "rpi4", "app"]);
    let root = lock(&house.world).publishing.root.take();
    let error = house.otter(&arguments).await.fails(1);
    assert!(error.contains("otter trust init"), "{error}");
    {
        let publishing = &mut lock(&house.world).publishing;
        publishing.root = root;
        assert_eq!(publishing.releases[0].state, ReleaseState::Draft);
    }
    house.otter(&arguments).await.ok();
    let publishing = &lock(&house.world).publishing;
    assert_eq!(publishing.releases[0].state, ReleaseState::Published);
    assert_eq!((publishing.uploads, publishing.releases.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_taken_is_refused() {
    let house = House::with_trust().await;
    write(house.path("app/run"), "1");
    let arguments = with(&PUBLISH, &["--version", "1.1.0", "--model", "rpi4", "app"]);
    house.otter(&arguments).await.ok();
    let error = house.otter(&arguments).await.fails(1);
    assert!(
        error.contains("version 1.1.0 for rpi4 and is published"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_publishes_second_signs_on_top_of_the_first() {
    let house = House::with_trust().await;
    write(house.path("app/run"), "1");
    let key = KeyFile::parse(&std::fs::read(house.path("targets.key")).unwrap()).unwrap();
    lock(&house.world).publishing.rival = Some(key.open(PASSPHRASE).unwrap());
    let arguments = ["--version", "1.1.0", "--model", "rpi4", "app"];
    house.otter(&with(&PUBLISH, &arguments)).await.ok();
    let publishing = &lock(&house.world).publishing;
    assert!(publishing.rival.is_none());
    assert!(publishing.files.contains_key(&Role::Targets.file_name(2)));
    assert_eq!(publishing.signed().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_expired_is_signed_anew() {
    let house = House::with_trust().await;
    write(house.path("app/run"), "1");
    let key = KeyFile::parse(&std::fs::read(house.path("targets.key")).unwrap()).unwrap();
    let at = otter_trust::Timestamp::now() - jiff::SignedDuration::from_hours(12);
    let key = key.open(PASSPHRASE).unwrap();
    lock(&house.world).publishing.sign_again(&key, at, 1);
    let arguments = ["--version", "1.1.0", "--model", "rpi4", "app"];
    house.otter(&with(&PUBLISH, &arguments)).await.ok();
    let publishing = &lock(&house.world).publishing;
    assert!(publishing.files.contains_key(&Role::Targets.file_name(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_changed_its_root_is_found_out() {
    let house = House::with_trust().await;
    write(house.path("app/run"), "1");
    std::fs::rename(house.path("root.json"), house.path("pinned.json")).unwrap();
    for role in ["root", "targets"] {
        let out = format!("evil-{role}.key");
        let made = house.otter(&["key", "generate", "--role", role, "--out", &out]);
        made.await.ok();
    }
    lock(&house.world).publishing.root = None;
    let init = ["trust", "init", "--root-key", "evil-root.key"];
    let init = with(&init, &["--targets-key", "evil-targets.key"]);
    house.otter(&init).await.ok();
    let evil = ["--version", "0.9.0", "--model", "rpi4", "app"];
    let evil = with(&["release", "publish", "--key", "evil-targets.key"], &evil);
    house.otter(&evil).await.ok();

    let arguments = [
        "--version",
        "1.1.0",
        "--model",
        "rpi4",
        "--root",
        "pinned.json",
        "app",
    ];
    let error = house.otter(&with(&PUBLISH, &arguments)).await.fails(1);
    assert!(
        error.contains("targets metadata carries 0 of the 1"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_of_the_dashboard_is_signed_only_with_the_bytes_that_were_built() {
    let house = House::with_trust().await;
    let bytes = b"firmware".to_vec();
    let sha256 = Sha256Digest::of(&bytes);
    let new = NewRelease {
        version: "2.0.0".into(),
        notes: String::new(),
        min_version: None,
        min_bootloader_version: None,
        required: false,
        artifacts: vec![NewArtifact {
            sha256,
            kind: ArtifactKind::Firmware,
            models: vec![Model::new("esp32").unwrap()],
        }],
    };
    {
        let mut world = lock(&house.world);
        world.publishing.artifacts.insert(sha256.to_string(), bytes);
        assert!(world.draft(&new).is_ok());
    }
    let sign = ["release", "sign", "2.0.0", "--key", "targets.key"];
    let error = house.otter(&sign).await.fails(2);
    assert!(error.contains("--yes"), "{error}");
    let other = "ab".repeat(32);
    let error = house.otter(&with(&sign, &["--yes", "--sha256", &other]));
    let error = error.await.fails(1);
    assert!(error.contains("other bytes than you expect"), "{error}");
    assert!(lock(&house.world).publishing.targets.is_none());

    let own = sha256.to_string();
    let shown = house.otter(&with(&sign, &["--yes", "--sha256", &other, &own]));
    let shown = shown.await.ok();
    assert!(
        shown.contains(&own) && shown.contains("published"),
        "{shown}"
    );
    let again = house.otter(&with(&sign, &["--yes"])).await.fails(1);
    assert!(again.contains("needs no signature"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_count_is_refused_before_the_server_hears_of_it() {
    let house = House::with_trust().await;
    write(house.path("app/run"), "1");
    let made = ["key", "generate", "--role", "targets", "--out", "other.key"];
    house.otter(&made).await.ok();
    let arguments = ["--version", "1.1.0", "--model", "rpi4", "app"];
    let publish = ["release", "publish", "--key", "other.key"];
    let error = house.otter(&with(&publish, &arguments)).await.fails(1);
    assert!(error.contains("is not among those"), "{error}");
    let publish = ["release", "publish", "--key", "root.key"];
    let error = house.otter(&with(&publish, &arguments)).await.fails(1);
    assert!(error.contains("is a root key"), "{error}");
    assert!(lock(&house.world).publishing.targets.is_none());
}
