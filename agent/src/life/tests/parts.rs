//! An agent of parts that hang where a test wants it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use otter_protocol::check_in::{CheckInReply, Instruction};
use otter_protocol::{ArtifactKind, Timestamp};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::agent::{Agent, Parts};
use crate::config::Config;
use crate::disk::{Disk, SimulatedDisk};
use crate::history::Ended;
use crate::identity::Identity;
use crate::install::{Downloads, InstallError, Installer, Started};
use crate::journal::{Attempt, Installed, Journal, Signed, Step};
use crate::life::{Signs, Watchdog};
use crate::machine::{Held, Machine};
use crate::net::transport::{Answer, Body, Request, Transport};
use crate::net::{NetError, Token};
use crate::observer::Observer;
use crate::service::Trial;
use crate::testing;

const STATE: &str = "/state";
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);

/// The one thing that hangs, until it doesn't.
#[derive(Debug, Clone)]
pub(super) struct Hanging(pub(super) watch::Sender<Option<&'static str>>);

impl Hanging {
    pub(super) fn at(what: impl Into<Option<&'static str>>) -> Self {
        Self(watch::Sender::new(what.into()))
    }

    async fn pass(&self, what: &str) {
        let mut hanging = self.0.subscribe();
        let passes =
            hanging.wait_for(|hanging| hanging.is_none_or(|hanging| !what.ends_with(hanging)));
        passes.await.unwrap();
    }
}

#[derive(Debug)]
struct Device;

#[async_trait]
impl Machine for Device {
    fn take(&self, _: &Path) -> anyhow::Result<Held> {
        Ok(Box::new(()))
    }

    fn boot_id(&self) -> io::Result<String> {
        Ok("1".to_owned())
    }

    async fn restart(&self, _: Option<&str>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Has nothing to install and nothing to say for a day, and no time to send what was to be installed before.
#[derive(Debug)]
struct Server(Hanging);

struct Whole(Option<bytes::Bytes>);

#[async_trait]
impl Body for Whole {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>, NetError> {
        Ok(self.0.take())
    }
}

#[async_trait]
impl Transport for Server {
    async fn send(&self, request: Request) -> Result<Answer, NetError> {
        self.0.pass(request.url.path()).await;
        let reply = CheckInReply {
            instruction: Instruction::Wait,
            next_check_in_sec: 24 * 60 * 60,
            server_time: Timestamp(0),
            clock_off_sec: None,
            come_back_at: None,
            reasons: Vec::new(),
        };
        let path = request.url.path();
        let (status, body) = if path.ends_with("check-in") {
            (StatusCode::OK, serde_json::to_vec(&reply).unwrap())
        } else if path.contains("artifacts") {
            (StatusCode::SERVICE_UNAVAILABLE, Vec::new())
        } else {
            (StatusCode::NOT_FOUND, Vec::new())
        };
        let busy = (RETRY_AFTER, HeaderValue::from_static("7200"));
        Ok(Answer {
            status,
            headers: HeaderMap::from_iter([busy]),
            body: Box::new(Whole(Some(body.into()))),
        })
    }
}

#[derive(Debug)]
struct Fake(Hanging);

#[async_trait]
impl Installer for Fake {
    fn kind(&self) -> ArtifactKind {
        ArtifactKind::Bundle
    }

    async fn recover(&self, old: Option<&Installed>) -> Result<Option<Installed>, InstallError> {
        self.0.pass("recover").await;
        Ok(old.cloned())
    }

    async fn prepare(
        &self,
        _: &Signed,
        _: &Downloads,
        _: &[Installed],
    ) -> Result<Installed, InstallError> {
        self.0.pass("prepare").await;
        Ok(new())
    }

    async fn stop(&self) -> Result<(), InstallError> {
        self.0.pass("stop").await;
        Ok(())
    }

    async fn apply(&self, _: &Installed) -> Result<(), InstallError> {
        self.0.pass("apply").await;
        Ok(())
    }

    async fn start(&self, _: &Installed, _: Trial) -> Result<Started, InstallError> {
        self.0.pass("start").await;
        Ok(Started::Running)
    }

    async fn commit(&self, _: &Installed) -> Result<(), InstallError> {
        self.0.pass("commit").await;
        Ok(())
    }

    async fn roll_back(
        &self,
        _: Option<&Installed>,
        _: Option<&Installed>,
    ) -> Result<(), InstallError> {
        self.0.pass("roll_back").await;
        Ok(())
    }

    async fn clean(&self, _: &[Installed]) -> Result<(), InstallError> {
        Ok(())
    }

    fn folder(&self, _: &Installed) -> PathBuf {
        PathBuf::from("/")
    }
}

fn new() -> Installed {
    Installed {
        version: "2.0.0".into(),
        release_counter: 2,
        name: "2-2.0.0".to_owned(),
    }
}

/// Remembers when it was fed, and whether it was let go.
#[derive(Debug, Clone, Default)]
pub(super) struct Dog(Arc<Mutex<(Vec<Instant>, bool)>>);

impl Dog {
    /// Returns when it was fed for the last time, and how long it ever had to wait.
    pub(super) fn meals(&self) -> (Instant, Duration) {
        let meals = self.0.lock().unwrap().0.clone();
        let gaps = meals.windows(2).map(|pair| pair[1] - pair[0]);
        (*meals.last().unwrap(), gaps.max().unwrap_or_default())
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.0.lock().unwrap().1
    }
}

impl Watchdog for Dog {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn feed(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().0.push(Instant::now());
        Ok(())
    }

    fn dismiss(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().1 = true;
        Ok(())
    }
}

/// Writes down what it hears.
#[derive(Debug, Default)]
pub(super) struct Diary(Mutex<Vec<String>>);

impl Diary {
    pub(super) fn story(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, what: impl fmt::Display) {
        self.0.lock().unwrap().push(what.to_string());
    }
}

impl Observer for Diary {
    fn booted(&self) {
        self.note("booted");
    }

    fn idle(&self) {
        self.note("idle");
    }

    fn step_begun(&self, attempt: &Attempt) {
        self.note(attempt.step);
    }

    fn attempt_ended(&self, ended: &Ended) {
        self.note(ended.outcome);
    }

    fn stopping(&self) {
        self.note("stopping");
    }
}

/// An agent at a step of an attempt, or without one.
pub(super) fn agent(step: Option<Step>, hanging: &Hanging) -> (Agent, Dog, Arc<Diary>) {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::default());
    let state = Path::new(STATE);
    disk.make_dir(state).unwrap();
    let token = Token::new("otd_x");
    Identity::new(disk.clone(), state)
        .keep_token(&token)
        .unwrap();
    let attempt = step.map(|step| Attempt {
        signed: Some(testing::signed(b"new")),
        target: Some(new()),
        ..testing::attempt(step)
    });
    let journal = Journal::open(disk.clone(), state).unwrap();
    let written = journal.change(|record| {
        record.installed = Some(Installed {
            name: "1-1.0.0".to_owned(),
            release_counter: 1,
            version: "1.0.0".into(),
        });
        record.attempt = attempt;
    });
    written.unwrap();
    let text = format!(
        "server = \"http://server\"\ndevice_id = \"d\"\nmodel = \"m\"\nstate_dir = \"{STATE}\"\n"
    );
    let config = Config::parse(&text, Path::new("/")).unwrap();
    let (dog, diary) = (Dog::default(), Arc::new(Diary::default()));
    let parts = Parts {
        disk,
        machine: Arc::new(Device),
        transport: Arc::new(Server(hanging.clone())),
        installer: Some(Arc::new(Fake(hanging.clone()))),
        checks: Vec::new(),
        observer: Some(diary.clone()),
        signs: Signs {
            observers: Vec::new(),
            watchdogs: vec![Box::new(dog.clone())],
        },
    };
    (Agent::open(config, parts).unwrap(), dog, diary)
}
