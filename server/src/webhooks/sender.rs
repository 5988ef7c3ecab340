//! One POST to a receiver that nobody here controls: little time, little memory, no redirects.

use std::error::Error as _;
use std::time::{Duration, Instant};

use otter_fleet::{DueDelivery, TriedDelivery};
use otter_protocol::Timestamp;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use url::Url;

use super::guard::Guard;
use super::signature;

/// How long resolving, connecting and TLS may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long all of it may take.
const TOTAL: Duration = Duration::from_secs(10);

/// How long a send takes at the very most, with room for what stands around it.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);

/// Most bytes of an answer that are read; what comes after is cut off.
const MAX_ANSWER: usize = 64 << 10;

/// Bytes of an answer that the log keeps.
const KEPT: usize = 1 << 10;

/// Sends notices.
#[derive(Debug)]
pub struct Sender {
    http: Client,
    guard: Guard,
}

impl Sender {
    /// Makes a sender; `allow_private` lets it go to addresses that aren't public.
    pub fn new(allow_private: bool) -> Result<Self, reqwest::Error> {
        let guard = Guard { allow_private };
        let http = Client::builder()
            .user_agent(concat!("otter/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            // A proxy would resolve names by itself.
            .no_proxy()
            .dns_resolver(guard)
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            // Every delivery resolves anew, and so is looked at anew.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { http, guard })
    }

    /// Sends a notice, signed as of `now`, and says how it went.
    pub(super) async fn send(&self, delivery: &DueDelivery, now: Timestamp) -> TriedDelivery {
        let begin = Instant::now();
        let mut tried = match self.post(delivery, now).await {
            Ok(response) => judged(response).await,
            Err(error) => TriedDelivery {
                error: Some(error),
                ..TriedDelivery::default()
            },
        };
        tried.took_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        tried
    }

    async fn post(&self, delivery: &DueDelivery, now: Timestamp) -> Result<Response, String> {
        let url = Url::parse(&delivery.url).map_err(|error| error.to_string())?;
        self.guard
            .check_number(&url)
            .map_err(|refusal| refusal.to_string())?;
        let at = now.0.div_euclid(1000);
        let request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("Otter-Event", &delivery.event)
            .header("Otter-Delivery", delivery.id)
            .header(
                "Otter-Signature",
                signature::value(&delivery.secrets, at, &delivery.body),
            )
            .body(delivery.body.clone());
        request.send().await.map_err(|error| reason(&error))
    }
}

/// Takes an answer for what its status says; its body is only for people.
async fn judged(mut response: Response) -> TriedDelivery {
    let status = response.status();
    let mut answer = Vec::new();
    // A body that breaks off or is too slow is as good as one that ends.
    while let Ok(Some(chunk)) = response.chunk().await {
        answer.extend_from_slice(&chunk);
        if answer.len() >= MAX_ANSWER {
            break;
        }
    }
    answer.truncate(KEPT);
    let error = if status.is_success() {
        None
    } else if status.is_redirection() {
        Some(format!(
            "the receiver answered {status}; redirects aren't followed, give the webhook its final address"
        ))
    } else {
        Some(format!("the receiver answered {status}"))
    };
    TriedDelivery {
        error,
        status: Some(status.as_u16()),
        took_ms: 0,
        answer: Some(String::from_utf8_lossy(&answer).into_owned()).filter(|text| !text.is_empty()),
    }
}

/// Returns the cause at the bottom: reqwest's own words name the address, which may hold a secret.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        let within = TOTAL.as_secs();
        return format!("the receiver didn't answer within {within} seconds");
    }
    let mut reason = "it can't be sent".to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        reason = error.to_string();
        cause = error.source();
    }
    reason
}
