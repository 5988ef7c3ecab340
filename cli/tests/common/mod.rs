//! A server small enough to read at once, that keeps to the HTTP contract as far as the tests need it, and `otter` run
//! against it as people run it.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test file takes what it needs of the common house"
)]

mod devices;
mod publishing;

use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use otter_protocol::{Problem, ProblemCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

pub use devices::Devices;
pub use publishing::Publishing;

pub const API_KEY: &str = "otk_test";
pub const PASSPHRASE: &str = "otters hold hands";

/// What the server knows.
#[derive(Default)]
pub struct World {
    pub publishing: Publishing,
    pub devices: Devices,
    /// Rollouts, as their list and detail answer them.
    pub rollouts: Vec<Value>,
    /// What was done to which rollout, with what body, in order.
    pub steered: Vec<(usize, String, Value)>,
    /// Refuses to make a rollout of this release.
    pub refuses_release: Option<i64>,
    /// Groups, as their list answers them.
    pub groups: Vec<Value>,
    /// The newest audit event's actor.
    pub last_actor: String,
}

pub type Shared = Arc<Mutex<World>>;

/// An error's answer.
pub struct Refusal(pub Problem);

impl Refusal {
    pub fn new(code: ProblemCode, detail: impl std::fmt::Display) -> Self {
        Self(Problem::new(code, detail.to_string()))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap();
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, serde_json::to_vec(&self.0).unwrap()).into_response()
    }
}

pub type Answer<T = Json<Value>> = Result<T, Refusal>;

pub fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap()
}

/// The server, and a folder to work in.
pub struct House {
    pub world: Shared,
    pub address: String,
    pub folder: TempDir,
}

impl House {
    pub async fn new() -> Self {
        let world = Shared::default();
        let admin = publishing::routes()
            .route("/rollouts", post(create_rollout).get(list_rollouts))
            .route("/rollouts/{id}", get(rollout))
            .route("/rollouts/{id}/{verb}", post(steer))
            .route("/groups", get(groups))
            .route("/groups/{name}", put(put_group))
            .route("/audit", get(audit))
            .route("/devices/{id}", get(device))
            .route("/attempts/{id}/log", get(attempt_log))
            .layer(from_fn_with_state((), require_key));
        let app = axum::Router::new()
            .nest("/api/v1", admin)
            .nest("/device/v1", devices::routes())
            .route("/device/v1/trust/{name}", get(publishing::metadata))
            .route("/nothing", put(|| async {}))
            .with_state(Arc::clone(&world));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            world,
            address,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_otter"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("OTTER_SERVER", &self.address)
            .env("OTTER_API_KEY", API_KEY)
            .env("OTTER_PASSPHRASE", PASSPHRASE)
            .kill_on_drop(true);
        command
    }

    /// Runs `otter` in the folder; a run that hangs fails the test.
    pub fn otter(&self, arguments: &[&str]) -> impl Future<Output = Ran> + use<> {
        let mut command = self.command(arguments);
        async move {
            let ran = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
            Ran(ran.expect("otter hangs").unwrap())
        }
    }

    /// Makes keys and sets up trust, as a publisher does once.
    pub async fn with_trust() -> Self {
        let house = Self::new().await;
        for role in ["root", "targets"] {
            let out = format!("{role}.key");
            let ran = house.otter(&["key", "generate", "--role", role, "--out", &out]);
            ran.await.ok();
        }
        let init = ["trust", "init", "--root-key", "root.key"];
        let ran = house.otter(&[&init[..], &["--targets-key", "targets.key"]].concat());
        ran.await.ok();
        house
    }
}

/// How a run of `otter` ended.
pub struct Ran(pub Output);

impl Ran {
    pub fn code(&self) -> i32 {
        self.0.status.code().expect("an exit code")
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    /// Expects success and returns what was printed.
    pub fn ok(&self) -> String {
        assert_eq!(self.code(), 0, "{}{}", self.stdout(), self.stderr());
        self.stdout()
    }

    /// Expects this exit code and returns the error.
    pub fn fails(&self, code: i32) -> String {
        assert_eq!(self.code(), code, "{}{}", self.stdout(), self.stderr());
        self.stderr()
    }

    /// Expects success and one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

pub fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let path = path.as_ref();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

async fn require_key(State(()): State<()>, request: Request, next: Next) -> Response {
    let expected = format!("Bearer {API_KEY}");
    let given = request.headers().get(header::AUTHORIZATION);
    if given.is_some_and(|given| *given == *expected) {
        return next.run(request).await;
    }
    Refusal::new(ProblemCode::Unauthenticated, "This key doesn't count.").into_response()
}

async fn create_rollout(
    State(world): State<Shared>,
    axum::extract::Query(making): axum::extract::Query<Value>,
    Json(spec): Json<Value>,
) -> Answer<(StatusCode, Json<Value>)> {
    if lock(&world).refuses_release.map(Value::from).as_ref() == Some(&spec["release"]) {
        return Err(Refusal::new(ProblemCode::Conflict, "It was withdrawn."));
    }
    let mut rollout = spec;
    let id = lock(&world).rollouts.len() + 1;
    let state = match making["draft"].as_str() {
        Some("true") => "draft",
        _ => "running",
    };
    if let Some(template) = making["template"].as_str() {
        rollout["phases"] = json!([{"name": template, "scope": {"kind": "share", "share": 100}}]);
    }
    let more = json!({
        "id": id, "state": state, "state_reason": null, "current_phase": 0,
        "sampled_at": null, "created_at": "2026-03-01T08:00:00Z", "created_by": "key:test",
        "started_at": "2026-03-01T08:00:00Z", "finished_at": null,
    });
    let fields = rollout.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    lock(&world).rollouts.push(rollout.clone());
    Ok((StatusCode::CREATED, Json(rollout)))
}

async fn steer(
    State(world): State<Shared>,
    axum::extract::Path((id, verb)): axum::extract::Path<(usize, String)>,
    Json(body): Json<Value>,
) -> Answer {
    let mut world = lock(&world);
    let state = match verb.as_str() {
        "abort" => "aborted",
        "roll-back" => "rolling_back",
        "pause" => "paused",
        _ => "running",
    };
    world.rollouts[id - 1]["state"] = json!(state);
    world.rollouts[id - 1]["state_reason"] = body["reason"].clone();
    world.steered.push((id, verb, body));
    Ok(Json(world.rollouts[id - 1].clone()))
}

/// A device with three attempts, the first of which have logs.
async fn device(axum::extract::Path(id): axum::extract::Path<String>) -> Json<Value> {
    let attempt = |number: i32, has_log: bool| {
        json!({
            "id": number, "uuid": "00000000-0000-0000-0000-000000000000", "device": id, "rollout": 1,
            "release": 1, "version": "1.1.0", "from_version": "1.0.0", "phase": 0,
            "state": "failed", "progress": null, "message": null, "finished_at": null,
            "created_at": "2026-03-01T08:00:00Z", "updated_at": "2026-03-01T08:00:00Z",
            "steps": [], "has_log": has_log,
        })
    };
    Json(json!({
        "id": id, "model": "rpi4", "version": "1.0.0", "state": "accepted", "hold": null,
        "group": null, "labels": {}, "enrolled_at": "2026-03-01T08:00:00Z", "last_seen_at": null,
        "attempt": null, "metadata": {}, "conditions": {}, "bootloader_version": null,
        "attempts": [attempt(3, false), attempt(2, true), attempt(1, true)],
        "decision": {"action": {"action": "wait"}, "considered": []}, "rollout_names": {},
    }))
}

async fn attempt_log(axum::extract::Path(id): axum::extract::Path<i32>) -> String {
    format!("begins {id}\n\u{1b}[2Jends\n")
}

async fn groups(State(world): State<Shared>) -> Json<Value> {
    Json(lock(&world).groups.clone().into())
}

async fn put_group(State(world): State<Shared>, Json(group): Json<Value>) -> Json<Value> {
    let groups = &mut lock(&world).groups;
    groups.retain(|other| other["name"] != group["name"]);
    groups.push(group.clone());
    Json(group)
}

/// Returns a rollout as its detail shows it.
fn detail(rollout: &Value) -> Value {
    let tally = json!({"succeeded": 1, "failed": 0, "rolled_back": 0, "timed_out": 0,
        "cancelled": 0, "under_way": 0, "waiting": 0});
    let phases = rollout["phases"].as_array().unwrap();
    let progress = phases
        .iter()
        .map(|phase| json!({"phase": phase, "tally": tally, "verdict": null}));
    let mut detail = rollout.clone();
    let more = json!({
        "version": "1.1.0", "models": ["rpi4"], "total": tally,
        "progress": progress.collect::<Vec<_>>(), "failures": [], "failure_reasons": [],
    });
    let fields = detail.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    detail
}

async fn list_rollouts(State(world): State<Shared>) -> Json<Value> {
    lock(&world)
        .rollouts
        .iter()
        .rev()
        .map(detail)
        .collect::<Value>()
        .into()
}

async fn rollout(
    State(world): State<Shared>,
    axum::extract::Path(id): axum::extract::Path<usize>,
) -> Answer {
    let world = lock(&world);
    let found = world.rollouts.get(id.wrapping_sub(1));
    let found = found
        .ok_or_else(|| Refusal::new(ProblemCode::NotFound, format!("There is no rollout {id}.")))?;
    Ok(Json(detail(found)))
}

async fn audit(State(world): State<Shared>) -> Json<Value> {
    let event = json!({
        "sequence": 1, "at": "2026-03-01T08:00:00Z", "actor": lock(&world).last_actor,
        "action": "rollout.pause", "subject_kind": "rollout", "subject": "1",
        "before": null, "after": null, "hash": "00".repeat(32),
    });
    Json(json!({"items": [event], "next": null}))
}
