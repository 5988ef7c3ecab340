//! The device API, as far as an agent sees it, from a server that can cut, stall and cheat.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures::stream;
use otter_protocol::check_in::{
    CheckIn, CheckInReply, EnrollReply, EnrollRequest, Instruction, Offer, ReportReply,
};
use otter_protocol::{
    AttemptId, AttemptReport, AttemptState, Problem, ProblemCode, Sha256Digest, Timestamp,
};
use serde_json::json;

use super::publisher::Release;

pub const DEVICE_TOKEN: &str = "otd_secret-of-the-device";
pub const ENROLLMENT_TOKEN: &str = "ote_secret-of-the-fleet";
const PIECE: usize = 8 << 10;

/// Of this, over and over, are artifacts that are too large to be held in memory.
pub fn block() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(256 << 10).collect()
}

/// How the server answers when artifacts are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Artifacts {
    Whole,
    /// Breaks off after this many bytes, this many times.
    Cut(usize, u32),
    /// Says nothing after this many bytes, once.
    Stall(usize),
    /// So slowly: a piece every so many milliseconds.
    Slow(u64),
    /// Other bytes of the same length.
    Other,
    /// More bytes than it says there are, without end.
    Endless,
    /// One byte more, and says so.
    Longer,
    /// Answers 503 with `Retry-After: 1`, once.
    Busy,
    /// Answers 503, always.
    Refused,
    /// As if there were none.
    Missing,
}

/// What was asked for an artifact.
#[derive(Debug, Clone, Copy)]
pub struct Fetch {
    /// Where the answer began.
    pub from: usize,
    /// Where it was wanted to begin, where that was said.
    pub wanted: Option<usize>,
    pub at: std::time::Instant,
}

pub struct Fleet {
    pub files: BTreeMap<String, Vec<u8>>,
    pub artifacts: BTreeMap<String, Vec<u8>>,
    /// An artifact that is the one block over and over, and its length.
    pub blocks: Option<(String, u64)>,
    /// The first is offered until its attempt ends.
    pub offers: VecDeque<Offer>,
    pub how: Artifacts,
    /// Goes into artifacts' ETags.
    pub etag: String,
    pub cancel: bool,
    /// Answers 503 to reports.
    pub reports_are_down: bool,
    /// Whether devices are let in.
    pub accepts: bool,
    pub token: String,
    pub enrollments: Vec<EnrollRequest>,
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

type Shared = State<Arc<Mutex<Fleet>>>;

impl Server {
    pub async fn start() -> Self {
        let fleet = Arc::new(Mutex::new(Fleet {
            files: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            blocks: None,
            offers: VecDeque::new(),
            how: Artifacts::Whole,
            etag: String::new(),
            cancel: false,
            reports_are_down: false,
            accepts: true,
            token: DEVICE_TOKEN.to_owned(),
            enrollments: Vec::new(),
            check_ins: Vec::new(),
            reports: Vec::new(),
            logs: Vec::new(),
            logs_are_down: false,
            fetches: Vec::new(),
            served: 0,
        }));
        let router = Router::new()
            .route("/device/v1/enroll", post(enroll))
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

fn problem(code: ProblemCode) -> Response {
    let status = StatusCode::from_u16(code.status()).unwrap();
    (
        status,
        Json(json!(Problem::new(code, "the fake server says no"))),
    )
        .into_response()
}

fn is_known(fleet: &Fleet, headers: &HeaderMap) -> bool {
    let wanted = format!("Bearer {}", fleet.token);
    headers
        .get("authorization")
        .is_some_and(|got| got == wanted.as_str())
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
    Json(CheckInReply {
        clock_off_sec: None,
        come_back_at: None,
        instruction,
        next_check_in_sec: 0,
        server_time: Timestamp(0),
        reasons: Vec::new(),
    })
    .into_response()
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
    match fleet.lock().unwrap().files.get(&name) {
        Some(bytes) => bytes.clone().into_response(),
        None => problem(ProblemCode::NotFound),
    }
}

async fn artifact(State(shared): Shared, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let mut fleet = shared.lock().unwrap();
    if !is_known(&fleet, &headers) {
        return problem(ProblemCode::Unauthenticated);
    }
    if let Some((_, length)) = fleet.blocks.as_ref().filter(|(blocks, _)| *blocks == name) {
        return blocks(shared.clone(), *length);
    }
    let Some(mut bytes) = fleet.artifacts.get(&name).cloned() else {
        return problem(ProblemCode::NotFound);
    };
    let how = fleet.how;
    let etag = format!("\"{name}{}\"", fleet.etag);
    let range = headers.get("range").and_then(|range| {
        let text = range
            .to_str()
            .ok()?
            .strip_prefix("bytes=")?
            .strip_suffix('-')?;
        text.parse::<usize>().ok()
    });
    let is_current = headers
        .get("if-range")
        .is_some_and(|given| given == etag.as_str());
    let from = range.filter(|_| is_current).unwrap_or(0);
    let at = std::time::Instant::now();
    fleet.fetches.push(Fetch {
        from,
        wanted: range,
        at,
    });
    let (mut pause, mut ends, mut hangs) = (Duration::ZERO, None, false);
    match how {
        Artifacts::Whole => {}
        Artifacts::Cut(_, 0) => {}
        Artifacts::Cut(after, times) => {
            fleet.how = Artifacts::Cut(after, times - 1);
            ends = Some(from + after);
        }
        Artifacts::Stall(after) => {
            fleet.how = Artifacts::Whole;
            (ends, hangs) = (Some(from + after), true);
        }
        Artifacts::Slow(ms) => pause = Duration::from_millis(ms),
        Artifacts::Other => bytes.fill(b'x'),
        Artifacts::Endless => bytes.extend(vec![0; 1 << 20]),
        Artifacts::Longer => bytes.push(0),
        Artifacts::Busy => {
            fleet.how = Artifacts::Whole;
            return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response();
        }
        Artifacts::Refused => return problem(ProblemCode::Unavailable),
        Artifacts::Missing => return problem(ProblemCode::NotFound),
    }
    drop(fleet);
    let total = bytes.len();
    let mut response = Response::builder().header("etag", etag);
    if how != Artifacts::Endless {
        response = response.header("content-length", total - from);
    }
    if from > 0 {
        let range = format!("bytes {from}-{}/{total}", total - 1);
        response = response.status(206).header("content-range", range);
    }
    let body = pieces(shared, bytes, from, pause, ends, hangs);
    response.body(body).unwrap()
}

/// Sends so many bytes of the one block.
fn blocks(shared: Arc<Mutex<Fleet>>, length: u64) -> Response {
    let block = bytes::Bytes::from(block());
    let next = move |left: u64| {
        let (block, shared) = (block.clone(), shared.clone());
        async move {
            if left == 0 {
                return None;
            }
            shared.lock().unwrap().served += block.len();
            let left = left - block.len() as u64;
            Some((Ok::<_, std::io::Error>(block), left))
        }
    };
    let body = Body::from_stream(stream::unfold(length, next));
    let response = Response::builder().header("content-length", length);
    response.body(body).unwrap()
}

fn pieces(
    shared: Arc<Mutex<Fleet>>,
    bytes: Vec<u8>,
    from: usize,
    pause: Duration,
    ends: Option<usize>,
    hangs: bool,
) -> Body {
    let next = move |at: usize| {
        let stop = ends.unwrap_or(bytes.len()).min(bytes.len());
        let until = (at + PIECE).min(stop);
        let piece = bytes[at.min(until)..until].to_vec();
        let is_over = at >= bytes.len();
        let shared = shared.clone();
        async move {
            if is_over {
                return None;
            }
            tokio::time::sleep(pause).await;
            if piece.is_empty() {
                if hangs {
                    std::future::pending::<()>().await;
                }
                let cut = std::io::Error::other("cut");
                return Some((Err(cut), usize::MAX));
            }
            shared.lock().unwrap().served += piece.len();
            let at = at + piece.len();
            Some((Ok(piece), at))
        }
    };
    Body::from_stream(stream::unfold(from, next))
}
