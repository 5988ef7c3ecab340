//! What scripts rely on: exit codes, JSON, keys that are never printed or replaced.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]

mod common;

use std::time::Duration;

use common::{API_KEY, House, lock, write};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_what_happened() {
    let house = House::new().await;
    house.otter(&["trust", "show"]).await.ok();
    let error = house.otter(&["release", "show", "7"]).await.fails(1);
    assert_eq!(error, "otter: Not found: There is no release 7.\n");
    house.otter(&["release", "shew", "7"]).await.fails(2);

    let refused = house.otter(&["--api-key", "otk_wrong", "trust", "show"]);
    let error = refused.await.fails(4);
    assert!(error.contains("OTTER_API_KEY"), "{error}");
    assert!(!error.contains("otk_wrong"), "{error}");

    let nobody = ["--server", "http://127.0.0.1:1", "trust", "show"];
    let error = house.otter(&nobody).await.fails(4);
    assert!(
        error.contains("can't be reached") && error.contains("refused"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_get_errors_as_json_and_help_shows_no_key() {
    let house = House::new().await;
    let error = house
        .otter(&["--json", "release", "show", "7"])
        .await
        .fails(1);
    let error: Value = serde_json::from_str(&error).unwrap();
    assert_eq!(error["error"]["code"], "not_found");
    let help = house.otter(&["--help"]).await.ok();
    assert!(
        help.contains("Exit codes") && !help.contains(API_KEY),
        "{help}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_private_and_never_replaced() {
    use std::os::unix::fs::PermissionsExt as _;

    let house = House::new().await;
    let generate = [
        "key",
        "generate",
        "--role",
        "targets",
        "--out",
        "targets.key",
    ];
    let made = house
        .otter(&[&generate[..], &["--json"]].concat())
        .await
        .json();
    let path = house.path("targets.key");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&path).unwrap();
    let error = house.otter(&generate).await.fails(1);
    assert!(error.contains("not replaced"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let shown = house
        .otter(&["key", "show", "targets.key", "--json"])
        .await
        .json();
    assert_eq!(shown, made);
    assert_eq!(shown["role"], "targets");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_passphrase_and_a_person_a_key_is_not_made() {
    let house = House::new().await;
    let mut command = house.command(&["key", "generate", "--role", "root", "--out", "root.key"]);
    let ran = command
        .env_remove("OTTER_PASSPHRASE")
        .output()
        .await
        .unwrap();
    assert_eq!(ran.status.code(), Some(2));
    let error = String::from_utf8(ran.stderr).unwrap();
    assert!(error.contains("--passphrase-file"), "{error}");
    assert!(!house.path("root.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_is_made_once() {
    let house = House::with_trust().await;
    let shown = house.otter(&["trust", "show"]).await.ok();
    assert!(shown.contains("root       version 1"), "{shown}");
    let init = [
        "trust",
        "init",
        "--root-key",
        "root.key",
        "--targets-key",
        "targets.key",
    ];
    let error = house.otter(&init).await.fails(1);
    assert!(error.contains("root.json is there already"), "{error}");
    let error = house.otter(&[&init[..], &["--out", "other.json"]].concat());
    let error = error.await.fails(1);
    assert!(error.contains("root version 1 already"), "{error}");
}

async fn house_with_rollout() -> House {
    let house = House::with_trust().await;
    write(house.path("app/run"), "1");
    let publish = [
        "release",
        "publish",
        "--key",
        "targets.key",
        "--version",
        "1.1.0",
    ];
    let publish = [&publish[..], &["--model", "rpi4", "app"]].concat();
    house.otter(&publish).await.ok();
    let create = [
        "rollout",
        "create",
        "--release",
        "1.1.0",
        "--name",
        "to 1.1.0",
        "--phases",
        "5,100",
        "--json",
    ];
    let made = house.otter(&create).await.json();
    assert_eq!((&made["id"], &made["release"]), (&json!(1), &json!(1)));
    house
}

async fn watched(state: &str, actor: &str) -> common::Ran {
    let house = house_with_rollout().await;
    {
        let mut world = lock(&house.world);
        world.rollouts[0]["state"] = json!(state);
        world.rollouts[0]["state_reason"] = json!("phase canary: 2 of 5 failed");
        world.last_actor = actor.to_owned();
    }
    house
        .otter(&["rollout", "watch", "1", "--timeout", "300ms"])
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_ends_as_the_rollout_does() {
    watched("completed", "").await.ok();
    let error = watched("aborted", "user:eve").await.fails(3);
    assert!(error.contains("2 of 5 failed"), "{error}");
    let error = watched("paused", "engine").await.fails(3);
    assert!(error.contains("rollout show 1"), "{error}");
    // A person may resume what a person paused; here only the time ends it.
    let error = watched("paused", "user:eve").await.fails(3);
    assert!(error.contains("isn't at its end in time"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_prints_a_line_for_each_change() {
    let house = house_with_rollout().await;
    let mut command = house.command(&["rollout", "watch", "1", "--every", "100ms"]);
    let mut watch = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = watch.stdout.take().unwrap();
    let mut printed = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(30), out.read(&mut printed));
    let read = read.await.expect("a line").unwrap();
    let first = String::from_utf8(printed[..read].to_vec()).unwrap();
    assert!(
        first.contains("running, phase 1/2 5 %: 1 succeeded"),
        "{first}"
    );

    lock(&house.world).rollouts[0]["state"] = json!("completed");
    let status = tokio::time::timeout(Duration::from_secs(30), watch.wait()).await;
    assert_eq!(status.expect("an end").unwrap().code(), Some(0));
    let mut rest = String::new();
    out.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest.lines().count(), 1, "{rest}");
    assert!(rest.contains("completed"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_devices_log_is_read_without_obeying_it() {
    let house = House::new().await;
    let log = ["device", "log", "gateway-17"];
    let newest = house.otter(&log).await.ok();
    assert_eq!(newest, "begins 2\n\u{fffd}[2Jends\n");
    let first = house.otter(&[&log[..], &["--attempt", "1", "--json"]].concat());
    let first = first.await.json();
    assert_eq!(first["attempt"], 1);
    assert_eq!(first["log"], "begins 1\n\u{1b}[2Jends\n");
    let none = house.otter(&[&log[..], &["--attempt", "3"]].concat());
    let error = none.await.fails(1);
    assert!(
        error.contains("no log of attempt 3 of gateway-17"),
        "{error}"
    );
}
