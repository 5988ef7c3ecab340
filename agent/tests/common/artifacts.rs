//! Artifacts, from a server that can cut, stall and cheat.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;
use otter_protocol::ProblemCode;

use super::server::{Fleet, Shared, is_known, problem};

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

pub async fn artifact(
    State(shared): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
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
