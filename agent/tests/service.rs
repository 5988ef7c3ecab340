//! The service is kept running, once, whatever happens to it or to the agent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::device::Device;
use common::eventually;
use common::server::{DEVICE_TOKEN, Server};
use rustix::process::{Pid, Signal, kill_process};

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_dies_is_started_again() {
    let server = Server::start().await;
    let mut device = Device::new(&server);
    device.start();
    let first = device.answers_with("1.0.0").await;
    kill(first);
    let second = eventually("another service", || {
        device.answers().filter(|(_, pid)| *pid != first)
    })
    .await;
    assert_eq!(second.0, "1.0.0");
    assert!(device.log().contains("was killed by signal 9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_outlives_its_agent_and_is_taken_over_as_it_is() {
    let server = Server::start().await;
    let mut device = Device::new(&server);
    device.start();
    let pid = device.answers_with("1.0.0").await;
    device.kill();
    assert_eq!(device.services(), [pid]);
    let before = server.fleet().check_ins.len();
    device.start();
    eventually("the next agent to check in", || {
        (server.fleet().check_ins.len() > before).then_some(())
    })
    .await;
    assert_eq!(device.services(), [pid]);
    // It is kept running from then on, though it is not the agent's own child.
    kill(pid);
    eventually("another service", || {
        device.answers().filter(|(_, other)| *other != pid)
    })
    .await;
    assert_eq!(device.services().len(), 1);
    device.stop().await;
    assert!(device.services().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_left_by_another_configuration_is_replaced() {
    let server = Server::start().await;
    let mut device = Device::new(&server);
    device.start();
    let pid = device.answers_with("1.0.0").await;
    device.kill();
    let config = device.path("otter-agent.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        text.replace("[\"./run\"]", "[\"./run\", \"--louder\"]"),
    )
    .unwrap();
    device.start();
    eventually("another service", || {
        device.answers().filter(|(_, other)| *other != pid)
    })
    .await;
    assert_eq!(device.services().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_is_turned_away() {
    let server = Server::start().await;
    let mut device = Device::new(&server);
    device.start();
    let pid = device.answers_with("1.0.0").await;
    for command in ["run", "enroll"] {
        let output = device.run(&[command]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(
            error.contains("another agent (process "),
            "{command}: {error}"
        );
    }
    assert_eq!(device.services(), [pid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_named_with_file_and_line() {
    let server = Server::start().await;
    let device = Device::with(&server, "colour = \"brown\"");
    let output = device.run(&["status"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("unknown field `colour`"), "{error}");
    assert!(
        error.contains("otter-agent.toml") && error.contains("line 7"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn enrollment_waits_for_an_operator_and_keeps_its_secrets() {
    let server = Server::start().await;
    server.fleet().accepts = false;
    let mut device = Device::new(&server);
    let config = device.path("otter-agent.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let (before, after) = text.split_once("enrollment_token").unwrap();
    let after = after.split_once('\n').unwrap().1;
    std::fs::write(&config, format!("{before}{after}")).unwrap();

    let output = tokio::task::block_in_place(|| device.run(&["enroll"]));
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("an operator has to accept"), "{text}");
    device.start();
    device.answers_with("1.0.0").await;
    assert!(server.fleet().check_ins.is_empty());
    server.fleet().accepts = true;
    let token = device.state().join("device.token");
    eventually("a token", || token.exists().then_some(())).await;
    for secret in ["device.token", "device.key"] {
        let facts = std::fs::metadata(device.state().join(secret)).unwrap();
        assert_eq!(facts.permissions().mode() & 0o777, 0o600, "{secret}");
    }
    let keys: std::collections::BTreeSet<String> = {
        let fleet = server.fleet();
        fleet
            .enrollments
            .iter()
            .map(|request| request.public_key.clone())
            .collect()
    };
    assert_eq!(keys.len(), 1, "the key is made once");
    eventually("a check-in", || {
        (!server.fleet().check_ins.is_empty()).then_some(())
    })
    .await;
    assert!(!device.log().contains(DEVICE_TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_counts_no_more_is_asked_for_again() {
    let server = Server::start().await;
    let mut device = Device::new(&server);
    device.start();
    eventually("a check-in", || {
        (!server.fleet().check_ins.is_empty()).then_some(())
    })
    .await;
    {
        let mut fleet = server.fleet();
        fleet.token = "otd_another".to_owned();
        fleet.check_ins.clear();
    }
    eventually("a check-in with the new token", || {
        (!server.fleet().check_ins.is_empty()).then_some(())
    })
    .await;
    assert_eq!(server.fleet().enrollments.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_without_certificate_authorities_keeps_its_service_and_its_updates() {
    let server = Server::start().await;
    let mut device = Device::new(&server);
    device.env("SSL_CERT_FILE", "/nowhere/certificates.pem");
    device.env("SSL_CERT_DIR", "/nowhere");
    device.start();
    device.answers_with("1.0.0").await;
    eventually("a check-in", || {
        (!server.fleet().check_ins.is_empty()).then_some(())
    })
    .await;
    eventually("the word of what is missing", || {
        device
            .log()
            .contains("Install ca-certificates")
            .then_some(())
    })
    .await;
}
