//! A real container engine, in a folder of its own, for as long as a test runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::common::eventually;
use super::image::Image;

/// How long the engine may take to go.
const FAREWELL: Duration = Duration::from_secs(30);

pub struct Docker {
    folder: tempfile::TempDir,
    engine: Option<Child>,
}

/// A container as the engine lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Container {
    pub name: String,
    pub image: String,
    pub is_running: bool,
}

impl Docker {
    pub async fn start() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "the container engine starts for root only: run this test as root"
        );
        let mut docker = Self {
            folder: tempfile::tempdir().unwrap(),
            engine: None,
        };
        docker.come().await;
        docker
    }

    /// Starts the engine.
    pub async fn come(&mut self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let log = File::options()
            .create(true)
            .append(true)
            .open(path("log"))
            .unwrap();
        let engine = Command::new("dockerd")
            .args(["--host", &format!("unix://{}", path("docker.sock"))])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--pidfile", &path("pid"), "--storage-driver", "vfs"])
            .args(["--iptables=false", "--bridge=none"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd must be there: install docker.io");
        self.engine = Some(engine);
        eventually("the container engine", || {
            let ended = self.engine.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "dockerd: {ended:?}: {}", self.log());
            self.command(&["version"]).ok()
        })
        .await;
    }

    /// Ends the engine and all that it runs.
    pub fn go(&mut self) {
        let Some(mut engine) = self.engine.take() else {
            return;
        };
        kill_process(Pid::from_child(&engine), Signal::TERM).ok();
        let begun = Instant::now();
        while begun.elapsed() < FAREWELL {
            if matches!(engine.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        engine.kill().ok();
        engine.wait().ok();
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs a command of the engine's own client; the error is what it says.
    pub fn command(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("docker")
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .env("DOCKER_CONFIG", self.folder.path())
            .args(arguments)
            .output()
            .expect("docker's client must be there: install docker.io (and docker-cli)");
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Loads an image, as a person does.
    pub fn load(&self, image: &Image) {
        let archive = self.folder.path().join("by-hand.tar");
        fs::write(&archive, Image::archive(&[image])).unwrap();
        self.command(&["load", "--input", archive.to_str().unwrap()])
            .unwrap();
    }

    /// Returns all containers, by name.
    pub fn containers(&self) -> Vec<Container> {
        let form = "{{.Names}} {{.State}} {{.Label \"otter.image\"}}";
        let listed = self.command(&["ps", "--all", "--no-trunc", "--format", form]);
        let mut containers: Vec<Container> = listed
            .unwrap()
            .lines()
            .map(|line| {
                let mut words = line.split(' ').map(str::to_owned);
                let mut word = || words.next().unwrap_or_default();
                let (name, state, image) = (word(), word(), word());
                let is_running = state == "running";
                Container {
                    name,
                    image,
                    is_running,
                }
            })
            .collect();
        containers.sort();
        containers
    }

    /// Returns the ids of all images.
    pub fn images(&self) -> Vec<String> {
        let listed = self.command(&["images", "--all", "--no-trunc", "--quiet"]);
        let mut ids: Vec<String> = listed.unwrap().lines().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Returns one line of what the engine says of a container or image.
    pub fn inspect(&self, what: &str, form: &str) -> String {
        let said = self.command(&["inspect", "--format", form, what]);
        said.unwrap().trim().to_owned()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("dockerd, newest first:\n{}", last.join("\n"));
        }
        if self.engine.is_some() {
            let left = self
                .command(&["ps", "--all", "--quiet"])
                .unwrap_or_default();
            for id in left.lines() {
                self.command(&["rm", "--force", id]).ok();
            }
        }
        self.go();
        end_containerd(self.folder.path());
        for mount in mounts(self.folder.path()) {
            Command::new("umount").args(["-l", &mount]).status().ok();
        }
    }
}

/// Ends the engine's helper, where the engine itself could not.
fn end_containerd(folder: &Path) {
    let pid = fs::read_to_string(folder.join("exec/containerd/containerd.pid")).ok();
    let Some(pid) = pid.and_then(|text| text.trim().parse::<i32>().ok()) else {
        return;
    };
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if command.contains(&*folder.to_string_lossy()) {
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).ok();
    }
}

/// Returns what is still mounted in a folder, innermost first.
fn mounts(folder: &Path) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let ours = places.filter(|place| Path::new(place).starts_with(folder));
    let mut ours: Vec<String> = ours.map(str::to_owned).collect();
    ours.sort_by_key(|place| std::cmp::Reverse(place.len()));
    ours
}
