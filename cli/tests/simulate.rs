//! Simulated devices against the device API: they come up on the new version, or fail as told, and say so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{House, Ran, lock, write};
use otter_protocol::AttemptState as State;
use serde_json::Value;

const STEPS: [State; 6] = [
    State::Downloading,
    State::Downloaded,
    State::Installing,
    State::Rebooting,
    State::Verifying,
    State::Succeeded,
];

/// A house with a release of an artifact that takes several reads.
async fn house() -> House {
    let house = House::with_trust().await;
    write(house.path("image"), vec![5; 400_000]);
    let publish = [
        "release",
        "publish",
        "--key",
        "targets.key",
        "--version",
        "1.1.0",
        "--kind",
        "image",
        "--model",
        "a",
        "--model",
        "b",
        "image",
    ];
    house.otter(&publish).await.ok();
    house
}

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let common = [
        "simulate",
        "--json",
        "--models",
        "a,b",
        "--interval",
        "50ms",
        "--step",
        "10ms",
        "--enrollment-token",
        "ote_test",
    ];
    [&common[..], more].concat()
}

fn summary(ran: &Ran) -> Value {
    let printed = ran.stdout();
    let last = printed.lines().last().expect("a summary");
    serde_json::from_str::<Value>(last).unwrap()["summary"].clone()
}

async fn simulate(house: &House, more: &[&str]) -> Value {
    let ran = house.otter(&arguments(more)).await;
    ran.ok();
    summary(&ran)
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_go_through_an_attempt_and_two_roll_back() {
    let house = house().await;
    let more = [
        "--devices",
        "6",
        "--fail",
        "1",
        "--fail-device",
        "sim-0002",
        "--until-idle",
        "500ms",
    ];
    let summary = simulate(&house, &more).await;
    assert_eq!(summary["states"]["idle"], 6);
    let failed = summary["attempts"]["rolled_back"].as_u64().unwrap();
    // The one by hash may be the one that is named.
    assert!((1..=2).contains(&failed), "{summary}");
    assert_eq!(summary["versions"]["1.0.0"], failed);
    assert_eq!(summary["versions"]["1.1.0"], 6 - failed);
    assert_eq!(summary["downloaded_bytes"], 6 * 400_000);

    let devices = &lock(&house.world).devices;
    let [steps @ .., _] = STEPS;
    assert_eq!(
        devices.states_of("sim-0002"),
        [&steps[..], &[State::RolledBack]].concat()
    );
    let attempt = devices
        .attempts
        .iter()
        .find(|one| one.device == "sim-0002")
        .unwrap();
    let message = attempt.reports.last().unwrap().message.clone().unwrap();
    assert!(message.ends_with("rolled back to 1.0.0"), "{message}");
    let succeeded = devices
        .attempts
        .iter()
        .filter(|one| one.state == State::Succeeded);
    assert_eq!(succeeded.count() as u64, 6 - failed);
    for id in ["sim-0001", "sim-0003", "sim-0004"] {
        if devices.versions[id].as_str() == "1.1.0" {
            assert_eq!(devices.states_of(id), STEPS);
        }
    }
    assert_eq!(devices.models["sim-0002"].as_str(), "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_goes_on_where_it_was() {
    let house = house().await;
    lock(&house.world).devices.cuts = (2, 100_000);
    let summary = simulate(&house, &["--devices", "1", "--until-idle", "2s"]).await;
    assert_eq!(summary["attempts"]["succeeded"], 1, "{summary}");
    assert_eq!(summary["retries"], 2);
    let devices = &lock(&house.world).devices;
    assert_eq!((devices.served, devices.cuts.0), (400_000, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_than_offered_are_not_installed() {
    let house = house().await;
    lock(&house.world).devices.poisons = true;
    let summary = simulate(&house, &["--devices", "1", "--until-idle", "500ms"]).await;
    assert_eq!(summary["attempts"]["failed"], 1, "{summary}");
    assert_eq!(summary["versions"]["1.0.0"], 1);
    let devices = &lock(&house.world).devices;
    assert_eq!(
        devices.states_of("sim-0001"),
        [State::Downloading, State::Failed]
    );
    let message = &devices.attempts[0].reports[1].message;
    assert!(message.as_ref().unwrap().contains("SHA-256"), "{message:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_is_taken_back_is_not_installed() {
    let house = house().await;
    lock(&house.world).devices.cancels = true;
    let summary = simulate(&house, &["--devices", "1", "--until-idle", "500ms"]).await;
    assert_eq!(summary["attempts"]["cancelled"], 1, "{summary}");
    assert_eq!(summary["versions"]["1.0.0"], 1);
    let states = lock(&house.world).devices.states_of("sim-0001");
    assert_eq!(
        states,
        [State::Downloading, State::Downloaded, State::Cancelled]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_given_the_time_that_it_asks_for() {
    let house = House::new().await;
    lock(&house.world).devices.busy = 1;
    let began = Instant::now();
    let more = ["--devices", "1", "--duration", "1900ms"];
    let summary = simulate(&house, &more).await;
    assert!(began.elapsed() >= Duration::from_millis(1900));
    assert_eq!(summary["retries"], 1);
    // One was refused; without Retry-After some 38 would have come.
    assert!(lock(&house.world).devices.check_ins < 25, "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_has_the_same_devices() {
    let house = House::new().await;
    let more = ["--devices", "3", "--state", "kept", "--until-idle", "200ms"];
    simulate(&house, &more).await;
    let keys = lock(&house.world).devices.public_keys.clone();
    let again = simulate(&house, &more).await;
    assert_eq!(again["states"]["idle"], 3);
    assert_eq!(lock(&house.world).devices.public_keys, keys);

    // Without their keys they are strangers.
    let strangers = house.otter(&arguments(&["--devices", "3"])).await;
    let error = strangers.fails(1);
    assert!(
        error.contains("another key") && error.contains("--state"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_nobody_gets_in() {
    let house = House::new().await;
    let more = [
        "simulate",
        "--devices",
        "3",
        "--enrollment-token",
        "ote_wrong",
    ];
    let error = house.otter(&more).await.fails(1);
    assert!(error.contains("otter enrollment-token create"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_a_run_with_its_summary() {
    let house = House::new().await;
    let mut command = house.command(&arguments(&["--devices", "4"]));
    let run = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while lock(&house.world).devices.check_ins < 8 {
        assert!(Instant::now() < deadline, "no device checked in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let id = run.id().unwrap().to_string();
    let sent = tokio::process::Command::new("kill")
        .args(["-INT", &id])
        .status()
        .await;
    assert!(sent.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(30), run.wait_with_output()).await;
    let ran = Ran(ended.expect("an end").unwrap());
    ran.ok();
    assert_eq!(summary(&ran)["devices"], 4);
}
