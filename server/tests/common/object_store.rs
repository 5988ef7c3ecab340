//! An S3-compatible store of a test's own: `s3s-fs`, which checks signatures, keeps objects as files, and is nobody's mock of
//! what this server happens to send.

use std::net::SocketAddr;
use std::path::PathBuf;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use otter_fleet::{ArtifactPlace, ObjectAccess};
use otter_server::Config;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

const BUCKET: &str = "releases";
const KEY: &str = "AKIATEST";
const SECRET: &str = "a-secret-of-the-test";

/// A running store with one bucket; dropping it ends it.
pub struct ObjectStore {
    address: SocketAddr,
    folder: TempDir,
    serving: JoinHandle<()>,
}

impl ObjectStore {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = serve(listener, folder.path().to_owned());
        Self {
            address,
            folder,
            serving,
        }
    }

    /// Lets a server keep its artifacts here.
    pub fn use_it(&self, config: &mut Config) {
        let staging = config.data_dir.join("staging");
        config.fleet.artifacts = self.place(staging, SECRET);
    }

    /// The same with a secret that the store doesn't know.
    pub fn use_it_with_a_wrong_secret(&self, config: &mut Config) {
        config.fleet.artifacts = self.place(config.data_dir.join("staging"), "another");
    }

    fn place(&self, staging: PathBuf, secret: &str) -> ArtifactPlace {
        let endpoint = format!("http://{}", self.address);
        let variables = [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ];
        let access = ObjectAccess::new(variables.map(|(name, value)| (name.into(), value.into())));
        ArtifactPlace::parse(&format!("s3://{BUCKET}/otter"), staging, access).unwrap()
    }

    /// Ends it without a word to anybody.
    pub async fn stop(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }

    /// Starts it again, with what it had, where it was.
    pub async fn start_again(&mut self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        let listener = socket.listen(64).unwrap();
        self.serving = serve(listener, self.folder.path().to_owned());
    }

    /// The objects' names.
    pub fn objects(&self) -> Vec<String> {
        let bucket = self.folder.path().join(BUCKET);
        let mut found = Vec::new();
        let mut folders = vec![bucket.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&bucket).unwrap();
                    found.push(name.to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn serve(listener: TcpListener, folder: PathBuf) -> JoinHandle<()> {
    let mut service = S3ServiceBuilder::new(FileSystem::new(folder).unwrap());
    service.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = service.build();
    tokio::spawn(async move {
        let server = Builder::new(TokioExecutor::new());
        // What was accepted ends with the store.
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (server, service) = (server.clone(), service.clone());
            connections.spawn(async move {
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}
