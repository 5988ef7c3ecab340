//! The engine's socket: calls of bounded length and time, in a version of its API that both sides know.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// The newest version of the engine's API that this agent was made for.
const NEWEST: ApiVersion = ApiVersion(1, 47);
/// The oldest that has every call that is made.
const OLDEST: ApiVersion = ApiVersion(1, 25);
/// Longest answer, in bytes.
const MOST_ANSWER: usize = 4 << 20;
/// Longest words of the engine that are passed on, in characters.
const LONGEST_WORDS: usize = 600;
/// How often it is looked whether an engine that was away is back.
const GLANCE: Duration = Duration::from_millis(250);

/// Why the engine didn't do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Nobody answers, or not to the end.
    #[error(
        "the container engine at {} is away: {cause}. Start it, or set `container.socket`",
        socket.display()
    )]
    Away {
        /// Where it was looked for.
        socket: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// It took too long.
    #[error("{what} took the container engine longer than {limit:?}")]
    Slow {
        /// What was asked.
        what: String,
        /// How long it may take.
        limit: Duration,
    },
    /// It said no.
    #[error("{what}: the container engine says no ({status}): {message}")]
    Refused {
        /// What was asked.
        what: String,
        /// The answer's status.
        status: u16,
        /// The engine's own words.
        message: String,
    },
    /// It said what makes no sense.
    #[error("{what}: the container engine's answer makes no sense: {cause}")]
    Nonsense {
        /// What was asked.
        what: String,
        /// What is wrong with the answer.
        cause: String,
    },
}

impl EngineError {
    /// Tells whether the engine can't be reached.
    pub(super) fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }

    /// Tells whether it may well do the same later.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Slow { .. })
    }

    /// Tells whether something else is in the way, perhaps for a moment only.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }
}

/// Turns "there is no such thing" into `None`.
pub(super) fn optional<T>(result: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(EngineError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A version of the engine's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ApiVersion(u32, u32);

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionAnswer {
    api_version: String,
    #[serde(rename = "MinAPIVersion", default)]
    oldest: Option<String>,
}

/// Returns the newest version that both sides know.
fn common_version(answer: &VersionAnswer) -> Result<ApiVersion, String> {
    let parse = |text: &str| {
        ApiVersion::parse(text).ok_or_else(|| format!("`{text}` is no version of its API"))
    };
    let newest = parse(&answer.api_version)?;
    let oldest = answer.oldest.as_deref().map(parse).transpose()?;
    if newest < OLDEST || oldest.is_some_and(|oldest| oldest > NEWEST) {
        return Err(format!(
            "it speaks versions {} to {} of its API, this agent {}.{} to {}.{}",
            answer.oldest.as_deref().unwrap_or("?"),
            answer.api_version,
            OLDEST.0,
            OLDEST.1,
            NEWEST.0,
            NEWEST.1
        ));
    }
    Ok(newest.min(NEWEST))
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    /// What it does, in words for an error.
    pub(super) what: String,
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    limit: Option<Duration>,
}

impl Call {
    pub(super) fn new(method: Method, path: String, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            method,
            path,
            query: Vec::new(),
            limit: None,
        }
    }

    pub(super) fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    /// Lets it take another time than most.
    pub(super) fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// The engine, by its socket.
#[derive(Debug)]
pub(super) struct Engine {
    http: Client,
    socket: PathBuf,
    limit: Duration,
    version: Mutex<Option<ApiVersion>>,
}

impl Engine {
    /// Takes a socket, whether somebody answers there or not.
    pub(super) fn new(socket: &Path, limit: Duration) -> reqwest::Result<Self> {
        let http = Client::builder()
            .unix_socket(socket)
            .no_proxy()
            .redirect(redirect::Policy::none())
            // The engine may be another one by the next call.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            http,
            socket: socket.to_owned(),
            limit,
            version: Mutex::new(None),
        })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns how long a call may take that says nothing else.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Returns once the engine answers; the error is what it said last.
    pub(super) async fn is_there(&self, within: Duration) -> Result<(), EngineError> {
        let deadline = Instant::now() + within;
        loop {
            match self.negotiate().await {
                Err(error) if error.is_away() && Instant::now() < deadline => {
                    tracing::debug!("{error}");
                    sleep(GLANCE).await;
                }
                result => return result.map(|_| ()),
            }
        }
    }

    /// Makes a call and returns its answer.
    pub(super) async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, EngineError> {
        let what = call.what.clone();
        let bytes = self.bytes(call, None).await?;
        parse(&what, &bytes)
    }

    /// Makes a call with a body and returns its answer.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        call: Call,
        body: &Value,
    ) -> Result<T, EngineError> {
        let what = call.what.clone();
        let bytes = self.bytes(call, Some(body)).await?;
        parse(&what, &bytes)
    }

    /// Makes a call and returns the bytes of its answer.
    pub(super) async fn bytes(
        &self,
        call: Call,
        body: Option<&Value>,
    ) -> Result<Vec<u8>, EngineError> {
        let response = self
            .send(&call, |request| match body {
                Some(body) => request.json(body),
                None => request,
            })
            .await?;
        let answer = self.read(&call, response).await?;
        if answer.is_cut {
            return Err(EngineError::Nonsense {
                what: call.what,
                cause: format!("it has more than {MOST_ANSWER} bytes"),
            });
        }
        Ok(answer.bytes)
    }

    /// Makes a call and returns its answer as far as it is good; the rest of it is still to come.
    pub(super) async fn send(
        &self,
        call: &Call,
        finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, EngineError> {
        let version = self.version().await?;
        let url = format!("http://docker/v{}.{}{}", version.0, version.1, call.path);
        let request = self
            .http
            .request(call.method.clone(), url)
            .query(&call.query)
            .timeout(call.limit.unwrap_or(self.limit));
        let sent = finish(request).send().await;
        let response = sent.map_err(|error| self.lost(call, &error))?;
        let status = response.status();
        // 304: what was asked is so already.
        if status.is_success() || status.as_u16() == 304 {
            return Ok(response);
        }
        let answer = self.read(call, response).await?;
        Err(EngineError::Refused {
            what: call.what.clone(),
            status: status.as_u16(),
            message: words(&answer.bytes),
        })
    }

    /// Says why there is no answer.
    pub(super) fn lost(&self, call: &Call, error: &reqwest::Error) -> EngineError {
        if error.is_timeout() {
            return EngineError::Slow {
                what: call.what.clone(),
                limit: call.limit.unwrap_or(self.limit),
            };
        }
        // By the next time it may be another engine.
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut innermost: &dyn Error = error;
        while let Some(cause) = innermost.source() {
            innermost = cause;
        }
        EngineError::Away {
            socket: self.socket.clone(),
            cause: innermost.to_string(),
        }
    }

    async fn read(&self, call: &Call, mut response: Response) -> Result<Answer, EngineError> {
        let mut bytes = Vec::new();
        loop {
            let piece = response.chunk().await;
            let Some(piece) = piece.map_err(|error| self.lost(call, &error))? else {
                return Ok(Answer {
                    bytes,
                    is_cut: false,
                });
            };
            bytes.extend_from_slice(&piece);
            if bytes.len() > MOST_ANSWER {
                return Ok(Answer {
                    bytes,
                    is_cut: true,
                });
            }
        }
    }

    async fn version(&self) -> Result<ApiVersion, EngineError> {
        let known = *self.version.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some(version) => Ok(version),
            None => self.negotiate().await,
        }
    }

    async fn negotiate(&self) -> Result<ApiVersion, EngineError> {
        let call = Call::new(Method::GET, "/version".to_owned(), "asking for its version");
        let request = self.http.get("http://docker/version").timeout(self.limit);
        let response = request
            .send()
            .await
            .map_err(|error| self.lost(&call, &error))?;
        let answer = self.read(&call, response).await?;
        let answer: VersionAnswer = parse(&call.what, &answer.bytes)?;
        let version = common_version(&answer).map_err(|cause| EngineError::Nonsense {
            what: call.what,
            cause,
        })?;
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        Ok(version)
    }
}

struct Answer {
    bytes: Vec<u8>,
    is_cut: bool,
}

fn parse<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(bytes).map_err(|error| EngineError::Nonsense {
        what: what.to_owned(),
        cause: error.to_string(),
    })
}

/// Returns the engine's words in an answer that says no.
fn words(bytes: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        message: String,
    }
    let said = serde_json::from_slice::<Problem>(bytes).map(|problem| problem.message);
    let said = said.unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned());
    shortened(&said)
}

/// Returns the beginning of a text, on one line.
pub(super) fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_WORDS)
        .collect()
}

#[cfg(test)]
mod tests;
