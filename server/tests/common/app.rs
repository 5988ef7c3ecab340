//! A server with everything real but the port.

use std::net::SocketAddr;
use std::path::PathBuf;

use otter_fleet::{Actor, Fleet};
use otter_protocol::admin::{NewApiKey, NewEnrollmentToken, Role};
use otter_server::config::Secret;
use otter_server::{Config, Settings, serve};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Caller, TestDatabase};

/// Most bytes of an artifact here, so that a test can go over it.
pub const MAX_ARTIFACT_BYTES: u64 = 1 << 20;

type Serving = JoinHandle<anyhow::Result<()>>;

/// A running server; dropping it ends it.
pub struct TestApp {
    pub address: SocketAddr,
    pub fleet: Fleet,
    pub stop: CancellationToken,
    pub serving: Option<Serving>,
    pub enrollment_token: String,
    config: Config,
    keys: Vec<(Role, String)>,
    http: reqwest::Client,
    folder: TempDir,
}

impl TestApp {
    pub async fn start(database: TestDatabase) -> Self {
        Self::start_with(database, |_| {}).await
    }

    /// Starts one whose settings differ from a test's usual ones.
    pub async fn start_with(database: TestDatabase, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            database_url: Some(Secret::new(&database.url)),
            data_dir: Some(database.folder.path().join("data")),
            max_artifact_bytes: Some(MAX_ARTIFACT_BYTES),
            ..Settings::default()
        };
        change(&mut settings);
        let config = Config::new(settings).unwrap();
        let (fleet, address, stop, serving) = serve(&config).await;
        let new = NewEnrollmentToken {
            name: "test".into(),
            quota: None,
            expires_at: None,
            models: vec![],
            group: None,
        };
        let token = fleet.create_enrollment_token(&Actor::Console, &new).await;
        Self {
            address,
            config,
            keys: make_keys(&fleet).await,
            enrollment_token: token.unwrap().secret,
            fleet,
            stop,
            serving: Some(serving),
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()
                .unwrap(),
            folder: database.folder,
        }
    }

    /// Stops the server as a signal would, and starts another on what it left, at another address.
    pub async fn restart(&mut self, change: impl FnOnce(&mut Config)) {
        self.stop.cancel();
        self.serving.take().unwrap().await.unwrap().unwrap();
        change(&mut self.config);
        let (fleet, address, stop, serving) = serve(&self.config).await;
        (self.fleet, self.address, self.stop) = (fleet, address, stop);
        self.serving = Some(serving);
    }

    /// Somebody who shows nothing.
    pub fn stranger(&self) -> Caller {
        Caller {
            http: self.http.clone(),
            url: format!("http://{}", self.address),
            secret: None,
        }
    }

    /// A program with a key of a role.
    pub fn program(&self, role: Role) -> Caller {
        let key = self.keys.iter().find(|(of, _)| *of == role);
        self.stranger().with(&key.unwrap().1)
    }

    pub fn admin(&self) -> Caller {
        self.program(Role::Admin)
    }

    pub fn operator(&self) -> Caller {
        self.program(Role::Operator)
    }

    pub fn viewer(&self) -> Caller {
        self.program(Role::Viewer)
    }

    /// Every file in the artifact store, finished or not.
    pub fn stored_files(&self) -> Vec<PathBuf> {
        files(self.folder.path().join("data/artifacts"))
    }

    pub async fn events(&self) -> i64 {
        let page = self.fleet.audit_events(&Default::default()).await.unwrap();
        page.items.first().map_or(0, |event| event.sequence)
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

async fn serve(config: &Config) -> (Fleet, SocketAddr, CancellationToken, Serving) {
    let fleet = serve::open(config).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let (config, fleet, stop) = (config.clone(), fleet.clone(), stop.clone());
        async move { serve::run(&config, fleet, listener, stop).await }
    });
    (fleet, address, stop, serving)
}

async fn make_keys(fleet: &Fleet) -> Vec<(Role, String)> {
    let mut keys = Vec::new();
    for role in Role::ALL {
        let new = NewApiKey {
            name: role.as_str().to_owned(),
            role,
            expires_at: None,
            scope: Default::default(),
        };
        let made = fleet.create_api_key(&Actor::Console, &new).await.unwrap();
        keys.push((role, made.secret));
    }
    keys
}

fn files(folder: PathBuf) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(path)
            } else {
                vec![path]
            }
        })
        .collect()
}
