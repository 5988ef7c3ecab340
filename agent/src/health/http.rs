//! A GET request that must be answered.

use std::error::Error;

use otter_protocol::Version;
use reqwest::{Client, redirect};
use url::Url;

use super::with_version;
use crate::net::authorities::{self, Made};

/// How much of a body is looked at.
const LOOK: usize = 64 << 10;

/// Makes what asks: a fresh connection each time, as one from before would tell of the old version; no proxy, as this
/// device is asked.
pub(super) fn client() -> Result<Client, String> {
    let builder = || {
        Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(0)
    };
    match authorities::client(builder, &[]) {
        Ok(Made::Whole(client) | Made::WithoutSystems(client)) => Ok(client),
        Err(error) => Err(format!("HTTP checks can't be made: {}", innermost(&error))),
    }
}

/// Asks once.
pub(super) async fn probe(
    client: &Client,
    url: &Url,
    status: Option<u16>,
    contains: Option<&str>,
    version: &Version,
) -> Result<(), String> {
    let said = |what: String| format!("GET {url}: {what}");
    let address = with_version(url.as_str(), version);
    let mut response = client
        .get(address)
        .send()
        .await
        .map_err(|error| said(innermost(&error)))?;
    let got = response.status();
    let is_right = status.map_or(got.is_success(), |wanted| got.as_u16() == wanted);
    if !is_right {
        let wanted = status.map_or("200 to 299".to_owned(), |wanted| wanted.to_string());
        return Err(said(format!("status {}, not {wanted}", got.as_u16())));
    }
    let Some(wanted) = contains.map(|text| with_version(text, version)) else {
        return Ok(());
    };
    let mut body = Vec::new();
    while body.len() < LOOK {
        match response
            .chunk()
            .await
            .map_err(|error| said(innermost(&error)))?
        {
            Some(piece) => body.extend_from_slice(&piece),
            None => break,
        }
    }
    body.truncate(LOOK);
    let body = String::from_utf8_lossy(&body);
    if body.contains(&wanted) {
        Ok(())
    } else {
        let got: String = body.trim().chars().take(80).collect();
        Err(said(format!(
            "the answer has no `{wanted}`, but says `{got}`"
        )))
    }
}

/// Returns the cause that says what happened, such as "connection refused".
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
