//! The device API, as the device calls it.

mod answer;
mod artifact;
pub(crate) mod authorities;
pub mod backoff;
pub mod download;
mod error;
pub mod links;
mod metadata;
mod pace;
pub mod speed;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

use otter_protocol::check_in::{
    CheckIn, CheckInReply, EnrollReply, EnrollRequest, ReportReply, RotateReply, RotateRequest,
};
use otter_protocol::{AttemptId, AttemptReport};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use url::Url;

use answer::{read_body, refusal};
pub use artifact::Wanted;
pub use error::NetError;
use links::LinkInUse;
pub use metadata::ServerMetadata;
use transport::{Purpose, Request, Transport};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// More than any reply to a call needs.
const LARGEST_REPLY: u64 = 1 << 20;

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

    /// Returns the connection that was used last, where there are several to choose from.
    pub fn link(&self) -> Option<LinkInUse> {
        self.transport.link()
    }

    /// Asks to take part.
    pub async fn enroll(&self, request: &EnrollRequest) -> Result<EnrollReply, NetError> {
        let call = self.call("device/v1/enroll")?;
        self.send(with_body(call, request)?).await
    }

    /// Changes the device's key and token.
    pub async fn rotate(&self, request: &RotateRequest) -> Result<RotateReply, NetError> {
        self.post("device/v1/rotate", request).await
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

    /// Delivers an attempt's log: text, in UTF-8 as far as it goes.
    pub async fn put_log(&self, attempt: AttemptId, text: Vec<u8>) -> Result<(), NetError> {
        let mut call = self.call(&format!("device/v1/attempts/{attempt}/log"))?;
        call.method = Method::PUT;
        call.body = Some(text);
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        call.headers.insert(CONTENT_TYPE, kind);
        self.add_token(&mut call)?;
        let answer = self.transport.send(call).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(refusal(answer).await)
    }

    fn call(&self, path: &str) -> Result<Request, NetError> {
        let url = self
            .base
            .join(path)
            .map_err(|error| NetError::Malformed(error.to_string()))?;
        Ok(Request {
            method: Method::POST,
            url,
            headers: HeaderMap::new(),
            body: None,
            timeout: Some(CALL_TIMEOUT),
            purpose: Purpose::Talk,
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
        let mut call = self.call(path)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_printed() {
        let transport = transport::HttpTransport::new(&transport::Wire::default());
        let client = Client::new(&"http://localhost".parse().unwrap(), Arc::new(transport));
        client.set_token(Some(Token::new("otd_secret")));
        assert!(!format!("{client:?}").contains("secret"));
    }
}
