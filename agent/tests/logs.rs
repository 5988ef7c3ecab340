//! The server gets the log of an attempt that went wrong: whole, once, and without secrets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use common::device::Device;
use common::eventually;
use common::publisher::Publisher;
use common::server::{DEVICE_TOKEN, ENROLLMENT_TOKEN, Server};
use otter_protocol::{AttemptId, AttemptState};

/// What the service prints that nobody else is to read.
const PASSWORD: &str = "correct-horse-battery";

struct Fleet {
    server: Server,
    publisher: Publisher,
    device: Device,
}

impl Fleet {
    async fn new(more: &str) -> Self {
        let server = Server::start().await;
        let device = Device::with(&server, more);
        device.edit(
            "env = { OUT",
            &format!("env = {{ BROKER_PASSWORD = \"{PASSWORD}\", OUT"),
        );
        Self {
            server,
            publisher: Publisher::new(),
            device,
        }
    }

    fn offer(&mut self, version: &str, is_broken: bool) -> AttemptId {
        let tree = self.device.tree(version, is_broken);
        if is_broken {
            let text = std::fs::read_to_string(tree.join("run")).unwrap();
            let chatty = format!(
                "echo \"the broker takes $BROKER_PASSWORD, token={DEVICE_TOKEN}\"\n  echo \"out of"
            );
            let text = text.replace("echo \"out of", &chatty);
            std::fs::write(tree.join("run"), text).unwrap();
        }
        let release = self.publisher.release(version, &tree);
        self.server.fleet().files = self.publisher.files.clone();
        self.server.offer(&release)
    }

    async fn log_of(&self, attempt: AttemptId) -> String {
        let what = format!("the log of attempt {attempt}");
        eventually(&what, || {
            let fleet = self.server.fleet();
            let mut logs = fleet.logs.iter().filter(|(id, _)| *id == attempt);
            logs.next().map(|(_, text)| text.clone())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_in_full_through_an_outage_and_restarts() {
    let mut fleet = Fleet::new("").await;
    fleet.device.start();
    fleet.device.answers_with("1.0.0").await;
    fleet.server.fleet().logs_are_down = true;
    let attempt = fleet.offer("1.1.0", true);
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::RolledBack);
    let waits = || (fleet.device.journal().logs == [attempt]).then_some(());
    eventually("the log to wait", waits).await;

    // What comes after is not held up by a log that waits, and neither is the log by a restart.
    let second = fleet.offer("1.2.0", false);
    let end = fleet.server.end_of(second).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    fleet.device.kill();
    fleet.server.fleet().logs_are_down = false;
    fleet.device.start();
    let log = fleet.log_of(attempt).await;
    let head = "on device-1 (otter-board): attempt 1 from 1.0.0 to 1.1.0\n";
    assert!(
        log.starts_with("otter-agent ") && log.contains(head),
        "{log}"
    );
    for line in [
        "Z downloading\n",
        "Z health check\n",
        "the old version comes back: the service exited with status 3",
        "the service: the broker takes [redacted], token=[redacted]\n",
        "the service: out of otters in 1.1.0\n",
        "Z rolled_back: the service exited",
    ] {
        assert!(log.contains(line), "no {line:?} in {log}");
    }
    for secret in [DEVICE_TOKEN, ENROLLMENT_TOKEN, PASSWORD] {
        assert!(!log.contains(secret), "{log}");
    }
    let is_done = || fleet.device.journal().logs.is_empty().then_some(());
    eventually("the log to be settled", is_done).await;
    let folder = fleet.device.state().join("logs");
    let is_tidy = || (std::fs::read_dir(&folder).unwrap().count() == 0).then_some(());
    eventually("the log to be removed", is_tidy).await;
    let all: Vec<AttemptId> = fleet
        .server
        .fleet()
        .logs
        .iter()
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(all, [attempt], "a success has no log to be sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_sent_of_all_or_of_none_where_that_is_asked_for() {
    let mut always = Fleet::new("upload_logs = \"always\"").await;
    always.device.start();
    let attempt = always.offer("1.1.0", false);
    let log = always.log_of(attempt).await;
    assert!(log.ends_with("Z succeeded\n"), "{log}");

    let mut never = Fleet::new("upload_logs = \"never\"").await;
    never.device.start();
    let attempt = never.offer("1.1.0", true);
    never.server.end_of(attempt).await;
    let attempt = never.offer("1.2.0", false);
    never.server.end_of(attempt).await;
    assert!(never.server.fleet().logs.is_empty());
    assert!(!never.device.state().join("logs").exists());
}
