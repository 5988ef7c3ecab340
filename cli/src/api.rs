//! The admin API, as `otter` asks it.

use std::error::Error as _;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use otter_protocol::{Problem, ProblemCode};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::Failure;

/// Where the admin API stands.
const ADMIN: [&str; 2] = ["api", "v1"];
/// Where anybody reads signed metadata.
const TRUST: [&str; 3] = ["device", "v1", "trust"];

/// An API key; never printed.
#[derive(Clone)]
pub struct ApiKey(String);

impl FromStr for ApiKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.bytes().any(|b| !b.is_ascii_graphic()) {
            return Err("an API key has no spaces and only plain characters".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// Asks one server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
    api_key: Option<ApiKey>,
}

impl Client {
    /// Makes a client; nothing is sent yet.
    pub fn new(server: &Url, api_key: Option<ApiKey>) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("otter/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(120))
            .build()
            .map_err(|error| Failure::Refused(format!("no HTTP client: {error}")))?;
        Ok(Self {
            http,
            server: server.clone(),
            api_key: api_key.filter(|key| !key.0.is_empty()),
        })
    }

    /// Asks for something.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.json(self.request(Method::GET, path)?).await
    }

    /// Asks for a text.
    pub async fn text(&self, path: &[&str]) -> Result<String, Failure> {
        let response = self.send(self.request(Method::GET, path)?).await?;
        response.text().await.map_err(|e| self.unreachable(&e))
    }

    /// Asks for something, with parameters.
    pub async fn get_with<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl Serialize,
    ) -> Result<T, Failure> {
        self.json(self.request(Method::GET, path)?.query(query))
            .await
    }

    /// Asks for something that may not be there.
    pub async fn find<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, Failure> {
        match self.get(path).await {
            Err(failure) if failure.code() == Some(ProblemCode::NotFound) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Makes or does something.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.json(self.request(Method::POST, path)?.json(body))
            .await
    }

    /// Makes or does something, with parameters.
    pub async fn post_with<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl Serialize,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let request = self.request(Method::POST, path)?;
        self.json(request.query(query).json(body)).await
    }

    /// Sends lines of JSON, with parameters.
    pub async fn post_lines<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl Serialize,
        lines: Vec<u8>,
    ) -> Result<T, Failure> {
        let request = self.request(Method::POST, path)?.query(query);
        let request = request.header(CONTENT_TYPE, "application/x-ndjson");
        self.json(request.body(lines)).await
    }

    /// Makes something under its name, or changes it.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.json(self.request(Method::PUT, path)?.json(body)).await
    }

    /// Changes something.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.json(self.request(Method::PATCH, path)?.json(body))
            .await
    }

    /// Takes something away.
    pub async fn delete(&self, path: &[&str]) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, path)?)
            .await
            .map(drop)
    }

    /// Sends signed metadata as it is.
    pub async fn put_metadata<T: DeserializeOwned>(
        &self,
        path: &[&str],
        bytes: Vec<u8>,
    ) -> Result<T, Failure> {
        let request = self.request(Method::PUT, path)?;
        self.json(request.header(CONTENT_TYPE, "application/json").body(bytes))
            .await
    }

    /// Sends `length` bytes as they come.
    pub async fn upload<T: DeserializeOwned>(
        &self,
        path: &[&str],
        length: u64,
        body: Body,
    ) -> Result<T, Failure> {
        let request = self
            .request(Method::PUT, path)?
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, length)
            .body(body);
        self.json(request).await
    }

    /// Fetches a file of signed metadata, which anybody may; `None` where the server has none of this name.
    pub async fn metadata(&self, name: &str) -> Result<Option<Response>, Failure> {
        let url = address(&self.server, &TRUST, &[name])?;
        let request = self.http.get(url);
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        checked(response).await.map(Some)
    }

    /// Puts an error of the network into words.
    pub fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::Unreachable {
            server: self.server.to_string(),
            reason: network_reason(error),
        }
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Failure> {
        let request = self
            .http
            .request(method, address(&self.server, &ADMIN, path)?);
        Ok(match &self.api_key {
            Some(key) => request.bearer_auth(&key.0),
            None => request,
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        checked(response).await
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = self.send(request).await?;
        let bytes = response.bytes().await.map_err(|e| self.unreachable(&e))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::Refused(format!(
                "the server's answer makes no sense here: {error}.\n\
                 Check that {} is an otter-server of about this version ({}).",
                self.server,
                env!("CARGO_PKG_VERSION")
            ))
        })
    }
}

/// Returns an address under the server's, each segment escaped as needed.
pub(crate) fn address(server: &Url, base: &[&str], path: &[&str]) -> Result<Url, Failure> {
    if let Some(odd) = path
        .iter()
        .find(|segment| matches!(**segment, "" | "." | ".."))
    {
        return Err(Failure::Refused(format!(
            "`{odd}` names nothing that an address can hold"
        )));
    }
    let mut url = server.clone();
    url.path_segments_mut()
        .map_err(|()| Failure::Usage(format!("`{server}` is no address of a server")))?
        .pop_if_empty()
        .extend(base)
        .extend(path);
    Ok(url)
}

/// Turns an error's status into the problem that it carries, or into one made of what there is.
pub(crate) async fn checked(response: Response) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = response.bytes().await.unwrap_or_default();
    Err(problem_of(status, &body).into())
}

/// Reads a problem document; something else in between (a proxy) may have answered with another.
pub(crate) fn problem_of(status: StatusCode, body: &[u8]) -> Problem {
    if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
        return problem;
    }
    let code = match status.as_u16() {
        401 => ProblemCode::Unauthenticated,
        403 => ProblemCode::Forbidden,
        404 => ProblemCode::NotFound,
        409 => ProblemCode::Conflict,
        413 => ProblemCode::TooLarge,
        429 => ProblemCode::TooManyRequests,
        502..=504 => ProblemCode::Unavailable,
        400..=499 => ProblemCode::InvalidRequest,
        _ => ProblemCode::Internal,
    };
    let said: String = String::from_utf8_lossy(body).chars().take(200).collect();
    let detail = match said.trim() {
        "" => format!("the server answered {status}"),
        said => format!("the server answered {status}: {said}"),
    };
    Problem {
        status: status.as_u16(),
        ..Problem::new(code, detail)
    }
}

/// Returns the cause at the bottom: reqwest's own words only say that sending failed.
pub(crate) fn network_reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        reason = error.to_string();
        cause = error.source();
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_a_servers_prefix_and_escape_names() {
        let server: Url = "https://example.org/otter/".parse().unwrap();
        let url = address(&server, &ADMIN, &["devices", "a/b c?"]).unwrap();
        assert_eq!(
            url.as_str(),
            "https://example.org/otter/api/v1/devices/a%2Fb%20c%3F"
        );
        assert!(address(&server, &ADMIN, &["devices", ".."]).is_err());
    }

    #[test]
    fn an_answer_that_is_no_problem_document_still_is_a_problem() {
        let problem = problem_of(StatusCode::BAD_GATEWAY, b"upstream is gone");
        assert_eq!(problem.code, ProblemCode::Unavailable);
        assert_eq!(problem.status, 502);
        assert!(problem.detail.contains("upstream is gone"));
    }

    #[test]
    fn a_key_is_never_shown() {
        let key: ApiKey = "otk_secret".parse().unwrap();
        assert!(!format!("{key:?}").contains("secret"));
        assert!("two words".parse::<ApiKey>().is_err());
    }
}
