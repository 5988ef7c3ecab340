//! The device API, as far as an agent sees it, from a server that can cut, stall and cheat.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures::{StreamExt as _, stream};
use otter_protocol::check_in::{
    CheckIn, CheckInReply, EnrollReply, EnrollRequest, Instruction, Offer, ReportReply,
    RotateReply, RotateRequest,
};
use otter_protocol::{
    AttemptId, AttemptReport, AttemptState, Problem, ProblemCode, Sha256Digest, Timestamp,
};
use serde_json::json;

use super::artifacts::artifact;
pub use super::artifacts::{Artifacts, Fetch, block};
use super::publisher::Release;

pub const DEVICE_TOKEN: &str = "otd_secret-of-the-device";
pub const ENROLLMENT_TOKEN: &str = "ote_secret-of-the-fleet";
const GIGABYTE: usize = 1 << 30;

pub struct Fleet {
    pub files: BTreeMap<String, Vec<u8>>,
    /// A metadata file that has a gigabyte.
    pub endless_file: Option<String>,
    pub artifacts: BTreeMap<String, Vec<u8>>,
    /// An artifact that is the one block over and over, and its length.
    pub blocks: Option<(String, u64)>,
    /// The first is offered until its attempt ends.
    pub offers: VecDeque<Offer>,
    pub how: Artifacts,
    /// Words that a server of another kind would say with every decision.
    pub also: Option<serde_json::Map<String, serde_json::Value>>,
    /// Goes into artifacts' ETags.
    pub etag: String,
    pub cancel: bool,
    /// Answers 503 to reports.
    pub reports_are_down: bool,
    /// Whether devices are let in.
    pub accepts: bool,
    pub token: String,
    pub enrollments: Vec<EnrollRequest>,
    pub rotations: Vec<RotateRequest>,
    /// Takes the next rotation, and cuts its answer off.
    pub loses_a_rotation: bool,
    pub check_ins: Vec<CheckIn>,
    pub reports: Vec<(AttemptId, AttemptReport)>,
    /// Logs of attempts, as they came.
    pub logs: Vec<(AttemptId, String)>,
    /// Answers 503 to logs.
    pub logs_are_down: bool,
    pub fetches: Vec<Fetch>,
    /// Bytes of artifacts that were sent.
    pub served: usize,
}

/// A device's server; the address is the one that devices are given.
#[derive(Clone)]
pub struct Server {
    pub address: String,
    fleet: Arc<Mutex<Fleet>>,
}

pub type Shared = State<Arc<Mutex<Fleet>>>;

impl Server {
    pub async fn start() -> Self {
        let fleet = Arc::new(Mutex::new(Fleet {
            files: BTreeMap::new(),
            endless_file: None,
            artifacts: BTreeMap::new(),
            blocks: None,
            offers: VecDeque::new(),
            how: Artifacts::Whole,
            also: None,
            etag: String::new(),
            cancel: false,
            reports_are_down: false,
            accepts: true,
            token: DEVICE_TOKEN.to_owned(),
            enrollments: Vec::new(),
            rotations: Vec::new(),
            loses_a_rotation: false,
            check_ins: Vec::new(),
            reports: Vec::new(),
            logs: Vec::new(),
            logs_are_down: false,
            fetches: Vec::new(),
            served: 0,
        }));
        let router = Router::new()
            .route("/device/v1/enroll", post(enroll))
            .route("/device/v1/rotate", post(rotate))
            .route("/device/v1/check-in", post(check_in))
            .route("/device/v1/artifacts/{sha256}", get(artifact))
            .route("/device/v1/attempts/{id}/reports", post(report))
            .route("/device/v1/attempts/{id}/log", put(log))
            .route("/device/v1/trust/{name}", get(trust))
            .with_state(fleet.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, fleet }
    }

    /// The same server, at another address.
    pub fn at(&self, address: &str) -> Self {
        Self {
            address: address.to_owned(),
            ..self.clone()
        }
    }

    pub fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap()
    }

    /// Offers a release, behind what is offered already.
    pub fn offer(&self, release: &Release) -> AttemptId {
        let mut fleet = self.fleet();
        let number = i32::try_from(fleet.offers.len() + fleet.ended().len()).unwrap() + 1;
        let offer = release.offer(number);
        fleet
            .artifacts
            .insert(release.artifact.sha256.to_string(), release.bytes.clone());
        fleet.offers.push_back(offer);
        AttemptId(number)
    }

    /// Offers a release of so many bytes of the one block.
    pub fn offer_blocks(&self, release: &Release, length: u64) {
        let mut fleet = self.fleet();
        fleet.offers.push_back(release.offer(1));
        fleet.blocks = Some((release.artifact.sha256.to_string(), length));
    }

    /// Waits until an attempt has ended, and returns its last report.
    pub async fn end_of(&self, attempt: AttemptId) -> AttemptReport {
        let what = format!("the end of attempt {attempt}");
        super::eventually(&what, || self.fleet().end_of(attempt)).await
    }
}

impl Fleet {
    pub fn end_of(&self, attempt: AttemptId) -> Option<AttemptReport> {
        let mut reports = self.reports.iter();
        reports
            .find(|(id, report)| *id == attempt && report.state.is_finished())
            .map(|(_, report)| report.clone())
    }

    /// Attempts that ended, each once.
    pub fn ended(&self) -> BTreeMap<AttemptId, AttemptState> {
        let mut ended = BTreeMap::new();
        for (id, report) in &self.reports {
            if report.state.is_finished() {
                ended.entry(*id).or_insert(report.state);
            }
        }
        ended
    }

    pub fn states(&self, attempt: AttemptId) -> Vec<AttemptState> {
        let mut states: Vec<AttemptState> = self
            .reports
            .iter()
            .filter(|(id, _)| *id == attempt)
            .map(|(_, report)| report.state)
            .collect();
        states.dedup();
        states
    }
}

pub fn problem(code: ProblemCode) -> Response {
    let status = StatusCode::from_u16(code.status()).unwrap();
    (
        status,
        Json(json!(Problem::new(code, "the fake server says no"))),
    )
        .into_response()
}

pub fn is_known(fleet: &Fleet, headers: &HeaderMap) -> bool {
    let wanted = format!("Bearer {}", fleet.token);
    headers
        .get("authorization")
        .is_some_and(|got| got == wanted.as_str())
}

async fn rotate(
    State(fleet): Shared,
    headers: HeaderMap,
    Json(request): Json<RotateRequest>,
) -> Response {
    let mut fleet = fleet.lock().unwrap();
    if !is_known(&fleet, &headers) {
        return problem(ProblemCode::Unauthenticated);
    }
    fleet.rotations.push(request);
    fleet.token = format!("{DEVICE_TOKEN}-{}", fleet.rotations.len());
    if std::mem::take(&mut fleet.loses_a_rotation) {
        return problem(ProblemCode::Unavailable);
    }
    let device_token = fleet.token.clone();
    Json(RotateReply { device_token }).into_response()
}

async fn enroll(State(fleet): Shared, Json(request): Json<EnrollRequest>) -> Response {
    let mut fleet = fleet.lock().unwrap();
    let is_invited = request.enrollment_token.as_deref() == Some(ENROLLMENT_TOKEN);
    let fingerprint = Sha256Digest::of(request.public_key.as_bytes());
    fleet.enrollments.push(request);
    if is_invited || fleet.accepts {
        let device_token = fleet.token.clone();
        (
            StatusCode::CREATED,
            Json(EnrollReply::Accepted { device_token }),
        )
            .into_response()
    } else {
        let pending = EnrollReply::Pending {
            fingerprint,
            retry_after_sec: 0,
        };
        (StatusCode::ACCEPTED, Json(pending)).into_response()
    }
}

async fn check_in(
    State(fleet): Shared,
    headers: HeaderMap,
    Json(check_in): Json<CheckIn>,
) -> Response {
    let mut fleet = fleet.lock().unwrap();
    if !is_known(&fleet, &headers) {
        return problem(ProblemCode::Unauthenticated);
    }
    let instruction = match (fleet.offers.front(), check_in.attempt) {
        (_, Some(attempt)) if fleet.cancel => Instruction::Cancel { attempt },
        (Some(offer), _) => Instruction::Install(offer.clone()),
        (None, _) => Instruction::Wait,
    };
    fleet.check_ins.push(check_in);
    let reply = CheckInReply {
        clock_off_sec: None,
        come_back_at: None,
        instruction,
        next_check_in_sec: 0,
        server_time: Timestamp(0),
        reasons: Vec::new(),
    };
    let mut reply = serde_json::to_value(reply).unwrap();
    if let (Some(reply), Some(also)) = (reply.as_object_mut(), fleet.also.clone()) {
        reply.extend(also);
    }
    Json(reply).into_response()
}

async fn report(
    State(fleet): Shared,
    Path(id): Path<i32>,
    headers: HeaderMap,
    Json(report): Json<AttemptReport>,
) -> Response {
    let mut fleet = fleet.lock().unwrap();
    if !is_known(&fleet, &headers) {
        return problem(ProblemCode::Unauthenticated);
    }
    if fleet.reports_are_down {
        return problem(ProblemCode::Unavailable);
    }
    let state = report.state;
    let attempt = AttemptId(id);
    fleet.reports.push((attempt, report));
    if state.is_finished() {
        fleet.offers.retain(|offer| offer.attempt != attempt);
        fleet.cancel = false;
    }
    let applied = true;
    Json(ReportReply { applied, state }).into_response()
}

async fn log(
    State(fleet): Shared,
    Path(id): Path<i32>,
    headers: HeaderMap,
    text: String,
) -> Response {
    let mut fleet = fleet.lock().unwrap();
    if !is_known(&fleet, &headers) {
        return problem(ProblemCode::Unauthenticated);
    }
    if fleet.logs_are_down {
        return problem(ProblemCode::Unavailable);
    }
    fleet.logs.push((AttemptId(id), text));
    StatusCode::NO_CONTENT.into_response()
}

async fn trust(State(fleet): Shared, Path(name): Path<String>) -> Response {
    let fleet = fleet.lock().unwrap();
    if fleet.endless_file.as_ref() == Some(&name) {
        let pieces = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 << 10]));
        return Body::from_stream(pieces.take(GIGABYTE / (64 << 10))).into_response();
    }
    match fleet.files.get(&name) {
        Some(bytes) => bytes.clone().into_response(),
        None => problem(ProblemCode::NotFound),
    }
}
