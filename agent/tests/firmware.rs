//! A controller behind a gateway: flashed, read back, and flashed with its old firmware where the new one doesn't do.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "only tests stand here"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use common::device::Device;
use common::kills::{Kills, all_is_told};
use common::publisher::{Publisher, Release};
use common::server::{Artifacts, Server};
use otter_protocol::{ArtifactKind, AttemptState, Sha256Digest};

/// Writes the controller's memory in pieces. The version is in the first of them, so that a controller half flashed says the
/// new one. What `mode` says happens to the version that it names.
const FLASHER: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 9
exec 9>busy
flock -w 0.05 9 || echo "two at a time: $2" >> clashes
echo "$2" >> flashes
mode=$(cat mode 2>/dev/null)
head -c 4096 "$1" > controller
case $mode in
"fail $2") echo "no answer from the bootloader" >&2; exit 3 ;;
"hang $2") sleep 1000 ;;
esac
for piece in 1 2 3; do
  sleep 0.08
  dd if="$1" of=controller bs=4096 skip=$piece seek=$piece count=1 conv=notrunc 2>/dev/null
done
"#;

struct Fleet {
    server: Server,
    publisher: Publisher,
    device: Device,
    firmware: BTreeMap<String, Vec<u8>>,
}

/// 16 KiB that begin with the version that the controller will say.
fn firmware(says: &str, seed: &str) -> Vec<u8> {
    let mut bytes = format!("{says}\n").into_bytes();
    while bytes.len() < 16 << 10 {
        let count = bytes.len();
        let noise = Sha256Digest::of(format!("{seed} {count}").as_bytes());
        bytes.extend_from_slice(noise.to_string().as_bytes());
    }
    bytes.truncate(16 << 10);
    bytes
}

impl Fleet {
    async fn new(more: &str) -> Self {
        let server = Server::start().await;
        let device = Device::bare(&server, "", |device| {
            let flasher = device.program("flasher", FLASHER);
            let controller = device.path("controller");
            let (flasher, controller) = (flasher.display(), controller.display());
            format!(
                "[firmware]\nflash = [\"{flasher}\", \"{{artifact}}\", \"{{version}}\"]\n\
                 read_version = [\"head\", \"-n\", \"1\", \"{controller}\"]\n\
                 read_out = [\"cp\", \"{controller}\", \"{{file}}\"]\n\
                 read_interval_sec = 0.05\n{more}\n\
                 [health]\nsettle_sec = 0.05\n"
            )
        });
        let old = firmware("1.0.0", "1.0.0");
        fs::write(device.path("controller"), &old).unwrap();
        Self {
            server,
            publisher: Publisher::new(),
            device,
            firmware: BTreeMap::from([("1.0.0".to_owned(), old)]),
        }
    }

    fn publish(&mut self, version: &str, says: &str) -> Release {
        let bytes = firmware(says, version);
        self.firmware.insert(version.to_owned(), bytes.clone());
        let kind = ArtifactKind::Firmware;
        let release = self.publisher.release_of(kind, version, bytes);
        self.server.fleet().files = self.publisher.files.clone();
        release
    }

    /// Fails unless the controller holds a version, whole.
    fn holds(&self, version: &str) {
        let controller = fs::read(self.device.path("controller")).unwrap();
        assert!(controller == self.firmware[version], "not {version}, whole");
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.device.path(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn mode(&self, mode: &str) {
        fs::write(self.device.path("mode"), mode).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_release_is_flashed_once_and_says_so_itself() {
    let mut fleet = Fleet::new("read_back_sec = 10\n").await;
    fleet.device.start();
    for version in ["1.1.0", "1.2.0"] {
        let release = fleet.publish(version, version);
        let attempt = fleet.server.offer(&release);
        let end = fleet.server.end_of(attempt).await;
        assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
        assert_eq!(end.version, Some(version.into()));
        fleet.holds(version);
    }
    assert_eq!(fleet.lines("flashes"), ["1.1.0", "1.2.0"]);
    // Whoever stands there takes it back: what is kept is flashed again.
    let back = tokio::task::block_in_place(|| fleet.device.run(&["rollback"]));
    assert!(back.status.success(), "{back:?}");
    fleet.holds("1.1.0");
    assert_eq!(fleet.lines("flashes"), ["1.1.0", "1.2.0", "1.1.0"]);
    fleet.device.stop().await;
    let doctor = fleet.device.run(&["doctor"]);
    let text = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.status.success(), "{text}");
    assert!(
        text.contains("the server takes this device's token"),
        "{text}"
    );
    assert!(text.contains("flasher can be run"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn firmware_that_fails_hangs_or_lies_is_replaced_by_what_was_read_out() {
    let mut fleet = Fleet::new("flash_timeout_sec = 3\nread_back_sec = 1\n").await;
    fleet.device.start();
    let troubles = [
        (
            "fail 1.1.0",
            "1.1.0",
            "1.1.0",
            "no answer from the bootloader",
        ),
        ("hang 1.2.0", "1.2.0", "1.2.0", "took longer than 3s"),
        ("", "1.3.0", "9.9.9", "says that it runs 9.9.9, not 1.3.0"),
    ];
    for (mode, version, says, words) in troubles {
        fleet.mode(mode);
        let release = fleet.publish(version, says);
        let attempt = fleet.server.offer(&release);
        let end = fleet.server.end_of(attempt).await;
        assert_eq!(end.state, AttemptState::RolledBack, "{:?}", end.message);
        let message = end.message.unwrap();
        assert!(message.contains(words), "{message}");
        assert!(!message.contains("not healthy"), "{message}");
        fleet.holds("1.0.0");
    }
    let flashes = ["1.1.0", "1.0.0", "1.2.0", "1.0.0", "1.3.0", "1.0.0"];
    assert_eq!(fleet.lines("flashes"), flashes);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_at_random_moments_leave_no_controller_half_flashed() {
    let mut fleet = Fleet::new("read_back_sec = 0.2\n").await;
    let mut waiting = Vec::new();
    for number in (1..=40).rev() {
        let version = format!("1.{number}.0");
        // Some of them lie, and have to go again.
        let says = if number % 4 == 0 { "9.9.9" } else { &version };
        waiting.push((version.clone(), says.to_owned()));
    }
    let mut offer_next = |fleet: &mut Fleet| {
        if fleet.server.fleet().offers.is_empty() {
            let (version, says) = waiting.pop().unwrap();
            let release = fleet.publish(&version, &says);
            fleet.server.offer(&release);
        }
    };
    fleet.server.fleet().how = Artifacts::Slow(2);
    let mut kills = Kills::within(Duration::from_millis(600), 0x0f1a_5b3d);
    while kills.are_left() {
        offer_next(&mut fleet);
        let record = kills.kill(&mut fleet.device, &fleet.server).await;
        // What the journal calls installed is what the controller holds, unless it is being changed.
        let step = record.attempt.map(|attempt| attempt.step);
        if step.is_none_or(|step| step.is_before_change())
            && let Some(installed) = record.installed
        {
            fleet.holds(installed.version.as_str());
        }
    }
    // The one under way comes to whatever end is right; the next one, which is honest, must succeed.
    kills.end(&mut fleet.device, &fleet.server).await;
    let last = fleet.publish("2.0.0", "2.0.0");
    let attempt = fleet.server.offer(&last);
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    fleet.holds("2.0.0");
    assert_eq!(fleet.lines("clashes"), Vec::<String>::new());

    all_is_told(&fleet.device, &fleet.server).await;
}
