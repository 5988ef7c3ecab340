//! A device whose software is a container.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use otter_agent::disk::RealDisk;
use otter_agent::history::{Ended, History};
use otter_agent::journal::{Journal, Record};
use otter_protocol::{ArtifactKind, AttemptId, AttemptReport, AttemptState};
use serde_json::json;

use super::common::publisher::Publisher;
use super::common::server::{ENROLLMENT_TOKEN, Server};
use super::common::{MODEL, eventually};
use super::docker::{Container, Docker};

/// What the container's name is.
pub const NAME: &str = "greeter";

pub struct Device {
    pub server: Server,
    pub publisher: Publisher,
    folder: tempfile::TempDir,
    agent: Option<Child>,
}

impl Device {
    /// A device with nothing installed, whose engine is this one.
    pub async fn new(docker: &Docker) -> Self {
        let device = Self::with(docker, "create = \"container.json\"").await;
        let body = json!({
            "Labels": {"of": "a test"},
            "HostConfig": {
                "NetworkMode": "none",
                "Binds": [format!("{}:/out", device.path("out").display())],
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            },
        });
        fs::write(device.path("container.json"), body.to_string()).unwrap();
        device
    }

    /// A device with more in its container section.
    pub async fn with(docker: &Docker, more: &str) -> Self {
        let server = Server::start().await;
        let folder = tempfile::tempdir().unwrap();
        let mut publisher = Publisher::new();
        publisher.kind = ArtifactKind::Container;
        let device = Self {
            server,
            publisher,
            folder,
            agent: None,
        };
        fs::create_dir(device.path("out")).unwrap();
        let (out, address) = (device.path("out/says"), &device.server.address);
        let (out, socket) = (out.display(), docker.socket());
        let socket = socket.display();
        let config = format!(
            r#"
server = "{address}"
device_id = "device-1"
model = "{MODEL}"
state_dir = "state"
enrollment_token = "{ENROLLMENT_TOKEN}"
[check_in]
min_interval_sec = 0.05
max_interval_sec = 0.05
[retry]
base_sec = 0.02
max_sec = 0.2
[container]
name = "{NAME}"
socket = "{socket}"
{more}
[health]
deadline_sec = 60
settle_sec = 0.5
[[health.check]]
kind = "command"
command = ["/bin/sh", "-c", "grep -q '^{{version}} of {{version}} on device-1' {out}"]
interval_sec = 0.05
[[health.check]]
kind = "process"
interval_sec = 0.05
"#
        );
        fs::write(device.path("otter-agent.toml"), config).unwrap();
        device
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Publishes and offers a release.
    pub fn offer(&mut self, version: &str, artifact: Vec<u8>) -> AttemptId {
        let release = self.publisher.release_bytes(version, artifact);
        self.server.fleet().files = self.publisher.files.clone();
        self.server.offer(&release)
    }

    /// Offers a release, and waits until its attempt has ended.
    pub async fn update(&mut self, version: &str, artifact: Vec<u8>) -> AttemptReport {
        let attempt = self.offer(version, artifact);
        self.server.end_of(attempt).await
    }

    /// Offers a release that has to stay.
    pub async fn install(&mut self, version: &str, artifact: Vec<u8>) {
        let end = self.update(version, artifact).await;
        assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
        assert_eq!(end.version, Some(version.into()));
    }

    /// Starts the agent.
    pub fn start(&mut self) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("agent.log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_otter-agent"))
            .args(["run", "--config"])
            .arg(self.path("otter-agent.toml"))
            .env("OTTER_LOG", "info,otter_agent=debug")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        self.agent = Some(child.unwrap());
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
        let mut agent = self.agent.take().unwrap();
        let pid = rustix::process::Pid::from_child(&agent);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = eventually("the agent's end", || agent.try_wait().unwrap()).await;
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Has the agent start anew with more configuration.
    pub async fn reconfigure(&mut self, more: &str) {
        self.stop().await;
        let config = self.path("otter-agent.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(config, text + more).unwrap();
        self.start();
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    pub fn journal(&self) -> Record {
        Journal::look(&RealDisk, &self.path("state"))
            .unwrap()
            .unwrap()
    }

    pub fn history(&self) -> Vec<Ended> {
        History::new(std::sync::Arc::new(RealDisk), &self.path("state"), 100)
            .load()
            .unwrap()
    }

    /// Waits until the one that says something says that it is a version.
    pub async fn says(&self, version: &str) {
        let what = format!("a container of version {version}");
        let wanted = format!("{version} of {version} on device-1");
        eventually(&what, || {
            let says = fs::read_to_string(self.path("out/says")).ok()?;
            (says == wanted).then_some(())
        })
        .await;
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        self.kill();
    }
}

/// The only container, which runs this image.
pub fn running(image: &str) -> Vec<Container> {
    vec![Container {
        name: NAME.to_owned(),
        image: image.to_owned(),
        is_running: true,
    }]
}
