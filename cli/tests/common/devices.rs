//! The devices' side of the server: whoever has the right token gets the newest published release of its model.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt as _;
use otter_protocol::attempt::{AttemptReport, AttemptState, Effect};
use otter_protocol::check_in::{
    CheckIn, EnrollReply, EnrollRequest, Instruction, Offer, OfferedArtifact, ReportReply,
    enrollment_message,
};
use otter_protocol::release::{Release, ReleaseState};
use otter_protocol::{AttemptId, Model, ProblemCode, RolloutId, Version};
use serde_json::{Value, json};

use super::{Answer, Refusal, Shared, World, lock};

pub const ENROLLMENT_TOKEN: &str = "ote_test";

/// A device's try at a release.
pub struct Attempt {
    pub device: String,
    pub version: Version,
    pub reports: Vec<AttemptReport>,
    pub state: AttemptState,
}

/// What devices said.
#[derive(Default)]
pub struct Devices {
    /// Device id to model.
    pub models: BTreeMap<String, Model>,
    /// Device id to the version that it said last.
    pub versions: BTreeMap<String, Version>,
    pub public_keys: BTreeMap<String, String>,
    /// By number, from 1.
    pub attempts: Vec<Attempt>,
    pub check_ins: usize,
    /// Answers the next so many check-ins with 503 and `Retry-After: 1`.
    pub busy: usize,
    /// Cuts the next so many downloads off after this many bytes.
    pub cuts: (usize, usize),
    /// Bytes of artifacts asked for, over all requests.
    pub served: usize,
    /// Serves other bytes than were signed.
    pub poisons: bool,
    /// Takes attempts back once they are downloaded.
    pub cancels: bool,
}

impl Devices {
    /// Returns the states that a device reported on its only attempt, in order.
    pub fn states_of(&self, device: &str) -> Vec<AttemptState> {
        let mut attempts = self.attempts.iter().filter(|one| one.device == device);
        let attempt = attempts.next().expect("an attempt");
        assert!(attempts.next().is_none(), "{device} had two attempts");
        let sequences = attempt.reports.iter().map(|report| report.sequence);
        let expected: Vec<u32> = (1..=attempt.reports.len() as u32).collect();
        assert_eq!(sequences.collect::<Vec<_>>(), expected);
        attempt.reports.iter().map(|report| report.state).collect()
    }
}

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/enroll", post(enroll))
        .route("/check-in", post(check_in))
        .route("/artifacts/{sha256}", get(artifact))
        .route("/attempts/{id}/reports", post(report))
}

async fn enroll(
    State(world): State<Shared>,
    Json(request): Json<EnrollRequest>,
) -> Answer<(StatusCode, Json<EnrollReply>)> {
    check_proof(&request)?;
    if request.enrollment_token.as_deref() != Some(ENROLLMENT_TOKEN) {
        let detail = "This enrollment token doesn't count.";
        return Err(Refusal::new(ProblemCode::Unauthenticated, detail));
    }
    let devices = &mut lock(&world).devices;
    let id = request.id.to_string();
    let known = devices.public_keys.get(&id);
    if known.is_some_and(|known| *known != request.public_key) {
        let detail = format!("{id} is enrolled with another key.");
        return Err(Refusal::new(ProblemCode::Conflict, detail));
    }
    devices.public_keys.insert(id.clone(), request.public_key);
    devices.models.insert(id.clone(), request.model);
    let device_token = format!("otd_{id}");
    let reply = EnrollReply::Accepted { device_token };
    Ok((StatusCode::CREATED, Json(reply)))
}

fn check_proof(request: &EnrollRequest) -> Answer<()> {
    use ed25519_dalek::{Signature, VerifyingKey};
    let refused = || Refusal::new(ProblemCode::Unauthenticated, "the proof is wrong");
    let key: [u8; 32] = hex::decode(&request.public_key)
        .unwrap()
        .try_into()
        .unwrap();
    let proof: [u8; 64] = hex::decode(&request.proof).unwrap().try_into().unwrap();
    let message = enrollment_message(&request.id, request.enrollment_token.as_deref());
    VerifyingKey::from_bytes(&key)
        .unwrap()
        .verify_strict(&message, &Signature::from_bytes(&proof))
        .map_err(|_| refused())
}

/// Returns the device that a token belongs to.
fn device_of(headers: &HeaderMap, devices: &Devices) -> Answer<String> {
    let refused = || Refusal::new(ProblemCode::Unauthenticated, "This token doesn't count.");
    let given = headers.get(header::AUTHORIZATION).ok_or_else(refused)?;
    let given = given.to_str().unwrap();
    let id = given.strip_prefix("Bearer otd_").ok_or_else(refused)?;
    let is_known = devices.models.contains_key(id);
    is_known.then(|| id.to_owned()).ok_or_else(refused)
}

async fn check_in(
    State(world): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<CheckIn>,
) -> Answer<Response> {
    let world = &mut lock(&world);
    let id = device_of(&headers, &world.devices)?;
    world.devices.check_ins += 1;
    if world.devices.busy > 0 {
        world.devices.busy -= 1;
        let later = [(header::RETRY_AFTER, "1")];
        return Ok((StatusCode::SERVICE_UNAVAILABLE, later).into_response());
    }
    world
        .devices
        .versions
        .insert(id.clone(), body.version.clone());
    let instruction = world.instruct(&id, &body);
    let mut reply: Value = serde_json::to_value(instruction).unwrap();
    reply["next_check_in_sec"] = json!(60);
    reply["server_time"] = json!("2026-03-01T08:00:00Z");
    Ok(Json(reply).into_response())
}

impl World {
    /// One attempt a device and version: go on with it, begin it, or nothing.
    fn instruct(&mut self, id: &str, body: &CheckIn) -> Instruction {
        let model = self.devices.models[id].clone();
        let newest = self.publishing.releases.iter().rev().find(|release| {
            release.state == ReleaseState::Published && release.artifact_for(&model).is_some()
        });
        let Some(release) = newest.cloned() else {
            return Instruction::Wait;
        };
        let attempts = &mut self.devices.attempts;
        let own = attempts
            .iter()
            .position(|one| one.device == id && one.version == release.version);
        let place = match own {
            Some(place) if attempts[place].state.is_finished() => return Instruction::Wait,
            Some(place) => place,
            None if body.version == release.version => return Instruction::Wait,
            None => {
                attempts.push(Attempt {
                    device: id.to_owned(),
                    version: release.version.clone(),
                    reports: Vec::new(),
                    state: AttemptState::Offered,
                });
                attempts.len() - 1
            }
        };
        let attempt = AttemptId(place as i32 + 1);
        if self.devices.cancels && attempts[place].state == AttemptState::Downloaded {
            return Instruction::Cancel { attempt };
        }
        Instruction::Install(offer(attempt, &release, &model))
    }
}

fn offer(attempt: AttemptId, release: &Release, model: &Model) -> Offer {
    let artifact = release.artifact_for(model).unwrap();
    Offer {
        attempt,
        attempt_uuid: serde_json::from_value(json!("0198f000-0000-7000-8000-000000000000"))
            .unwrap(),
        rollout: RolloutId(1),
        release: release.id,
        version: release.version.clone(),
        release_counter: release.release_counter.unwrap(),
        required: false,
        artifact: OfferedArtifact {
            sha256: artifact.sha256,
            size: artifact.size,
            kind: artifact.kind,
            url: format!("/device/v1/artifacts/{}", artifact.sha256),
        },
    }
}

async fn artifact(
    State(world): State<Shared>,
    headers: HeaderMap,
    Path(sha256): Path<String>,
) -> Answer<Response> {
    let world = &mut lock(&world);
    device_of(&headers, &world.devices)?;
    let mut bytes = world.publishing.artifacts[&sha256].clone();
    if world.devices.poisons {
        bytes[0] ^= 1;
    }
    let whole = bytes.len();
    let range = headers.get(header::RANGE).map(|range| {
        assert_eq!(headers[header::IF_RANGE], format!("\"{sha256}\""));
        let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
        range.strip_suffix('-').unwrap().parse::<usize>().unwrap()
    });
    let bytes = bytes.split_off(range.unwrap_or(0));
    let status = match range {
        Some(_) => StatusCode::PARTIAL_CONTENT,
        None => StatusCode::OK,
    };
    let mut response = Response::builder().status(status);
    if let Some(from) = range {
        let text = format!("bytes {from}-{}/{whole}", whole - 1);
        response = response.header(header::CONTENT_RANGE, text);
    }
    let (cuts, after) = &mut world.devices.cuts;
    if *cuts > 0 && bytes.len() > *after {
        *cuts -= 1;
        world.devices.served += *after;
        let first: Result<Vec<u8>, std::io::Error> = Ok(bytes[..world.devices.cuts.1].to_vec());
        let broken = async {
            // What was given so far is sent once there is nothing more to give at the moment.
            tokio::task::yield_now().await;
            Err(std::io::Error::other("cut"))
        };
        let pieces = futures::stream::iter([first]).chain(futures::stream::once(broken));
        return Ok(response.body(Body::from_stream(pieces)).unwrap());
    }
    world.devices.served += bytes.len();
    Ok(response.body(Body::from(bytes)).unwrap())
}

async fn report(
    State(world): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<usize>,
    Json(report): Json<AttemptReport>,
) -> Answer<Json<ReportReply>> {
    let devices = &mut lock(&world).devices;
    let device = device_of(&headers, devices)?;
    let attempt = devices.attempts.get_mut(id - 1);
    let attempt = attempt.filter(|attempt| attempt.device == device);
    let attempt =
        attempt.ok_or_else(|| Refusal::new(ProblemCode::NotFound, "no attempt of yours"))?;
    let last = attempt.reports.last().map_or(0, |report| report.sequence);
    let effect = report
        .effect_on(attempt.state, last, &attempt.version)
        .map_err(|error| Refusal::new(ProblemCode::InvalidRequest, error))?;
    let applied = effect == Effect::Applied;
    if applied {
        attempt.state = report.state;
        attempt.reports.push(report);
    }
    let state = attempt.state;
    Ok(Json(ReportReply { applied, state }))
}
