//! One artifact on its way to one device: in pieces, hashed as they come and not kept, resumed where it broke off.

use std::time::Duration;

use otter_protocol::check_in::OfferedArtifact;
use otter_protocol::{Problem, Sha256Digest};
use reqwest::header::{IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use url::Url;

use super::link::{Backoff, Link, Trouble};

/// How often a download is resumed before the device gives up.
const MOST_RESUMES: u32 = 8;

/// A download under way.
pub(super) struct Download<'a> {
    link: &'a Link,
    artifact: &'a OfferedArtifact,
    token: &'a str,
    hasher: Sha256,
    received: u64,
    response: Option<Response>,
    backoff: Backoff,
    pace: Pace,
}

/// What a step of a download brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Some bytes.
    Received(u64),
    /// All bytes, and they are what was offered.
    Whole,
    /// It can't be had: why.
    Broken(String),
}

impl<'a> Download<'a> {
    /// Begins a download; `rate` is in bytes a second.
    pub(super) fn new(
        link: &'a Link,
        artifact: &'a OfferedArtifact,
        token: &'a str,
        rate: Option<std::num::NonZeroU64>,
    ) -> Self {
        Self {
            link,
            artifact,
            token,
            hasher: Sha256::new(),
            received: 0,
            response: None,
            backoff: Backoff::default(),
            pace: Pace::new(rate),
        }
    }

    /// Returns how much is there, 0 to 100.
    pub(super) fn percent(&self) -> u8 {
        let percent = self.received.saturating_mul(100) / self.artifact.size.max(1);
        u8::try_from(percent.min(100)).unwrap_or(100)
    }

    /// Goes on by a piece.
    pub(super) async fn step(&mut self) -> Step {
        loop {
            let Some(response) = &mut self.response else {
                match self.open().await {
                    Ok(response) => self.response = Some(response),
                    Err(Trouble::Refused(problem)) => return Step::Broken(refused(&problem)),
                    Err(Trouble::Away(asked)) => {
                        if self.backoff.tries() >= MOST_RESUMES {
                            return Step::Broken(self.gave_up());
                        }
                        self.link.wait(&mut self.backoff, asked).await;
                    }
                }
                continue;
            };
            match response.chunk().await {
                Ok(Some(piece)) => return self.take(&piece).await,
                Ok(None) if self.received >= self.artifact.size => return self.check(),
                // Cut off, which looks like an end or like an error.
                Ok(None) | Err(_) => {
                    self.response = None;
                    if self.backoff.tries() >= MOST_RESUMES {
                        return Step::Broken(self.gave_up());
                    }
                    self.link.wait(&mut self.backoff, None).await;
                }
            }
        }
    }

    /// Asks for the bytes that are missing.
    async fn open(&mut self) -> Result<Response, Trouble> {
        let Some(url) = resolve(&self.link.server, &self.artifact.url) else {
            let problem = Problem::invalid("url", format!("`{}` is no address", self.artifact.url));
            return Err(Trouble::Refused(Box::new(problem)));
        };
        let is_ours = url.origin() == self.link.server.origin();
        let mut request = self.link.http.get(url);
        if is_ours {
            request = request.bearer_auth(self.token);
        }
        if self.received > 0 {
            request = request
                .header(RANGE, format!("bytes={}-", self.received))
                .header(IF_RANGE, format!("\"{}\"", self.artifact.sha256));
        }
        let response = self.link.send(request).await?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            self.hasher = Sha256::new();
            self.received = 0;
        }
        Ok(response)
    }

    async fn take(&mut self, piece: &[u8]) -> Step {
        let length = piece.len() as u64;
        self.received += length;
        if self.received > self.artifact.size {
            return Step::Broken(format!(
                "the artifact has more than the {} bytes that were offered",
                self.artifact.size
            ));
        }
        self.hasher.update(piece);
        self.pace.keep(length).await;
        Step::Received(length)
    }

    fn check(&mut self) -> Step {
        let found = Sha256Digest(std::mem::take(&mut self.hasher).finalize().into());
        if found == self.artifact.sha256 {
            return Step::Whole;
        }
        Step::Broken(format!(
            "the artifact's SHA-256 is {found}, but {} was offered",
            self.artifact.sha256
        ))
    }

    fn gave_up(&self) -> String {
        format!(
            "the download broke off {MOST_RESUMES} times, the last time after {} of {} bytes",
            self.received, self.artifact.size
        )
    }
}

fn refused(problem: &Problem) -> String {
    format!("the artifact can't be had: {}", problem.detail)
}

/// Returns where an artifact is: an absolute address, or a path below the server's.
fn resolve(server: &Url, url: &str) -> Option<Url> {
    match url.strip_prefix('/') {
        Some(path) => {
            let mut base = server.clone();
            base.path_segments_mut().ok()?.pop_if_empty().push("");
            base.join(path).ok()
        }
        None => server.join(url).ok(),
    }
}

/// Holds a download to its rate.
struct Pace {
    rate: Option<std::num::NonZeroU64>,
    next: Instant,
}

impl Pace {
    fn new(rate: Option<std::num::NonZeroU64>) -> Self {
        Self {
            rate,
            next: Instant::now(),
        }
    }

    async fn keep(&mut self, bytes: u64) {
        if let Some(rate) = self.rate {
            let time = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
            self.next = self.next.max(Instant::now()) + time;
            tokio::time::sleep_until(self.next).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_lie_below_the_servers_address() {
        let at = |server: &str, url: &str| {
            resolve(&server.parse().unwrap(), url).map(|url| url.to_string())
        };
        let here = Some("http://h/device/v1/artifacts/ab".to_owned());
        assert_eq!(at("http://h", "/device/v1/artifacts/ab"), here);
        let below = Some("http://h/otter/device/v1/artifacts/ab".to_owned());
        assert_eq!(at("http://h/otter", "/device/v1/artifacts/ab"), below);
        let elsewhere = Some("https://cdn.example/ab".to_owned());
        assert_eq!(at("http://h", "https://cdn.example/ab"), elsewhere);
    }
}
