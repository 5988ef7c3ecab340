//! A server in memory that is reached without a network, so that a picture of it can be taken at any instant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use otter_agent::net::NetError;
use otter_agent::net::transport::{Answer, Body, Request, Transport};
use otter_protocol::check_in::{
    CheckIn, CheckInReply, EnrollReply, EnrollRequest, Instruction, Offer, ReportReply,
};
use otter_protocol::{AttemptId, AttemptReport, AttemptState, Timestamp};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue};
use serde::Serialize;

const TOKEN: &str = "otd_simulated";
const PIECE: usize = 3000;

/// What a server has and never changes.
#[derive(Debug, Default)]
pub struct Store {
    pub files: BTreeMap<String, Vec<u8>>,
    pub artifacts: BTreeMap<String, Bytes>,
}

/// What a server heard, and what it offers.
#[derive(Debug, Clone)]
pub struct Memory {
    pub offer: Offer,
    /// How the attempt ended, by the device's first word on that.
    pub ended: Option<AttemptState>,
    /// The last report's sequence number.
    pub sequence: u32,
    /// The keys with which the device enrolled.
    pub keys: Vec<String>,
    /// What the device ran at its last check-in.
    pub version: String,
    /// What the device said of the end.
    pub words: Option<String>,
    /// What a device must not do.
    pub complaints: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Server {
    pub store: Arc<Store>,
    memory: Arc<Mutex<Memory>>,
}

impl Server {
    pub fn new(store: Arc<Store>, memory: Memory) -> Self {
        Self {
            store,
            memory: Arc::new(Mutex::new(memory)),
        }
    }

    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enroll(&self, request: EnrollRequest) -> Answer {
        let mut memory = self.memory();
        if memory
            .keys
            .last()
            .is_some_and(|key| *key != request.public_key)
        {
            memory.complaints.push("the device lost its key".to_owned());
        }
        memory.keys.push(request.public_key);
        let device_token = TOKEN.to_owned();
        json(&EnrollReply::Accepted { device_token })
    }

    fn check_in(&self, check_in: CheckIn) -> Answer {
        let mut memory = self.memory();
        memory.version = check_in.version.to_string();
        let instruction = match memory.ended {
            None => Instruction::Install(memory.offer.clone()),
            Some(_) => Instruction::Wait,
        };
        json(&CheckInReply {
            clock_off_sec: None,
            come_back_at: None,
            instruction,
            next_check_in_sec: 60,
            server_time: Timestamp(0),
            reasons: Vec::new(),
        })
    }

    fn report(&self, attempt: AttemptId, report: &AttemptReport) -> Answer {
        let mut memory = self.memory();
        let state = report.state;
        if attempt != memory.offer.attempt {
            memory
                .complaints
                .push(format!("a report on attempt {attempt}"));
        }
        if state.is_finished() {
            match memory.ended {
                None => {
                    memory.ended = Some(state);
                    memory.words = report.message.clone();
                }
                Some(first) if first != state => {
                    let complaint = format!("the attempt ended as {first}, then as {state}");
                    memory.complaints.push(complaint);
                }
                Some(_) => {}
            }
        } else if memory.ended.is_some() && report.sequence > memory.sequence {
            memory.complaints.push(format!("{state} after the end"));
        }
        memory.sequence = memory.sequence.max(report.sequence);
        json(&ReportReply {
            applied: true,
            state,
        })
    }

    fn log(&self, attempt: AttemptId, text: &str) -> Answer {
        let mut memory = self.memory();
        let is_whole = text.starts_with("otter-agent ") && text.ends_with('\n');
        if attempt != memory.offer.attempt || memory.ended.is_none() || !is_whole {
            let complaint = format!("a log of attempt {attempt}: {text}");
            memory.complaints.push(complaint);
        }
        body(StatusCode::NO_CONTENT, Bytes::new())
    }

    fn artifact(&self, name: &str, headers: &HeaderMap) -> Option<Answer> {
        let bytes = self.store.artifacts.get(name)?.clone();
        let total = bytes.len();
        let from = headers.get("range").and_then(|range| {
            let text = range.to_str().ok()?.strip_prefix("bytes=")?;
            text.strip_suffix('-')?.parse::<usize>().ok()
        });
        let mut answer = body(StatusCode::OK, bytes.slice(from.unwrap_or(0)..));
        if let Some(from) = from {
            answer.status = StatusCode::PARTIAL_CONTENT;
            let range = format!("bytes {from}-{}/{total}", total - 1);
            let range = HeaderValue::try_from(range).ok()?;
            answer.headers.insert(CONTENT_RANGE, range);
        }
        Some(answer)
    }

    fn answer(&self, request: Request) -> Option<Answer> {
        let path = request.url.path().strip_prefix("/device/v1/")?.to_owned();
        let sent = request.body.unwrap_or_default();
        if let Some(name) = path.strip_prefix("trust/") {
            let bytes = self.store.files.get(name)?.clone();
            return Some(body(StatusCode::OK, bytes.into()));
        }
        let token = request.headers.get("authorization");
        if path != "enroll" && token.is_none_or(|token| token != &format!("Bearer {TOKEN}")) {
            return Some(body(StatusCode::UNAUTHORIZED, Bytes::new()));
        }
        if let Some(name) = path.strip_prefix("artifacts/") {
            return self.artifact(name, &request.headers);
        }
        if let Some(id) = path.strip_prefix("attempts/") {
            let (id, what) = id.split_once('/')?;
            let id = AttemptId(id.parse().ok()?);
            return match what {
                "reports" => Some(self.report(id, &serde_json::from_slice(&sent).ok()?)),
                "log" => Some(self.log(id, &String::from_utf8_lossy(&sent))),
                _ => None,
            };
        }
        match path.as_str() {
            "enroll" => Some(self.enroll(serde_json::from_slice(&sent).ok()?)),
            "check-in" => Some(self.check_in(serde_json::from_slice(&sent).ok()?)),
            _ => None,
        }
    }
}

#[async_trait]
impl Transport for Server {
    async fn send(&self, request: Request) -> Result<Answer, NetError> {
        // Elsewhere tasks may go on between a request and its answer; here, too.
        tokio::task::yield_now().await;
        let answer = self.answer(request);
        Ok(answer.unwrap_or_else(|| body(StatusCode::NOT_FOUND, Bytes::new())))
    }
}

fn json(value: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    body(StatusCode::OK, bytes.into())
}

fn body(status: StatusCode, bytes: Bytes) -> Answer {
    let length = HeaderValue::from(bytes.len());
    Answer {
        status,
        headers: HeaderMap::from_iter([(CONTENT_LENGTH, length)]),
        body: Box::new(Pieces(bytes)),
    }
}

struct Pieces(Bytes);

#[async_trait]
impl Body for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, NetError> {
        let length = self.0.len().min(PIECE);
        Ok((length > 0).then(|| self.0.split_to(length)))
    }
}
