//! A device: a folder, a service that is a shell script, and the real agent.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use otter_agent::disk::RealDisk;
use otter_agent::history::{Ended, History};
use otter_agent::journal::{Journal, Record};

use super::server::{ENROLLMENT_TOKEN, Server};
use super::{MODEL, eventually};

/// Says its version and process, or why it won't live; then lives on.
const SERVICE: &str = r#"#!/bin/sh
version=$(cat VERSION)
if [ -f BROKEN ]; then
  echo "out of otters in $version" >&2
  exit 3
fi
echo "$version $$" > "$OUT.new" && mv "$OUT.new" "$OUT"
exec sleep 1000
"#;

/// A bundle whose service says its version.
const BUNDLE: &str = r#"[bundle]
root = "root"
initial = "trees/1.0.0"
initial_version = "1.0.0"
[bundle.service]
command = ["./run"]
env = { OUT = "OUT_FILE" }
restart_min_sec = 0.02
restart_max_sec = 0.2
stop_grace_sec = 5
[health]
deadline_sec = 30
settle_sec = 0.2
[[health.check]]
kind = "command"
command = ["/bin/sh", "-c", "grep -q '^{version} ' OUT_FILE"]
interval_sec = 0.05
"#;

pub struct Device {
    folder: tempfile::TempDir,
    agent: Option<Child>,
    /// What the agent's environment has more than this test's.
    env: Vec<(String, OsString)>,
}

impl Device {
    /// A device that starts with version 1.0.0.
    pub fn new(server: &Server) -> Self {
        Self::with(server, "")
    }

    /// One with more configuration.
    pub fn with(server: &Server, more: &str) -> Self {
        Self::bare(server, more, |device| {
            device.tree("1.0.0", false);
            BUNDLE.replace("OUT_FILE", &device.path("out").display().to_string())
        })
    }

    /// One that installs what these sections say.
    pub fn bare(server: &Server, more: &str, sections: impl FnOnce(&Self) -> String) -> Self {
        let device = Self {
            folder: tempfile::tempdir().unwrap(),
            agent: None,
            env: Vec::new(),
        };
        let (address, sections) = (&server.address, sections(&device));
        let config = format!(
            r#"
server = "{address}"
device_id = "device-1"
model = "{MODEL}"
state_dir = "state"
enrollment_token = "{ENROLLMENT_TOKEN}"
{more}
[check_in]
min_interval_sec = 0.05
max_interval_sec = 0.05
[download]
connect_timeout_sec = 1
stall_timeout_sec = 1
keep = "always"
[retry]
base_sec = 0.02
max_sec = 0.2
{sections}"#
        );
        fs::write(device.path("otter-agent.toml"), config).unwrap();
        device
    }

    /// Changes the configuration.
    pub fn edit(&self, from: &str, to: &str) {
        let path = self.path("otter-agent.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "no {from} in {text}");
        fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// Sets an environment variable for agents that are started from now on.
    pub fn env(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.env.push((name.to_owned(), value.as_ref().to_owned()));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a program.
    pub fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Puts another program in the place of one, which may be running.
    pub fn replace_program(&self, name: &str, text: &str) {
        let new = self.program(&format!("{name}.new"), text);
        fs::rename(new, self.path(name)).unwrap();
    }

    /// Makes a tree of files that is a version of the service; 300 KiB of it don't compress.
    pub fn tree(&self, version: &str, is_broken: bool) -> PathBuf {
        let tree = self.path("trees").join(version);
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("run"), SERVICE).unwrap();
        fs::set_permissions(tree.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(tree.join("VERSION"), version).unwrap();
        fs::write(tree.join("data"), noise(version)).unwrap();
        if is_broken {
            fs::write(tree.join("BROKEN"), "").unwrap();
        }
        tree
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_otter-agent"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("otter-agent.toml"))
            .env("OTTER_LOG", "info,otter_agent=debug")
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Starts the agent.
    pub fn start(&mut self) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("agent.log"))
            .unwrap();
        let child = self.command(&["run"]).stderr(log).spawn().unwrap();
        self.agent = Some(child);
    }

    /// Runs one of the agent's commands to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Returns the agent's process, where it was started.
    pub fn pid(&self) -> Option<rustix::process::Pid> {
        self.agent.as_ref().map(rustix::process::Pid::from_child)
    }

    /// Kills the agent, as the kernel would.
    pub fn kill(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().unwrap();
            agent.wait().unwrap();
        }
    }

    /// Asks the agent to stop, and waits until it has.
    pub async fn stop(&mut self) {
        let Some(mut agent) = self.agent.take() else {
            return;
        };
        let pid = rustix::process::Pid::from_child(&agent);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = eventually("the agent's end", || agent.try_wait().unwrap()).await;
        assert!(status.success(), "{status}: {}", self.log());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Reads the journal; fails where it makes no sense.
    pub fn journal(&self) -> Record {
        Journal::look(&RealDisk, &self.state()).unwrap().unwrap()
    }

    pub fn history(&self) -> Vec<Ended> {
        History::new(std::sync::Arc::new(RealDisk), &self.state(), 100)
            .load()
            .unwrap()
    }

    /// Returns version and process of the service that answers, where one does.
    pub fn answers(&self) -> Option<(String, u32)> {
        let out = fs::read_to_string(self.path("out")).ok()?;
        let (version, pid) = out.trim().split_once(' ')?;
        let pid = pid.parse().ok()?;
        self.services()
            .contains(&pid)
            .then(|| (version.to_owned(), pid))
    }

    pub async fn answers_with(&self, version: &str) -> u32 {
        let what = format!("the service to answer with {version}");
        eventually(&what, || self.answers().filter(|(is, _)| is == version))
            .await
            .1
    }

    /// Returns the processes of services: those that run in a version's folder and hold the service's lock. A health check
    /// that an agent was killed in runs there for a moment longer, too, and is none; nor is what a service itself runs, such as
    /// the `cat` of its script.
    pub fn services(&self) -> Vec<u32> {
        let lock = self.path("state/service.lock");
        let holds =
            |pid: &u32| fs::read_link(format!("/proc/{pid}/fd/0")).is_ok_and(|to| to == lock);
        self.processes()
            .into_iter()
            .filter(holds)
            .filter(leads_its_group)
            .collect()
    }

    /// Returns the processes that run in the device's folder, or hold one of its locks.
    fn processes(&self) -> Vec<u32> {
        let root = self.path("");
        fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let is_ours = |what: &str| {
                    fs::read_link(entry.path().join(what)).is_ok_and(|to| to.starts_with(&root))
                };
                (is_ours("cwd") || is_ours("fd/0")).then_some(pid)
            })
            .collect()
    }

    /// Fails unless `current` points to a version whose files are exactly its tree's; returns which.
    pub fn whole_version(&self) -> String {
        let current = self.path("root/current");
        let version = fs::read_to_string(current.join("VERSION")).unwrap();
        let tree = self.path("trees").join(&version);
        assert_eq!(
            names(&current),
            names(&tree),
            "version {version} isn't whole"
        );
        for name in names(&tree) {
            let (is, should) = (current.join(&name), tree.join(&name));
            assert!(
                fs::read(is).unwrap() == fs::read(should).unwrap(),
                "{name} of version {version} isn't what was signed"
            );
        }
        version
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        self.kill();
        for pid in self.processes() {
            let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        }
    }
}

fn leads_its_group(pid: &u32) -> bool {
    let pid = rustix::process::Pid::from_raw(*pid as i32);
    rustix::process::getpgid(pid).is_ok_and(|group| Some(group) == pid)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Bytes that don't compress, the same for the same version.
fn noise(version: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut count = 0u32;
    while bytes.len() < 300 << 10 {
        let block = otter_protocol::Sha256Digest::of(format!("{version} {count}").as_bytes());
        bytes.extend_from_slice(&block.0);
        count += 1;
    }
    bytes
}
