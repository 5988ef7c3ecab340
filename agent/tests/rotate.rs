//! The device changes its key and its token, and takes part whatever is lost on the way.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use std::fs;

use common::device::Device;
use common::eventually;
use common::server::{DEVICE_TOKEN, Server};

fn token(device: &Device) -> String {
    fs::read_to_string(device.state().join("device.token")).unwrap()
}

fn key(device: &Device) -> String {
    fs::read_to_string(device.state().join("device.key")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_changes_key_and_token_and_the_next_check_in_counts() {
    let server = Server::start().await;
    let device = Device::new(&server);
    let run = |arguments: &[&str]| {
        let output = tokio::task::block_in_place(|| device.run(arguments));
        assert!(output.status.success(), "{output:?}");
    };
    run(&["enroll"]);
    let before = key(&device);
    run(&["rotate"]);
    assert_eq!(token(&device), format!("{DEVICE_TOKEN}-1"));
    assert_ne!(key(&device), before);
    assert!(!device.state().join("device.key.next").exists());
    run(&["check"]);
    assert_eq!(server.fleet().enrollments.len(), 1);
    assert_eq!(server.fleet().check_ins.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_answer_was_lost_is_found_out() {
    let server = Server::start().await;
    let device = Device::new(&server);
    let run = |arguments: &[&str]| tokio::task::block_in_place(|| device.run(arguments));
    assert!(run(&["enroll"]).status.success());
    server.fleet().loses_a_rotation = true;
    assert!(!run(&["rotate"]).status.success());
    assert_eq!(token(&device), DEVICE_TOKEN, "the answer didn't come");
    assert!(device.state().join("device.key.next").exists());
    assert!(run(&["rotate"]).status.success());
    let (rotated, enrolled) = {
        let fleet = server.fleet();
        (fleet.rotations.clone(), fleet.enrollments.clone())
    };
    assert_eq!(rotated.len(), 1);
    assert_eq!(enrolled[1].public_key, rotated[0].public_key);
    assert_eq!(token(&device), format!("{DEVICE_TOKEN}-1"));
    assert!(!device.state().join("device.key.next").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_so_many_days_the_agent_changes_them_by_itself() {
    let server = Server::start().await;
    let mut device = Device::with(&server, "rotate_key_days = 30");
    device.start();
    let since = device.state().join("device.key.since");
    eventually("the first count", || since.exists().then_some(())).await;
    device.stop().await;
    assert_eq!(server.fleet().rotations.len(), 0);
    fs::write(&since, "2026-01-01T00:00:00Z").unwrap();
    device.start();
    eventually("a new token", || {
        (token(&device) != DEVICE_TOKEN).then_some(())
    })
    .await;
    device.stop().await;
    assert_eq!(server.fleet().rotations.len(), 1);
    assert_eq!(server.fleet().enrollments.len(), 1);
}
