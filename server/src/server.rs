//! What every handler shares.

use std::sync::Arc;

use axum::extract::FromRef;
use leptos::config::LeptosOptions;
use otter_fleet::Fleet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::FirmwareApi;
use crate::limits::{Limits, LimitsConfig};

/// What every handler shares: cheap to clone, each clone the same server.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    fleet: Fleet,
    public_url: Url,
    pages: LeptosOptions,
    limits: Limits,
    firmware_api: FirmwareApi,
    stop: CancellationToken,
}

impl Server {
    /// Puts a server together; `stop` ends its live streams.
    pub fn new(
        fleet: Fleet,
        public_url: Url,
        pages: LeptosOptions,
        limits: LimitsConfig,
        firmware_api: FirmwareApi,
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            fleet,
            public_url,
            pages,
            limits: Limits::new(limits),
            firmware_api,
            stop,
        }))
    }

    /// Returns the fleet.
    pub fn fleet(&self) -> &Fleet {
        &self.0.fleet
    }

    /// Returns the address at which people and devices reach this server.
    pub fn public_url(&self) -> &Url {
        &self.0.public_url
    }

    /// Returns how often who may ask.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Returns whom the plain firmware API believes.
    pub fn firmware_api(&self) -> FirmwareApi {
        self.0.firmware_api
    }

    /// Returns what is cancelled when the server is to stop.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.0.public_url)
    }
}

impl FromRef<Server> for LeptosOptions {
    fn from_ref(server: &Server) -> Self {
        server.0.pages.clone()
    }
}
