//! How requests travel: one small trait, so that the same client speaks over real links and in simulations.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, Identity, Method, NoProxy, Proxy, StatusCode, redirect};
use tokio::time;
use tracing::warn;
use url::Url;

use super::NetError;
use super::authorities::{self, Made};
use super::links::{Fare, LinkInUse};
use crate::config::{Config, DownloadPolicy, TlsConfig};

/// What a request is for: not every link may carry everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Enrollment, check-ins and reports: small, and what every link is there for.
    Talk,
    /// Signed metadata.
    Trust,
    /// An artifact's bytes.
    Artifact(Freight),
}

/// How much of an artifact is to travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freight {
    /// The bytes that are missing.
    pub bytes: u64,
    /// The publishers signed that the release is worth its price.
    pub is_required: bool,
}

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
    /// What it is for.
    pub purpose: Purpose,
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

    /// Returns what it costs, where it comes over a link that is metered.
    fn fare(&self) -> Option<&Fare> {
        None
    }
}

/// Carries requests to the server.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends a request and returns the answer's head as soon as it is there.
    async fn send(&self, request: Request) -> Result<Answer, NetError>;

    /// Returns the link that was used last, where there are several to choose from.
    fn link(&self) -> Option<LinkInUse> {
        None
    }
}

/// How connections are made.
#[derive(Debug, Clone)]
pub struct Wire {
    /// How long that may take.
    pub connect_timeout: Duration,
    /// How long a server may send nothing.
    pub stall_timeout: Duration,
    /// The proxy in place of the environment's.
    pub proxy: Option<Url>,
    /// The interface to go out by.
    pub interface: Option<String>,
    /// The address to go out from.
    pub source: Option<IpAddr>,
    /// Certificates beside the system's.
    pub tls: TlsConfig,
}

impl Wire {
    /// Returns what a configuration says of all connections.
    pub fn of(config: &Config) -> Self {
        Self {
            connect_timeout: config.download.connect_timeout(),
            stall_timeout: config.download.stall_timeout(),
            proxy: config.proxy.clone(),
            interface: None,
            source: None,
            tls: config.tls.clone(),
        }
    }
}

impl Default for Wire {
    fn default() -> Self {
        let policy = DownloadPolicy::default();
        Self {
            connect_timeout: policy.connect_timeout(),
            stall_timeout: policy.stall_timeout(),
            proxy: None,
            interface: None,
            source: None,
            tls: TlsConfig::default(),
        }
    }
}

/// The operating system's network.
#[derive(Debug)]
pub struct HttpTransport {
    wire: Wire,
    http: OnceLock<Client>,
}

impl HttpTransport {
    /// Makes a transport whose connections are made so. Redirects are its user's business.
    pub fn new(wire: &Wire) -> Self {
        let transport = Self {
            wire: wire.clone(),
            http: OnceLock::new(),
        };
        // What is wrong with certificates or proxy must not keep an agent from its work on the device.
        if let Err(error) = transport.client() {
            warn!("the server can't be reached: {error}");
        }
        transport
    }

    /// Returns the client; one that knows no authorities is made anew each time, until the system has some.
    fn client(&self) -> Result<Client, NetError> {
        if let Some(client) = self.http.get() {
            return Ok(client.clone());
        }
        let wire = &self.wire;
        let proxy = wire.proxy.clone().map(Proxy::all).transpose()?;
        let own = own_authorities(&wire.tls)?;
        let identity = identity(&wire.tls)?;
        let builder = || {
            let mut http = Client::builder()
                .user_agent(concat!("otter-agent/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .connect_timeout(wire.connect_timeout)
                .local_address(wire.source);
            if let Some(interface) = &wire.interface {
                http = http.interface(interface);
            }
            if let Some(identity) = &identity {
                http = http.identity(identity.clone());
            }
            match &proxy {
                Some(proxy) => http.proxy(proxy.clone().no_proxy(NoProxy::from_env())),
                None => http,
            }
        };
        match authorities::client(builder, &own)? {
            Made::Whole(client) => Ok(self.http.get_or_init(|| client).clone()),
            Made::WithoutSystems(client) => {
                warn!(
                    "this system has no certificate authorities: few servers can prove who they are. Install ca-certificates"
                );
                Ok(client)
            }
        }
    }
}

/// Reads the authorities that a configuration names beside the system's.
fn own_authorities(tls: &TlsConfig) -> Result<Vec<Certificate>, NetError> {
    let Some(path) = &tls.ca else {
        return Ok(Vec::new());
    };
    Certificate::from_pem_bundle(&read(path)?).map_err(|error| unusable(path, &error))
}

/// Reads the certificate that the device shows, where it has one.
fn identity(tls: &TlsConfig) -> Result<Option<Identity>, NetError> {
    let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) else {
        return Ok(None);
    };
    let mut pem = read(certificate)?;
    pem.push(b'\n');
    pem.extend(read(key)?);
    let identity = Identity::from_pem(&pem);
    identity
        .map(Some)
        .map_err(|error| unusable(certificate, &error))
}

fn read(path: &Path) -> Result<Vec<u8>, NetError> {
    std::fs::read(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &dyn fmt::Display) -> NetError {
    NetError::Certificate(format!("{}: {error}", path.display()))
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Answer, NetError> {
        let mut call = self
            .client()?
            .request(request.method, request.url)
            .headers(request.headers);
        if let Some(body) = request.body {
            call = call.body(body);
        }
        if let Some(timeout) = request.timeout {
            call = call.timeout(timeout);
        }
        let patience = self
            .wire
            .connect_timeout
            .saturating_add(self.wire.stall_timeout);
        let response = heard(patience, call.send()).await?;
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: Box::new(HttpBody {
                response,
                stall_timeout: self.wire.stall_timeout,
            }),
        })
    }
}

struct HttpBody {
    response: reqwest::Response,
    stall_timeout: Duration,
}

#[async_trait]
impl Body for HttpBody {
    async fn next(&mut self) -> Result<Option<Bytes>, NetError> {
        heard(self.stall_timeout, self.response.chunk()).await
    }
}

/// Waits for an answer or its next piece. reqwest's own timeout runs on while nobody asks for a piece, so that a download
/// that takes its time would be cut.
async fn heard<T>(
    patience: Duration,
    what: impl Future<Output = reqwest::Result<T>>,
) -> Result<T, NetError> {
    match time::timeout(patience, what).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(NetError::Silent(format!("nothing came for {patience:.1?}"))),
    }
}

#[cfg(test)]
mod tests;
