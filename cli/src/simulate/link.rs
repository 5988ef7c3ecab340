//! Requests of all devices to the server: over one client, so many at once, again while the server is away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use otter_protocol::Problem;
use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use crate::Failure;
use crate::api::{address, problem_of};

/// Where the device API stands.
const DEVICE: [&str; 2] = ["device", "v1"];

/// Shortest of the longest waits before trying again; doubles with each try.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Longest wait before trying again, where the server doesn't ask for more.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Longest wait that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// What all devices send their requests through.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) http: reqwest::Client,
    pub(super) server: Url,
    requests: Semaphore,
    downloads: Semaphore,
    retries: AtomicU64,
}

/// Why a request wasn't answered well.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server is away or busy: try again, not before it asked for.
    Away(Option<Duration>),
    /// It refuses, and would again.
    Refused(Box<Problem>),
}

impl Link {
    /// Opens the link; nothing is sent yet.
    pub(super) fn new(server: &Url, at_once: usize) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("otter-simulate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(at_once)
            .build()
            .map_err(|error| Failure::Refused(format!("no HTTP client: {error}")))?;
        Ok(Self {
            http,
            server: server.clone(),
            requests: Semaphore::new(at_once),
            downloads: Semaphore::new(at_once),
            retries: AtomicU64::new(0),
        })
    }

    /// Posts until the server answers; only a refusal ends it before.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T, Box<Problem>> {
        let mut backoff = Backoff::default();
        loop {
            match self.post_once(path, token, body).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Refused(problem)) => return Err(problem),
                Err(Trouble::Away(asked)) => self.wait(&mut backoff, asked).await,
            }
        }
    }

    async fn post_once<T: DeserializeOwned>(
        &self,
        path: &[&str],
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T, Trouble> {
        let Ok(url) = address(&self.server, &DEVICE, path) else {
            return Err(Trouble::Away(Some(LONGEST_WAIT)));
        };
        let mut request = self.http.post(url).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let _permit = permit(&self.requests).await;
        let response = self.send(request).await?;
        response.json().await.map_err(|_| Trouble::Away(None))
    }

    /// Sends a request once and sorts the answer.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Trouble> {
        let response = request.send().await.map_err(|_| Trouble::Away(None))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Trouble::Away(retry_after(&response)));
        }
        let body = response.bytes().await.unwrap_or_default();
        Err(Trouble::Refused(Box::new(problem_of(status, &body))))
    }

    /// Waits before another try.
    pub(super) async fn wait(&self, backoff: &mut Backoff, asked: Option<Duration>) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(backoff.next(asked)).await;
    }

    /// Waits until a download may begin; it may as long as the permit lives.
    pub(super) async fn download_permit(&self) -> Option<SemaphorePermit<'_>> {
        permit(&self.downloads).await
    }

    /// Returns how often a request was sent again.
    pub(super) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }
}

/// Takes a place; `None` only from a semaphore that is closed, which ours never are.
async fn permit(places: &Semaphore) -> Option<SemaphorePermit<'_>> {
    places.acquire().await.ok()
}

/// Reads `Retry-After` in seconds; the form with a date is left, and the own waits hold.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let asked = Duration::from_secs(text.trim().parse().ok()?);
    Some(asked.min(LONGEST_ASKED))
}

/// Waits that double, each with full jitter.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Returns how long to wait now; never less than what the server asked for.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let longest = FIRST_WAIT
            .saturating_mul(1 << self.tries.min(16))
            .min(LONGEST_WAIT);
        self.tries += 1;
        let jittered = longest.mul_f64(rand::random::<f64>());
        match asked {
            // Spread over a while after what was asked for, or all devices come back at once.
            Some(asked) => asked + jittered,
            None => jittered,
        }
    }

    /// Returns how many waits there were.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit_and_keep_to_what_was_asked() {
        let mut backoff = Backoff::default();
        for most in [500, 1000, 2000, 4000] {
            assert!(backoff.next(None) <= Duration::from_millis(most));
        }
        for _ in 0..40 {
            assert!(backoff.next(None) <= LONGEST_WAIT);
        }
        assert!(backoff.next(Some(Duration::from_secs(77))) >= Duration::from_secs(77));
        assert_eq!(backoff.tries(), 45);
    }
}
