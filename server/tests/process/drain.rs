use std::io::Read as _;
use std::time::Duration;

use otter_protocol::Sha256Digest;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::program::{Place, Serving, text};
use crate::common::eventually;

const KEY: &str = "otk_test-key-of-the-setup";

#[tokio::test]
async fn requests_under_way_are_finished_before_the_end() {
    let place = Place::new();
    let mut serving = Serving::start(place.command(&[]).env("OTA_API_KEY", KEY));
    let address = serving.url.strip_prefix("http://").unwrap().to_owned();
    let bytes = vec![5; 300_000];
    let head = format!(
        "PUT /api/v1/artifacts/{} HTTP/1.1\r\nHost: otter\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 300000\r\n\r\n",
        Sha256Digest::of(&bytes)
    );
    let mut upload = TcpStream::connect(&address).await.unwrap();
    upload.write_all(head.as_bytes()).await.unwrap();
    upload.write_all(&bytes[..100_000]).await.unwrap();
    let store = place.path().join("data/artifacts");
    eventually("the upload's beginning", async || {
        let begun = std::process::Command::new("find")
            .arg(&store)
            .args(["-type", "f"])
            .output()
            .ok()?;
        (!begun.stdout.is_empty()).then_some(())
    })
    .await;

    serving.terminate();
    eventually("the end of listening", async || {
        TcpStream::connect(&address).await.is_err().then_some(())
    })
    .await;
    upload.write_all(&bytes[100_000..]).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), upload.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(
        text(&answer).starts_with("HTTP/1.1 201"),
        "{}",
        text(&answer)
    );

    let status = tokio::task::spawn_blocking(move || {
        let status = serving.child.wait().unwrap();
        let mut logs = String::new();
        serving.logs.read_to_string(&mut logs).unwrap();
        (status, logs)
    });
    let (status, logs) = tokio::time::timeout(Duration::from_secs(20), status)
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{logs}");
    assert!(logs.contains("otter-server has stopped"), "{logs}");
}

#[tokio::test]
async fn the_key_of_the_setup_is_an_admins_and_in_no_log() {
    let place = Place::new();
    let mut serving = Serving::start(
        place
            .command(&[])
            .env("OTA_API_KEY", KEY)
            .env("OTTER_LOG", "debug"),
    );
    let request = reqwest::Client::new()
        .get(format!("{}/api/v1/me", serving.url))
        .bearer_auth(KEY);
    let me: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(me["role"], "admin");
    serving.terminate();
    let logs = tokio::task::spawn_blocking(move || {
        let mut logs = String::new();
        serving.logs.read_to_string(&mut logs).unwrap();
        logs
    });
    let logs = tokio::time::timeout(Duration::from_secs(20), logs)
        .await
        .unwrap()
        .unwrap();
    assert!(
        logs.contains("has stopped") && !logs.contains(KEY),
        "{logs}"
    );
}
