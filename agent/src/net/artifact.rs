//! Files that the server gives out: artifacts and signed metadata, wherever it sends the device for them.

use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, IF_RANGE, LOCATION, RANGE,
};
use reqwest::{Method, StatusCode};
use url::Url;

use super::answer::refusal;
use super::transport::{Answer, Freight, Purpose, Request};
use super::{Client, NetError};

/// How often a server may send the device on for one file.
const MOST_REDIRECTS: usize = 5;

/// What is wanted of an artifact.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Where it is, relative to the server or absolute.
    pub address: &'a str,
    /// The first byte that is missing.
    pub from: u64,
    /// What it is called where it still is the same.
    pub etag: &'a str,
    /// What is to travel.
    pub freight: Freight,
}

impl Client {
    /// Begins to fetch an artifact, from its first byte or from a later one.
    pub async fn artifact(&self, wanted: Wanted<'_>) -> Result<Answer, NetError> {
        let address = wanted.address;
        let url = self
            .base
            .join(under(address))
            .map_err(|error| NetError::Malformed(format!("`{address}` is no address: {error}")))?;
        let mut call = Request {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            timeout: None,
            purpose: Purpose::Artifact(wanted.freight),
        };
        let identity = HeaderValue::from_static("identity");
        call.headers.insert(ACCEPT_ENCODING, identity);
        if wanted.from > 0 {
            add_header(&mut call, RANGE, &format!("bytes={}-", wanted.from))?;
            add_header(&mut call, IF_RANGE, wanted.etag)?;
        }
        let answer = self.follow(call, true).await?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(refusal(answer).await)
        }
    }

    /// Asks for a file of signed metadata.
    pub(super) async fn trust_answer(
        &self,
        name: &str,
        timeout: Duration,
    ) -> Result<Answer, NetError> {
        let url = self
            .base
            .join(&format!("device/v1/trust/{name}"))
            .map_err(|error| NetError::Malformed(error.to_string()))?;
        let call = Request {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            timeout: Some(timeout),
            purpose: Purpose::Trust,
        };
        self.follow(call, false).await
    }

    /// Sends a request that has no body, and follows where the server sends it. The token goes to the server alone: elsewhere
    /// it is nobody's business.
    async fn follow(&self, mut call: Request, says_who: bool) -> Result<Answer, NetError> {
        let mut redirects = 0;
        loop {
            let mut next = call.clone();
            if says_who && next.url.origin() == self.base.origin() {
                self.add_token(&mut next)?;
            }
            let answer = self.transport.send(next).await?;
            let Some(url) = destination(&call.url, &answer) else {
                return Ok(answer);
            };
            redirects += 1;
            if redirects > MOST_REDIRECTS {
                return Err(NetError::Redirects {
                    most: MOST_REDIRECTS,
                    last: url.origin().ascii_serialization(),
                });
            }
            call.url = url;
        }
    }
}

/// Returns where an answer sends the device, where it does.
fn destination(from: &Url, answer: &Answer) -> Option<Url> {
    let is_redirect = matches!(
        answer.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = answer.headers.get(LOCATION).filter(|_| is_redirect)?;
    let url = from.join(location.to_str().ok()?).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
