//! A release reaches a device: it stays where it is healthy, and leaves where it is not.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use common::device::Device;
use common::eventually;
use common::publisher::{Publisher, Release};
use common::server::{Artifacts, DEVICE_TOKEN, ENROLLMENT_TOKEN, Server};
use otter_protocol::AttemptState;

struct Fleet {
    server: Server,
    publisher: Publisher,
    device: Device,
}

impl Fleet {
    async fn new() -> Self {
        let server = Server::start().await;
        Self {
            device: Device::new(&server),
            server,
            publisher: Publisher::new(),
        }
    }

    fn publish(&mut self, version: &str, is_broken: bool) -> Release {
        let tree = self.device.tree(version, is_broken);
        let release = self.publisher.release(version, &tree);
        self.server.fleet().files = self.publisher.files.clone();
        release
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_release_is_installed_and_says_so_itself() {
    let mut fleet = Fleet::new().await;
    fleet.device.start();
    fleet.device.answers_with("1.0.0").await;
    let release = fleet.publish("1.1.0", false);
    let attempt = fleet.server.offer(&release);
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    assert_eq!(end.version, Some("1.1.0".into()));
    fleet.device.answers_with("1.1.0").await;
    assert_eq!(fleet.device.services().len(), 1);
    assert_eq!(fleet.device.whole_version(), "1.1.0");
    let states = fleet.server.fleet().states(attempt);
    let story = [
        AttemptState::Downloading,
        AttemptState::Downloaded,
        AttemptState::Installing,
        AttemptState::Verifying,
        AttemptState::Succeeded,
    ];
    assert_eq!(states, story);
    let says_so = || {
        let fleet = fleet.server.fleet();
        fleet
            .check_ins
            .iter()
            .any(|c| c.version == "1.1.0".into())
            .then_some(())
    };
    eventually("a check-in with the new version", says_so).await;

    let status = fleet.device.run(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["version"], "1.1.0");
    assert_eq!(status["previous_version"], "1.0.0");
    assert!(status["agent_pid"].is_string(), "{status}");
    let history = fleet.device.run(&["history"]);
    let history = String::from_utf8(history.stdout).unwrap();
    assert!(
        history.contains("from 1.0.0 to 1.1.0, succeeded"),
        "{history}"
    );
    let log = fleet.device.log();
    assert!(!log.contains(DEVICE_TOKEN) && !log.contains(ENROLLMENT_TOKEN));

    fleet.device.stop().await;
    assert!(
        fleet.device.services().is_empty(),
        "the service goes with the agent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_after_another_keeps_two_versions() {
    let mut fleet = Fleet::new().await;
    fleet.device.start();
    for version in ["1.1.0", "1.2.0", "1.3.0"] {
        let release = fleet.publish(version, false);
        let attempt = fleet.server.offer(&release);
        let end = fleet.server.end_of(attempt).await;
        assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    }
    let versions = fleet.device.path("root/versions");
    let left = || {
        let mut names: Vec<_> = std::fs::read_dir(&versions)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        (names == ["2-1.2.0", "3-1.3.0"]).then_some(())
    };
    eventually("older versions to be gone", left).await;
    let downloads = fleet.device.state().join("downloads");
    eventually("downloads to be gone", || {
        (std::fs::read_dir(&downloads).unwrap().count() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_dies_is_rolled_back_with_its_own_words() {
    let mut fleet = Fleet::new().await;
    fleet.device.start();
    fleet.device.answers_with("1.0.0").await;
    let release = fleet.publish("1.2.0", true);
    let attempt = fleet.server.offer(&release);
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::RolledBack);
    let message = end.message.unwrap();
    assert!(
        message.starts_with("the service exited with status 3 within"),
        "{message}"
    );
    assert!(message.ends_with(": out of otters in 1.2.0"), "{message}");
    fleet.device.answers_with("1.0.0").await;
    assert_eq!(fleet.device.services().len(), 1);
    assert_eq!(fleet.device.whole_version(), "1.0.0");
    assert_eq!(
        fleet.device.journal().installed.unwrap().version,
        "1.0.0".into()
    );

    // The next release is no worse off for it.
    let release = fleet.publish("1.3.0", false);
    let attempt = fleet.server.offer(&release);
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_lives_but_is_not_healthy_is_rolled_back() {
    let mut fleet = Fleet::new().await;
    let config = fleet.device.path("otter-agent.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text
        .replace("interval_sec = 0.05\n\"", "")
        .replace("deadline_sec = 30", "deadline_sec = 3")
        + "[[health.check]]\nkind = \"command\"\ncommand = [\"/bin/sh\", \"-c\", \"cat MOOD; test ! -f MOOD\"]\nretries = 1\ninterval_sec = 0.01\n";
    std::fs::write(&config, text).unwrap();
    fleet.device.start();
    fleet.device.answers_with("1.0.0").await;
    std::fs::create_dir_all(fleet.device.path("trees/1.1.0")).unwrap();
    std::fs::write(fleet.device.path("trees/1.1.0/MOOD"), "grumpy\n").unwrap();
    let release = fleet.publish("1.1.0", false);
    let attempt = fleet.server.offer(&release);
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::RolledBack);
    let message = end.message.unwrap();
    assert!(message.contains("exit status: 1: grumpy"), "{message}");
    fleet.device.answers_with("1.0.0").await;
    assert_eq!(fleet.device.services().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_does_one_update_and_leaves_the_service_running() {
    let mut fleet = Fleet::new().await;
    let release = fleet.publish("1.1.0", false);
    let attempt = fleet.server.offer(&release);
    let output = tokio::task::block_in_place(|| fleet.device.run(&["check"]));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let end = fleet.server.fleet().end_of(attempt).unwrap();
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    let pid = fleet.device.answers_with("1.1.0").await;
    // The next agent takes the service over as it is.
    fleet.device.start();
    let knows = || {
        fleet
            .server
            .fleet()
            .check_ins
            .last()
            .filter(|c| c.attempt.is_none() && c.version == "1.1.0".into())
            .cloned()
    };
    eventually("the agent to check in", knows).await;
    assert_eq!(fleet.device.answers_with("1.1.0").await, pid);
    assert_eq!(fleet.device.services(), [pid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_unpacked_as_it_comes_and_what_is_the_same_is_not_written() {
    let mut fleet = Fleet::new().await;
    let config = fleet.device.path("otter-agent.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        text.replace("keep = \"always\"", "keep = \"never\""),
    )
    .unwrap();
    // A hundred files of 30 KB, of which a release changes one.
    let large = |tree: &std::path::Path, changed: &str| {
        for number in 0..100 {
            let seed = if number == 7 { changed } else { "" };
            let digest =
                |n| otter_protocol::Sha256Digest::of(format!("{seed} {number} {n}").as_bytes());
            let bytes: Vec<u8> = (0..1000).flat_map(|n| digest(n).0).collect();
            std::fs::write(tree.join(format!("file-{number}")), bytes).unwrap();
        }
        std::fs::write(tree.join("data"), "little").unwrap();
    };
    for (version, changed) in [("1.1.0", "a"), ("1.2.0", "b")] {
        let tree = fleet.device.tree(version, false);
        large(&tree, changed);
        let release = fleet.publisher.release(version, &tree);
        fleet.server.fleet().files = fleet.publisher.files.clone();
        if version == "1.1.0" {
            fleet.device.start();
        }
        // The second one is cut on its way, and goes on.
        fleet.server.fleet().how = Artifacts::Cut(200_000, 2);
        let attempt = fleet.server.offer(&release);
        let end = fleet.server.end_of(attempt).await;
        assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
        fleet.device.answers_with(version).await;
        assert_eq!(fleet.device.whole_version(), version);
    }
    let history = fleet.device.history();
    let written: Vec<u64> = history
        .iter()
        .map(|ended| ended.written_bytes.unwrap())
        .collect();
    assert!(written[0] > 3_000_000, "{written:?}");
    // Journal, history and trusted metadata are in it, too.
    assert!(written[1] * 100 < written[0] * 3, "{written:?}");
    let status = fleet.device.run(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert!(
        status["written_bytes"].as_u64().unwrap() > written[0],
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_boot_loaders_version_goes_with_each_check_in() {
    let server = Server::start().await;
    let more = "bootloader_version = { command = [\"echo\", \"2024.01\"] }";
    let mut device = Device::with(&server, more);
    device.start();
    let twice = || (server.fleet().check_ins.len() >= 2).then_some(());
    eventually("two check-ins", twice).await;
    let fleet = server.fleet();
    let mut said = fleet
        .check_ins
        .iter()
        .map(|it| it.bootloader_version.clone());
    assert!(said.all(|version| version == Some("2024.01".into())));
}
