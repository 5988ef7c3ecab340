//! Signs of life of the real agent: to systemd, to a watchdog, and services that systemd or others keep running.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use common::device::Device;
use common::eventually;
use common::publisher::Publisher;
use common::server::Server;
use otter_protocol::AttemptState;

/// A systemd that remembers what it is told.
#[derive(Clone, Default)]
struct Systemd(Arc<Mutex<Vec<String>>>);

impl Systemd {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        let systemd = Self::default();
        let told = systemd.0.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len) = socket.recv(&mut buffer) {
                let line = String::from_utf8_lossy(&buffer[..len]).into_owned();
                told.lock().unwrap().push(line);
            }
        });
        systemd
    }

    fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    async fn hears(&self, line: &str) {
        eventually(line, || {
            self.told().iter().any(|told| told == line).then_some(())
        })
        .await;
    }
}

/// Takes away what repeats itself as often as it likes.
fn story(told: &[String]) -> Vec<&str> {
    let mut story: Vec<&str> = told
        .iter()
        .map(|line| line.strip_prefix("STATUS=").unwrap_or(line))
        .filter(|line| *line != "WATCHDOG=1" && !line.ends_with('%'))
        .collect();
    story.dedup();
    story
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_how_an_update_goes_and_is_fed_meanwhile() {
    let server = Server::start().await;
    let mut device = Device::new(&server);
    let path = device.path("notify");
    let systemd = Systemd::listen(&path);
    device.env("NOTIFY_SOCKET", &path);
    device.env("WATCHDOG_USEC", "300000");
    device.start();
    systemd.hears("READY=1").await;
    let pid = device.answers_with("1.0.0").await;
    let env = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let env = String::from_utf8_lossy(&env).into_owned();
    assert!(env.contains("OTTER_VERSION=1.0.0"), "{env}");
    assert!(!env.contains("NOTIFY_SOCKET") && !env.contains("WATCHDOG_USEC"));

    let mut publisher = Publisher::new();
    let release = publisher.release("1.1.0", &device.tree("1.1.0", false));
    server.fleet().files = publisher.files.clone();
    let attempt = server.offer(&release);
    let end = server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    let name = format!("attempt {attempt}, version 1.1.0");
    systemd
        .hears(&format!("STATUS=idle; {name}: succeeded"))
        .await;
    device.stop().await;
    systemd.hears("STOPPING=1").await;
    let all = systemd.told();
    let meals = all.iter().filter(|line| *line == "WATCHDOG=1").count();
    assert!(meals >= 3, "{all:?}");
    let percent = all.iter().filter(|line| line.ends_with(" %")).count();
    assert!(percent >= 2, "{all:?}");
    let steps = [
        "checking",
        "downloading",
        "verifying",
        "backing up",
        "stopping",
        "applying",
        "starting",
        "health check",
        "committing",
        "succeeded",
    ];
    let mut expected = vec!["READY=1".to_owned(), "idle".to_owned()];
    expected.extend(steps.map(|step| format!("{name}: {step}")));
    expected.push(format!("idle; {name}: succeeded"));
    expected.push("STOPPING=1".to_owned());
    assert_eq!(story(&all), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machines_watchdog_is_let_go_in_order_only() {
    let server = Server::start().await;
    let more = "watchdog = { device = \"watchdog\", interval_sec = 0.05 }";
    let mut device = Device::with(&server, more);
    let watchdog = device.path("watchdog");
    fs::write(&watchdog, "").unwrap();
    let written = || fs::read(&watchdog).unwrap();
    tokio::task::block_in_place(|| device.run(&["check"]));
    assert!(written().is_empty(), "only `run` feeds it, and so arms it");
    device.start();
    eventually("three meals", || (written().len() > 2).then_some(())).await;
    device.kill();
    assert!(written().iter().all(|byte| *byte == 0));
    fs::write(&watchdog, "").unwrap();
    device.start();
    eventually("a meal", || (!written().is_empty()).then_some(())).await;
    device.stop().await;
    let written = written();
    let (last, meals) = written.split_last().unwrap();
    assert!(*last == b'V' && meals.iter().all(|byte| *byte == 0));
}

/// A systemd for one unit that runs `root/current/run`: started in the background, its process in a file.
const SYSTEMCTL: &str = r#"#!/bin/sh
cd "$HOME_OF_TEST"
# One that ended and that nobody waited for has no command line any more.
alive() { test -e unit.pid && grep -q . "/proc/$(cat unit.pid)/cmdline" 2>/dev/null; }
case $1 in
show)
  if alive; then state=active; sub=running; else state=failed; sub=failed; fi
  echo "LoadState=loaded"; echo "ActiveState=$state"; echo "SubState=$sub"; echo "MainPID=0"; echo "NRestarts=0" ;;
start)
  alive && exit 0
  rm -f unit.pid
  setsid sh -c 'cd root/current; echo $$ > "$HOME_OF_TEST/new.pid"; mv "$HOME_OF_TEST/new.pid" "$HOME_OF_TEST/unit.pid"
    OUT="$HOME_OF_TEST/out" exec ./run' < state/service.lock > /dev/null 2>&1 &
  # Before that it would end with this program.
  while ! test -e unit.pid; do sleep 0.01; done ;;
stop)
  alive && kill "$(cat unit.pid)"
  while alive; do sleep 0.01; done ;;
esac
echo "$*" >> "$HOME_OF_TEST/asked"
"#;

/// A device whose service is somebody else's.
fn device_with(server: &Server, service: &str, deadline_sec: u32) -> Device {
    let mut device = Device::new(server);
    let bin = device.path("bin");
    fs::create_dir(&bin).unwrap();
    fs::create_dir(device.state()).unwrap();
    fs::write(device.state().join("service.lock"), "").unwrap();
    fs::write(bin.join("systemctl"), SYSTEMCTL).unwrap();
    fs::set_permissions(bin.join("systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    device.env("PATH", Path::new(&path));
    let home = device.path("");
    device.env("HOME_OF_TEST", &home);
    let config = device.path("otter-agent.toml");
    let text = fs::read_to_string(&config).unwrap();
    let (before, rest) = text.split_once("[bundle.service]").unwrap();
    let (_, after) = rest.split_once("[health]").unwrap();
    let text = format!("{before}[bundle.service]\n{service}\n[health]{after}");
    let deadline = format!("deadline_sec = {deadline_sec}");
    fs::write(&config, text.replace("deadline_sec = 30", &deadline)).unwrap();
    device
}

/// Takes a device through a good update, a bad one, and the end of its agent.
async fn outlives(service: &str, deadline_sec: u32, verdict: &str) {
    let server = Server::start().await;
    let mut device = device_with(&server, service, deadline_sec);
    let mut publisher = Publisher::new();
    device.start();
    device.answers_with("1.0.0").await;
    for (version, is_broken, outcome) in [
        ("1.1.0", false, AttemptState::Succeeded),
        ("1.2.0", true, AttemptState::RolledBack),
    ] {
        let release = publisher.release(version, &device.tree(version, is_broken));
        server.fleet().files = publisher.files.clone();
        let attempt = server.offer(&release);
        let end = server.end_of(attempt).await;
        assert_eq!(end.state, outcome, "{:?}", end.message);
        if is_broken {
            let message = end.message.unwrap();
            assert!(message.contains(verdict), "{message}");
        }
    }
    let pid = device.answers_with("1.1.0").await;
    device.stop().await;
    assert_eq!(device.services(), [pid], "it is left running");
    // The next agent leaves it alone.
    let before = server.fleet().check_ins.len();
    device.start();
    eventually("another check-in", || {
        (server.fleet().check_ins.len() > before).then_some(())
    })
    .await;
    assert_eq!(device.services(), [pid]);
    device.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_of_systemds_is_exchanged_watched_and_left_running() {
    outlives(
        "unit = \"greeter.service\"",
        60,
        "greeter.service should be active, but is failed (failed)",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_two_commands_is_exchanged_and_left_running() {
    let service = "start = [\"systemctl\", \"start\"]\nstop = [\"systemctl\", \"stop\"]";
    // Nobody sees it die, but it never answers.
    outlives(service, 10, "not healthy within 10s").await;
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let unit = include_str!("../otter-agent.service");
    let installed = "/usr/bin/otter-agent";
    assert!(unit.contains(&format!("ExecStart={installed} run ")));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("otter-agent.service");
    let here = unit.replace(installed, env!("CARGO_BIN_EXE_otter-agent"));
    fs::write(&path, here).unwrap();
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg("--man=no")
        .arg(&path)
        .output()
        .unwrap_or_else(|error| panic!("Debian's package `systemd` is needed: {error}"));
    let words = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success(), "{words}");
    assert!(!words.contains("otter-agent.service"), "{words}");
    let keys: Vec<&str> = unit.lines().filter(|line| !line.starts_with('#')).collect();
    // Without these the agent's own signs mean nothing.
    for key in [
        "Type=notify",
        "WatchdogSec=60",
        "Restart=always",
        "KillMode=process",
        "ReadOnlyPaths=/usr /etc",
        "NoNewPrivileges=yes",
    ] {
        assert!(keys.contains(&key), "{key}");
    }
}
