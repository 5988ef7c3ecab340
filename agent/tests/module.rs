//! The example's module keeps a file; others hang, die and are gone.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "only tests stand here"
)]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::device::Device;
use common::eventually;
use common::kills::{Kills, all_is_told};
use common::publisher::{Publisher, Release};
use common::server::{Artifacts, Server};
use otter_protocol::{ArtifactKind, AttemptState};

const EXAMPLE: &str = include_str!("../../examples/module/single-file");

struct Fleet {
    server: Server,
    publisher: Publisher,
    device: Device,
}

impl Fleet {
    /// A device with the example's module; a file that says BROKEN isn't taken by who uses it.
    async fn new(more: &str) -> Self {
        let server = Server::start().await;
        let device = Device::bare(&server, "", |device| {
            let module = device.program("single-file", EXAMPLE);
            let root = device.path("tables");
            fs::create_dir(&root).unwrap();
            let (module, root) = (module.display(), root.display());
            format!(
                "[module]\nexecutable = \"{module}\"\n{more}\n[module.env]\nFILE_ROOT = \"{root}\"\n\
                 FILE_START = \"! grep BROKEN {root}/current/file >&2\"\n\
                 [health]\nsettle_sec = 0.05\n"
            )
        });
        Self {
            server,
            publisher: Publisher::new(),
            device,
        }
    }

    fn publish(&mut self, version: &str, is_broken: bool) -> Release {
        let bytes = text(version, is_broken).into_bytes();
        let kind = ArtifactKind::Module;
        let release = self.publisher.release_of(kind, version, bytes);
        self.server.fleet().files = self.publisher.files.clone();
        release
    }

    async fn update(&mut self, version: &str) {
        let release = self.publish(version, false);
        let attempt = self.server.offer(&release);
        let end = self.server.end_of(attempt).await;
        assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
        assert_eq!(end.version, Some(version.into()));
        assert_eq!(self.has().as_deref(), Some(version));
    }

    /// Returns which version the device has; fails where that isn't whole.
    fn has(&self) -> Option<String> {
        let current = self.device.path("tables/current");
        let version = fs::read_to_string(current.join("version")).ok()?;
        let version = version.trim().to_owned();
        let file = fs::read_to_string(current.join("file")).unwrap();
        let whole = [text(&version, false), text(&version, true)];
        assert!(whole.contains(&file), "version {version} isn't whole");
        Some(version)
    }
}

fn text(version: &str, is_broken: bool) -> String {
    let line = if is_broken { "BROKEN" } else { "whole" };
    format!("{line} table of {version}\n").repeat(2000)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn one_after_another_and_one_that_goes_again() {
    let mut fleet = Fleet::new("").await;
    fleet.device.start();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        fleet.update(version).await;
    }
    let broken = fleet.publish("1.3.0", true);
    let attempt = fleet.server.offer(&broken);
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::RolledBack);
    let message = end.message.unwrap();
    assert!(message.contains("the module's `start` failed"), "{message}");
    assert!(message.contains("BROKEN table of 1.3.0"), "{message}");
    assert!(!message.contains("not healthy"), "{message}");
    assert_eq!(fleet.has().as_deref(), Some("1.2.0"));
    let tables = fleet.device.path("tables");
    eventually("all but two versions to be gone", || {
        (names(&tables) == ["2", "3", "current"]).then_some(())
    })
    .await;
    let back = tokio::task::block_in_place(|| fleet.device.run(&["rollback"]));
    let why = String::from_utf8(back.stderr).unwrap();
    assert_eq!(back.status.code(), Some(1), "{why}");
    assert!(why.contains("modules keeps no former version"), "{why}");
    fleet.device.stop().await;
    let doctor = fleet.device.run(&["doctor", "--json"]);
    let findings: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let is_ours = |finding: &&serde_json::Value| finding["about"] == "module";
    let ours = findings.as_array().unwrap().iter().find(is_ours).unwrap();
    assert_eq!(ours["level"], "ok", "{findings:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_hangs_or_dies_is_told_of_and_called_to_go_back() {
    let mut fleet = Fleet::new("[module.verb_timeout_sec]\napply = 3").await;
    fleet.device.start();
    fleet.update("1.0.0").await;
    let troubles = [
        ("sleep 1000 & sleep 1000", "longer than 3s"),
        ("kill -9 $$", "signal: 9"),
        ("head -c 300000000 /dev/zero; exit 5", "exit status: 5"),
    ];
    for (number, (trouble, words)) in troubles.into_iter().enumerate() {
        // It is changed, and only then goes wrong.
        let after = format!("    switch \"$OTTER_RELEASE_COUNTER\"\n    {trouble}\n");
        let bad = EXAMPLE.replace("    switch \"$OTTER_RELEASE_COUNTER\"\n", &after);
        assert_ne!(bad, EXAMPLE);
        fleet.device.replace_program("single-file", &bad);
        let release = fleet.publish(&format!("1.{}.0", number + 1), false);
        let attempt = fleet.server.offer(&release);
        let end = fleet.server.end_of(attempt).await;
        assert_eq!(end.state, AttemptState::RolledBack, "{:?}", end.message);
        let message = end.message.unwrap();
        assert!(message.contains(words), "{message}");
        assert_eq!(fleet.has().as_deref(), Some("1.0.0"));
    }
    // One that is gone changes nothing, and the server hears why.
    fs::remove_file(fleet.device.path("single-file")).unwrap();
    let release = fleet.publish("1.9.0", false);
    let attempt = fleet.server.offer(&release);
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Failed);
    let message = end.message.unwrap();
    assert!(message.contains("single-file is not there"), "{message}");
    assert_eq!(fleet.has().as_deref(), Some("1.0.0"));
    let doctor = fleet.device.run(&["doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    let text = String::from_utf8(doctor.stdout).unwrap();
    assert!(text.contains("chmod +x"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_at_random_moments_leave_a_whole_version() {
    let mut fleet = Fleet::new("").await;
    let mut next = 1;
    fleet.server.fleet().how = Artifacts::Slow(2);
    let mut kills = Kills::within(Duration::from_millis(400), 0x51de_0a7b);
    while kills.are_left() {
        if fleet.server.fleet().offers.is_empty() {
            let release = fleet.publish(&format!("1.{next}.0"), next % 4 == 0);
            fleet.server.offer(&release);
            next += 1;
        }
        let record = kills.kill(&mut fleet.device, &fleet.server).await;
        let has = fleet.has();
        let step = record.attempt.map(|attempt| attempt.step);
        if step.is_none_or(|step| step.is_before_change()) {
            let installed = record.installed.map(|installed| installed.version);
            assert_eq!(installed, has.as_deref().map(Into::into));
        }
    }
    kills.end(&mut fleet.device, &fleet.server).await;
    fleet.update("2.0.0").await;
    all_is_told(&fleet.device, &fleet.server).await;
}
