//! How requests travel: one small trait, so that the same client speaks over real links and in simulations.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use url::Url;

use super::NetError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One request as it goes out.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is done.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, where it has one.
    pub body: Option<Vec<u8>>,
    /// How long the whole exchange may take; without it only silence ends it.
    pub timeout: Option<Duration>,
}

/// What came back: its head, and a body that comes in pieces.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// What is still to come.
    pub body: Box<dyn Body>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// A body that comes in pieces.
#[async_trait]
pub trait Body: Send {
    /// Returns the next piece, `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, NetError>;
}

/// Carries requests to the server.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends a request and returns the answer's head as soon as it is there.
    async fn send(&self, request: Request) -> Result<Answer, NetError>;
}

/// The operating system's network.
#[derive(Debug)]
pub struct HttpTransport {
    http: reqwest::Client,
}

impl HttpTransport {
    /// Makes a transport; the stall timeout is between two pieces of a body.
    pub fn new(stall_timeout: Duration) -> Result<Self, NetError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("otter-agent/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(stall_timeout)
            .build()?;
        Ok(Self { http })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Answer, NetError> {
        let mut call = self
            .http
            .request(request.method, request.url)
            .headers(request.headers);
        if let Some(body) = request.body {
            call = call.body(body);
        }
        if let Some(timeout) = request.timeout {
            call = call.timeout(timeout);
        }
        let response = call.send().await?;
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: Box::new(HttpBody(response)),
        })
    }
}

struct HttpBody(reqwest::Response);

#[async_trait]
impl Body for HttpBody {
    async fn next(&mut self) -> Result<Option<Bytes>, NetError> {
        Ok(self.0.chunk().await?)
    }
}
