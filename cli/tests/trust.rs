//! Several people and their keys: set up, sign, change, lose and replace, on files that travel.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]

mod common;

use common::{House, lock, write};
use otter_trust::{Root, TrustError, verify_targets};

const PUBLISH: [&str; 6] = [
    "release",
    "publish",
    "--model",
    "rpi4",
    "--version",
    "1.0.0",
];

fn with<'a>(base: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [base, more].concat()
}

/// Makes key files, each named for its owner and role; returns the ids.
async fn keys(house: &House, names: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for name in names {
        let role = name.split('-').next_back().unwrap();
        let file = format!("{name}.key");
        let made = ["--json", "key", "generate", "--role", role, "--out", &file];
        let made = house.otter(&with(&made, &["--comment", name])).await.json();
        ids.push(made["key_id"].as_str().unwrap().to_owned());
    }
    ids
}

/// Two people of three sign roots, both of two sign releases; nobody has another's key.
async fn people() -> (House, Vec<String>) {
    let house = House::new().await;
    let names = [
        "ada-root",
        "bob-root",
        "cyd-root",
        "ada-targets",
        "bob-targets",
    ];
    let ids = keys(&house, &names).await;
    for name in &names[1..] {
        let public = house
            .otter(&["key", "export", &format!("{name}.key")])
            .await
            .ok();
        write(house.path(&format!("{name}.pub")), public);
    }
    let init = [
        "trust",
        "init",
        "--root-key",
        "ada-root.key",
        "--root-key",
        "bob-root.pub",
        "--root-key",
        "cyd-root.pub",
        "--threshold",
        "2",
        "--targets-key",
        "ada-targets.key",
        "--targets-key",
        "bob-targets.pub",
        "--targets-threshold",
        "2",
    ];
    let begun = house.otter(&init).await;
    begun.ok();
    assert!(
        begun.stderr().contains("asks for 2 signatures and has 1"),
        "{}",
        begun.stderr()
    );
    assert!(lock(&house.world).publishing.root.is_none());
    (house, ids)
}

/// The same, with the root signed by a second person and published.
async fn trusted_people() -> (House, Vec<String>) {
    let (house, ids) = people().await;
    let sign = [
        "trust",
        "sign",
        "root.json",
        "--key",
        "cyd-root.key",
        "--yes",
    ];
    house.otter(&sign).await.ok();
    house.otter(&["trust", "publish", "root.json"]).await.ok();
    (house, ids)
}

/// Drafts a release by hand, as somebody does who has no key: its signature comes from others.
async fn signed_by_two(house: &House) {
    write(house.path("app/run"), "#!/bin/sh\n");
    let alone = with(&PUBLISH, &["--key", "ada-targets.key", "app"]);
    let error = house.otter(&alone).await.fails(1);
    assert!(
        error.contains("asks for 2 signatures, and 1 came together"),
        "{error}"
    );
    let begin = [
        "release",
        "sign",
        "1.0.0",
        "--key",
        "ada-targets.key",
        "--yes",
        "--out",
        "list.json",
    ];
    let begun = house.otter(&begin).await.ok();
    assert!(begun.contains("1 of 2 signatures"), "{begun}");
    let early = house
        .otter(&["trust", "publish", "list.json"])
        .await
        .fails(1);
    assert!(early.contains("1 of the 2 signatures"), "{early}");
    let sign = [
        "trust",
        "sign",
        "list.json",
        "--key",
        "bob-targets.key",
        "--root",
        "root.json",
        "--yes",
    ];
    house.otter(&sign).await.ok();
    house.otter(&["trust", "publish", "list.json"]).await.ok();
    assert_eq!(lock(&house.world).publishing.signed().len(), 1);
}

fn root(house: &House) -> Root {
    Root::parse(lock(&house.world).publishing.root.as_ref().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_set_up_trust_and_sign_releases_one_after_another() {
    let (house, ids) = people().await;
    let unfinished = house
        .otter(&["trust", "publish", "root.json"])
        .await
        .fails(1);
    assert!(unfinished.contains("1 of the 2 signatures"), "{unfinished}");
    // Nobody is asked in a pipe, and a key of another role signs nothing.
    let sign = ["trust", "sign", "root.json", "--key", "bob-root.key"];
    assert!(house.otter(&sign).await.fails(2).contains("--yes"));
    let wrong = [
        "trust",
        "sign",
        "root.json",
        "--key",
        "bob-targets.key",
        "--yes",
    ];
    assert!(
        house
            .otter(&wrong)
            .await
            .fails(1)
            .contains("is a targets key")
    );
    let shown = house
        .otter(&with(&["--json"], &with(&sign, &["--yes"])))
        .await
        .json();
    assert_eq!(shown["signed_by"], serde_json::json!([ids[0], ids[1]]));
    house.otter(&["trust", "publish", "root.json"]).await.ok();
    signed_by_two(&house).await;

    let shown = house.otter(&["trust", "show"]).await.ok();
    for id in &ids {
        assert!(shown.contains(id.as_str()), "{shown}");
    }
    assert!(
        shown.contains("1.0.0 for rpi4") && shown.contains("(2 needed)"),
        "{shown}"
    );
    let address = house.address.clone();
    let walked = house.otter(&["trust", "verify", &address]).await.ok();
    assert!(
        walked.contains("root 1, targets 1, snapshot 1, timestamp 1"),
        "{walked}"
    );
    let fingerprint =
        otter_protocol::Sha256Digest::of(&std::fs::read(house.path("root.json")).unwrap());
    for text in [&shown, &walked] {
        assert!(text.contains(&fingerprint.to_string()), "{text}");
    }
    let listed = house.otter(&["key", "list"]).await.ok();
    assert_eq!(listed.lines().count(), 6, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_root_key_is_replaced_by_those_who_are_left() {
    let (house, ids) = trusted_people().await;
    keys(&house, &["dan-root"]).await;
    let revoke = [
        "trust",
        "revoke",
        &ids[1][..12],
        "--replace-with",
        "dan-root.key",
        "--root",
        "root.json",
    ];
    let begun = house
        .otter(&with(&revoke, &["--key", "ada-root.key"]))
        .await;
    begun.ok();
    assert!(
        begun
            .stderr()
            .contains("the root before it asks for 2 signatures and has 1"),
        "{}",
        begun.stderr()
    );
    assert_eq!(root(&house).version, 1);
    // Two of the new keys, but one of the old: too few.
    let sign = [
        "trust",
        "sign",
        "2.root.json",
        "--root",
        "root.json",
        "--yes",
        "--key",
    ];
    let by_dan = house.otter(&with(&sign, &["dan-root.key"])).await;
    by_dan.ok();
    assert!(
        by_dan.stderr().contains("needs more"),
        "{}",
        by_dan.stderr()
    );
    let refused = house
        .otter(&["trust", "publish", "2.root.json"])
        .await
        .fails(1);
    assert!(refused.contains("1 of the 2 signatures"), "{refused}");
    house.otter(&with(&sign, &["cyd-root.key"])).await.ok();
    house.otter(&["trust", "publish", "2.root.json"]).await.ok();
    let root = root(&house);
    assert_eq!(
        (root.version, root.root.keys.len(), root.root.threshold),
        (2, 3, 2)
    );
    assert!(!root.root.keys.iter().any(|key| key.key_id() == ids[1]));
    // The old pinned root still leads there.
    let verify = [
        "trust",
        "verify",
        "--root",
        "root.json",
        &house.address.clone(),
    ];
    let nothing_signed = house.otter(&verify).await.fails(1);
    assert!(
        nothing_signed.contains("no timestamp.json"),
        "{nothing_signed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_targets_key_is_revoked_and_the_list_signed_anew() {
    let (house, ids) = trusted_people().await;
    signed_by_two(&house).await;
    keys(&house, &["eve-targets"]).await;
    // Without another in its place nobody could sign.
    let revoke = [
        "trust",
        "revoke",
        "bob-targets.key",
        "--key",
        "ada-root.key",
        "--key",
        "bob-root.key",
    ];
    let error = house.otter(&revoke).await.fails(1);
    assert!(error.contains("nobody could sign any more"), "{error}");
    let revoked = house
        .otter(&with(&revoke, &["--replace-with", "eve-targets.key"]))
        .await;
    revoked.ok();
    assert!(
        revoked.stderr().contains("otter trust renew"),
        "{}",
        revoked.stderr()
    );
    let list = lock(&house.world).publishing.targets.clone().unwrap();
    let new_root = lock(&house.world).publishing.root.clone().unwrap();
    let now = otter_trust::Timestamp::now();
    let error = verify_targets(&new_root, &list, now).unwrap_err();
    assert!(
        matches!(error, TrustError::TooFewSignatures { found: 1, .. }),
        "{error}"
    );

    let with_the_old = [
        "trust",
        "renew",
        "--key",
        "ada-targets.key",
        "--key",
        "bob-targets.key",
    ];
    let error = house.otter(&with_the_old).await.fails(1);
    assert!(
        error.contains(&ids[4]) && error.contains("is not among those"),
        "{error}"
    );
    let renew = [
        "trust",
        "renew",
        "--root",
        "root.json",
        "--key",
        "ada-targets.key",
        "--key",
        "eve-targets.key",
    ];
    let renewed = house.otter(&renew).await.ok();
    assert!(renewed.contains("version 2"), "{renewed}");
    assert_eq!(lock(&house.world).publishing.signed().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_changes_keys_thresholds_and_life() {
    let (house, ids) = trusted_people().await;
    let two = [
        "trust",
        "rotate",
        "--key",
        "ada-root.key",
        "--key",
        "cyd-root.key",
    ];
    let impossible = house
        .otter(&with(&two, &["--threshold", "9"]))
        .await
        .fails(1);
    assert!(
        impossible.contains("asks for 9 signatures of 3 keys"),
        "{impossible}"
    );
    let change = [
        "--remove-root-key",
        "bob-root.pub",
        "--threshold",
        "1",
        "--targets-threshold",
        "1",
    ];
    house
        .otter(&with(&two, &with(&change, &["--expires-days", "30"])))
        .await
        .ok();
    let now = root(&house);
    assert_eq!(
        (now.version, now.root.threshold, now.targets.threshold),
        (2, 1, 1)
    );
    let days = now
        .expires
        .duration_since(otter_trust::Timestamp::now())
        .as_hours()
        / 24;
    assert!((29..=30).contains(&days), "{days}");
    let unknown = with(&two, &["--remove-root-key", &ids[1][..12]]);
    let error = house.otter(&unknown).await.fails(1);
    assert!(error.contains("none of the root keys"), "{error}");
    // One key is enough now; a file that is there is never replaced.
    let again = ["trust", "rotate", "--key", "ada-root.key", "--server-keys"];
    let there = house
        .otter(&with(&again, &["--out", "2.root.json"]))
        .await
        .fails(1);
    assert!(there.contains("is there already"), "{there}");
    house.otter(&again).await.ok();
    assert_eq!(root(&house).version, 3);
}
