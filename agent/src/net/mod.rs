//! The device API, as the device calls it.

pub mod backoff;
pub mod download;
mod metadata;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

use otter_protocol::check_in::{CheckIn, CheckInReply, EnrollReply, EnrollRequest, ReportReply};
use otter_protocol::{AttemptId, AttemptReport, Problem};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_RANGE,
    RANGE, RETRY_AFTER,
};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use url::Url;

use transport::{Answer, Request, Transport};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// More than any reply to a call needs.
const LARGEST_REPLY: u64 = 1 << 20;
const LARGEST_PROBLEM: u64 = 64 << 10;
/// Longest time that a server can ask to be left alone.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The server answered, and the answer was no.
    #[error("the server answered {status}: {text}")]
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// The server's words.
        text: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Nobody answered, or not to the end.
    #[error("the server can't be reached: {0}")]
    Unreachable(String),
    /// The answer makes no sense.
    #[error("the server's answer makes no sense: {0}")]
    Malformed(String),
    /// The answer has more bytes than any answer needs.
    #[error("endless data: the server's answer has more than {0} bytes")]
    TooLarge(u64),
}

impl NetError {
    /// Tells whether the same call can't succeed later.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                status.is_client_error()
                    && !matches!(
                        *status,
                        StatusCode::UNAUTHORIZED
                            | StatusCode::REQUEST_TIMEOUT
                            | StatusCode::TOO_EARLY
                            | StatusCode::TOO_MANY_REQUESTS
                    )
            }
            _ => false,
        }
    }

    /// Tells whether the server doesn't take the device's token.
    pub fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::UNAUTHORIZED)
    }

    /// Returns when the server wants to be asked again, where it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<reqwest::Error> for NetError {
    fn from(error: reqwest::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        Self::Unreachable(text)
    }
}

/// A server, and the device's token for it.
#[derive(Debug)]
pub struct Client {
    transport: Arc<dyn Transport>,
    base: Url,
    token: watch::Sender<Option<Token>>,
}

/// A device token; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes a token.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret itself, to keep or send it.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Client {
    /// Makes a client of the server at an address.
    pub fn new(base: &Url, transport: Arc<dyn Transport>) -> Self {
        let mut base = base.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Self {
            transport,
            base,
            token: watch::Sender::new(None),
        }
    }

    /// Sends this token from now on.
    pub fn set_token(&self, token: Option<Token>) {
        self.token.send_replace(token);
    }

    /// Tells whether there is a token to send.
    pub fn has_token(&self) -> bool {
        self.token.borrow().is_some()
    }

    /// Waits until there is a token to send.
    pub async fn token_is_there(&self) {
        // The sender is this client's own, so that the wait can't be broken off.
        self.token.subscribe().wait_for(Option::is_some).await.ok();
    }

    /// Asks to take part.
    pub async fn enroll(&self, request: &EnrollRequest) -> Result<EnrollReply, NetError> {
        let call = self.call(Method::POST, "device/v1/enroll")?;
        self.send(with_body(call, request)?).await
    }

    /// Says how the device is and asks what to do.
    pub async fn check_in(&self, check_in: &CheckIn) -> Result<CheckInReply, NetError> {
        self.post("device/v1/check-in", check_in).await
    }

    /// Delivers a report.
    pub async fn report(
        &self,
        attempt: AttemptId,
        report: &AttemptReport,
    ) -> Result<ReportReply, NetError> {
        self.post(&format!("device/v1/attempts/{attempt}/reports"), report)
            .await
    }

    /// Begins to fetch an artifact, from its first byte or from a later one.
    pub async fn artifact(&self, address: &str, from: u64, etag: &str) -> Result<Answer, NetError> {
        let url = self
            .base
            .join(under(address))
            .map_err(|error| NetError::Malformed(format!("`{address}` is no address: {error}")))?;
        // Elsewhere the token is nobody's business.
        let is_ours = url.origin() == self.base.origin();
        let mut call = Request {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            timeout: None,
        };
        call.headers
            .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if is_ours {
            self.add_token(&mut call)?;
        }
        if from > 0 {
            add_header(&mut call, RANGE, &format!("bytes={from}-"))?;
            add_header(&mut call, IF_RANGE, etag)?;
        }
        let answer = self.transport.send(call).await?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(refusal(answer).await)
        }
    }

    fn call(&self, method: Method, path: &str) -> Result<Request, NetError> {
        let url = self
            .base
            .join(path)
            .map_err(|error| NetError::Malformed(error.to_string()))?;
        Ok(Request {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            timeout: Some(CALL_TIMEOUT),
        })
    }

    fn add_token(&self, call: &mut Request) -> Result<(), NetError> {
        let Some(token) = self.token.borrow().clone() else {
            return Ok(());
        };
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.secret()))
            .map_err(|_| NetError::Malformed("the device's token is no header".to_owned()))?;
        value.set_sensitive(true);
        call.headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, NetError> {
        let mut call = self.call(Method::POST, path)?;
        self.add_token(&mut call)?;
        self.send(with_body(call, body)?).await
    }

    async fn send<T: DeserializeOwned>(&self, call: Request) -> Result<T, NetError> {
        let answer = self.transport.send(call).await?;
        if !answer.status.is_success() {
            return Err(refusal(answer).await);
        }
        let body = read_body(answer, LARGEST_REPLY).await?;
        serde_json::from_slice(&body).map_err(|error| NetError::Malformed(error.to_string()))
    }
}

fn with_body(mut call: Request, body: &impl Serialize) -> Result<Request, NetError> {
    let body = serde_json::to_vec(body).map_err(|error| NetError::Malformed(error.to_string()))?;
    call.body = Some(body);
    call.headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(call)
}

fn add_header(call: &mut Request, name: HeaderName, text: &str) -> Result<(), NetError> {
    let value = HeaderValue::try_from(text)
        .map_err(|_| NetError::Malformed(format!("`{text}` is no header")))?;
    call.headers.insert(name, value);
    Ok(())
}

/// Returns an address that starts at the server's root as one under the server's own address, which may have a path.
fn under(address: &str) -> &str {
    match address.strip_prefix('/') {
        Some(rest) if !rest.starts_with('/') => rest,
        _ => address,
    }
}

/// Reads a body of at most `max` bytes.
async fn read_body(mut answer: Answer, max: u64) -> Result<Vec<u8>, NetError> {
    let mut body = Vec::new();
    while let Some(piece) = answer.body.next().await? {
        if (body.len() + piece.len()) as u64 > max {
            return Err(NetError::TooLarge(max));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Reads why the server said no.
async fn refusal(answer: Answer) -> NetError {
    let status = answer.status;
    let retry_after = retry_after(&answer.headers);
    let body = read_body(answer, LARGEST_PROBLEM).await.unwrap_or_default();
    let text = match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => problem.detail,
        Err(_) => status
            .canonical_reason()
            .unwrap_or("no reason given")
            .to_owned(),
    };
    NetError::Refused {
        status,
        text,
        retry_after,
    }
}

/// Reads `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(sec) => Duration::from_secs(sec),
        Err(_) => {
            let then = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(then.duration_since(jiff::Timestamp::now())).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(&headers("7")), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after(&headers("Sun, 06 Nov 1994 08:49:37 GMT")),
            Some(Duration::ZERO)
        );
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(100);
        let soon = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&soon)
            .unwrap();
        let wait = retry_after(&headers(&soon)).unwrap().as_secs();
        assert!((95..=100).contains(&wait), "{wait}");
        assert_eq!(retry_after(&headers("99999999")), Some(LONGEST_RETRY_AFTER));
        assert_eq!(retry_after(&headers("soon")), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_token_is_never_printed() {
        let transport = transport::HttpTransport::new(CALL_TIMEOUT).unwrap();
        let client = Client::new(&"http://localhost".parse().unwrap(), Arc::new(transport));
        client.set_token(Some(Token::new("otd_secret")));
        assert!(!format!("{client:?}").contains("secret"));
    }

    #[test]
    fn addresses_are_under_the_servers_own() {
        let base: Url = "https://host/otter/".parse().unwrap();
        let table = [
            ("/device/v1/x", "https://host/otter/device/v1/x"),
            ("device/v1/x", "https://host/otter/device/v1/x"),
            ("https://store/x", "https://store/x"),
            ("//store/x", "https://store/x"),
        ];
        for (address, whole) in table {
            assert_eq!(base.join(under(address)).unwrap().as_str(), whole);
        }
    }

    #[test]
    fn only_answers_that_stay_the_same_are_final() {
        let refused = |status: u16| NetError::Refused {
            status: StatusCode::from_u16(status).unwrap(),
            text: String::new(),
            retry_after: None,
        };
        for status in [400, 403, 404, 409, 413, 422] {
            assert!(refused(status).is_final(), "{status}");
        }
        for status in [401, 408, 425, 429, 500, 502, 503] {
            assert!(!refused(status).is_final(), "{status}");
        }
        assert!(!NetError::Unreachable(String::new()).is_final());
    }
}
