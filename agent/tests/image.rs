//! A whole system goes from slot to slot: with the real agent, files for slots, and two scripts for boot loader and machine.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use std::fs;

use common::device::Device;
use common::eventually;
use common::publisher::Publisher;
use common::server::Server;
use otter_protocol::{ArtifactKind, AttemptReport, AttemptState};

const SLOT: usize = 1 << 20;

/// A boot loader that tries a slot once.
const BOOT: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
case $1 in
  current) cat running;;
  try) echo "$2" > try;;
  commit) echo "$2" > committed; rm -f try;;
esac
"#;

/// A machine that goes down at once, and its agent with it.
const RESTART: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
if [ -f try ]; then mv try running; else cp committed running; fi
touch restarted
kill -9 $PPID
"#;

struct Machine {
    server: Server,
    publisher: Publisher,
    device: Device,
}

impl Machine {
    /// A device that runs version 1.0.0 from slot a; version 1.2.0 is never healthy.
    async fn new() -> Self {
        let server = Server::start().await;
        let device = Device::bare(&server, "", |device| {
            let boot = device.program("boot", BOOT);
            let restart = device.program("restart", RESTART);
            let (boot, restart) = (boot.display(), restart.display());
            format!(
                "[image]\nslots = [{{name = \"a\", device = \"a\"}}, {{name = \"b\", device = \"b\"}}]\n\
                 boot = {{flow = \"command\", command = [\"{boot}\"]}}\ninitial_version = \"1.0.0\"\n\
                 [restart]\ncommand = [\"{restart}\"]\n\
                 [health]\nsettle_sec = 0.05\n[[health.check]]\nkind = \"command\"\n\
                 command = [\"/bin/sh\", \"-c\", \"echo sick >&2; test {{version}} != 1.2.0\"]\nretries = 0\n"
            )
        });
        for slot in ["a", "b"] {
            fs::write(device.path(slot), vec![0; SLOT]).unwrap();
        }
        for file in ["running", "committed"] {
            fs::write(device.path(file), "a\n").unwrap();
        }
        let mut machine = Self {
            server,
            publisher: Publisher::new(),
            device,
        };
        machine.start().await;
        machine
    }

    /// Starts the agent and waits until it has checked in.
    async fn start(&mut self) {
        let before = self.server.fleet().check_ins.len();
        self.device.start();
        eventually("a check-in", || {
            (self.server.fleet().check_ins.len() > before).then_some(())
        })
        .await;
    }

    fn image(version: &str) -> Vec<u8> {
        version.bytes().cycle().take(SLOT - 1000).collect()
    }

    fn offer(&mut self, version: &str) -> otter_protocol::AttemptId {
        let bytes = Self::image(version);
        let release = self
            .publisher
            .release_of(ArtifactKind::Image, version, bytes);
        self.server.fleet().files = self.publisher.files.clone();
        self.server.offer(&release)
    }

    async fn update(&mut self, version: &str) -> AttemptReport {
        let attempt = self.offer(version);
        self.until(|machine| machine.server.fleet().end_of(attempt))
            .await
    }

    /// Starts the agent again whenever the machine was restarted, until something is so.
    async fn until<T>(&mut self, is_so: impl Fn(&Self) -> Option<T>) -> T {
        let restarted = self.device.path("restarted");
        loop {
            let so = eventually("a restart or an end", || {
                let so = is_so(self);
                let is_down = fs::remove_file(&restarted).is_ok();
                (is_down || so.is_some()).then_some(so)
            })
            .await;
            match so {
                Some(so) => return so,
                None => {
                    self.device.kill();
                    self.device.start();
                }
            }
        }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.device.path(name))
            .unwrap()
            .trim()
            .to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_is_tried_and_stays_or_the_old_one_is_started_again() {
    let mut machine = Machine::new().await;
    let end = machine.update("1.1.0").await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    assert_eq!(
        (machine.read("running"), machine.read("committed")),
        ("b".into(), "b".into())
    );
    let slot = fs::read(machine.device.path("b")).unwrap();
    assert!(slot.starts_with(&Machine::image("1.1.0")));

    let end = machine.update("1.2.0").await;
    assert_eq!(end.state, AttemptState::RolledBack, "{:?}", end.message);
    let words = end.message.unwrap();
    assert!(words.ends_with("exit status: 1: sick"), "{words}");
    assert_eq!(
        (machine.read("running"), machine.read("committed")),
        ("b".into(), "b".into())
    );
    assert!(!machine.device.path("try").exists());

    let end = machine.update("1.3.0").await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    assert_eq!(
        (machine.read("running"), machine.read("committed")),
        ("a".into(), "a".into())
    );
    let outcomes: Vec<_> = machine
        .device
        .history()
        .into_iter()
        .map(|ended| ended.outcome)
        .collect();
    let story = [
        AttemptState::Succeeded,
        AttemptState::RolledBack,
        AttemptState::Succeeded,
    ];
    assert_eq!(outcomes, story);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_at_the_device_takes_it_back_to_the_other_slot() {
    let mut machine = Machine::new().await;
    let end = machine.update("1.1.0").await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    let back = tokio::task::block_in_place(|| machine.device.run(&["rollback"]));
    let said = String::from_utf8_lossy(&back.stdout).into_owned();
    assert_eq!(back.status.code(), Some(6), "{said}{back:?}");
    assert!(said.contains("the device restarts"), "{said}");
    machine
        .until(|machine| {
            let journal = machine.device.journal();
            let is_back = journal.installed?.version == "1.0.0".into();
            (is_back && journal.attempt.is_none()).then_some(())
        })
        .await;
    assert_eq!(
        (machine.read("running"), machine.read("committed")),
        ("a".into(), "a".into())
    );
    let taken_back = machine.device.journal().taken_back.unwrap();
    assert_eq!(taken_back.version, "1.1.0".into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_does_not_know_its_slot_says_so_and_changes_nothing() {
    let mut machine = Machine::new().await;
    fs::write(machine.device.path("running"), "c\n").unwrap();
    machine.device.stop().await;
    machine.start().await;
    let end = machine.update("1.1.0").await;
    assert_eq!(end.state, AttemptState::Failed);
    let words = end.message.unwrap();
    assert!(
        words.contains("slot `c` runs, which is none of `image.slots`"),
        "{words}"
    );
    fs::remove_file(machine.device.path("running")).unwrap();
    machine.device.stop().await;
    machine.start().await;
    let end = machine.update("1.3.0").await;
    assert_eq!(end.state, AttemptState::Failed);
    let words = end.message.unwrap();
    assert!(words.contains("the boot loader can't be told"), "{words}");
    assert!(
        fs::read(machine.device.path("b"))
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
}
