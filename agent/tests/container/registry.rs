//! A real registry, in a folder of its own.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use reqwest::{Client, StatusCode};
use serde_json::json;

use super::common::{PATIENCE, eventually};
use super::image::{Image, digest};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const NAME: &str = "otter/greeter";

pub struct Registry {
    _folder: tempfile::TempDir,
    registry: Child,
    address: String,
    http: Client,
}

impl Registry {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The registry doesn't say which port it got, so one is chosen for it.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: warn}}\nhttp: {{addr: \"{address}\"}}\n\
             storage: {{filesystem: {{rootdirectory: \"{}\"}}}}\n",
            folder.path().join("data").display()
        );
        fs::write(&config, text).unwrap();
        let registry = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry must be there: install docker-registry");
        let http = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        eventually("the registry", || {
            std::net::TcpStream::connect(&address).ok()
        })
        .await;
        Self {
            _folder: folder,
            registry,
            address,
            http,
        }
    }

    /// Pushes an image, and returns the line that names it.
    pub async fn push(&self, image: &Image) -> String {
        for blob in [&image.config, &image.layer] {
            let begun = self
                .http
                .post(self.url("blobs/uploads/"))
                .send()
                .await
                .unwrap();
            assert_eq!(begun.status(), StatusCode::ACCEPTED);
            let place = begun.headers()["location"].to_str().unwrap().to_owned();
            let put = self.http.put(place).query(&[("digest", digest(blob))]);
            let put = put.body(blob.clone()).send().await.unwrap();
            assert_eq!(put.status(), StatusCode::CREATED);
        }
        let blob = |kind: &str, bytes: &[u8]| {
            json!({
                "mediaType": format!("application/vnd.docker.{kind}"),
                "size": bytes.len(), "digest": digest(bytes),
            })
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": blob("container.image.v1+json", &image.config),
            "layers": [blob("image.rootfs.diff.tar", &image.layer)],
        });
        let manifest = manifest.to_string();
        let digest = digest(manifest.as_bytes());
        let url = self.url(&format!("manifests/{digest}"));
        let put = self.http.put(url).header("content-type", MANIFEST);
        let put = put.body(manifest).send().await.unwrap();
        assert_eq!(put.status(), StatusCode::CREATED);
        self.name(&digest)
    }

    /// Returns the line that names a digest.
    pub fn name(&self, digest: &str) -> String {
        format!("{}/{NAME}@{digest}\n", self.address)
    }

    fn url(&self, what: &str) -> String {
        format!("http://{}/v2/{NAME}/{what}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.registry.kill().ok();
        self.registry.wait().ok();
    }
}
