use std::path::Path;
use std::time::Instant;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

use super::*;
use crate::config::Config;

fn policy(text: &str) -> HealthPolicy {
    let text = format!(
        "server = \"http://localhost\"\ndevice_id = \"d\"\nmodel = \"m\"\nstate_dir = \"s\"\n\
         [bundle]\nroot = \"r\"\n[bundle.service]\ncommand = [\"x\"]\n[health]\nsettle_sec = 0\n{text}"
    );
    Config::parse(&text, Path::new("/")).unwrap().health
}

fn patient(service: Option<watch::Receiver<Status>>) -> Patient {
    Patient {
        version: "2.0.0".into(),
        folder: std::env::temp_dir(),
        service,
    }
}

/// A service that answers `/` with its version and `/sick` with 500.
async fn service() -> String {
    let router = Router::new()
        .route("/", get(|| async { "hello from 2.0.0\n" }))
        .route(
            "/sick",
            get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "2.0.0") }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

async fn judge(text: &str) -> Result<(), String> {
    prove(&policy(text), &[], &patient(None)).await
}

#[tokio::test]
async fn http_looks_at_status_and_body() {
    let at = service().await;
    let check = |path: &str, more: &str| {
        format!("[[health.check]]\nkind = \"http\"\nurl = \"{at}{path}\"\nretries = 0\n{more}")
    };
    judge(&check("/", "")).await.unwrap();
    judge(&check("/", "contains = \"from {version}\""))
        .await
        .unwrap();
    judge(&check("/sick", "status = 500")).await.unwrap();
    let cases = [
        (check("/sick", ""), "status 500, not 200 to 299"),
        (check("/", "status = 204"), "status 200, not 204"),
        (
            check("/", "contains = \"3.0.0\""),
            "has no `3.0.0`, but says `hello from 2.0.0`",
        ),
    ];
    for (text, words) in cases {
        let error = judge(&text).await.unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let error = judge(&format!(
        "deadline_sec = 0.3\n[[health.check]]\nkind = \"http\"\nurl = \"{url}\"\ninterval_sec = 0.01\n"
    ))
    .await
    .unwrap_err();
    assert!(
        error.starts_with("not healthy within 300ms: GET http://"),
        "{error}"
    );
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn commands_say_why() {
    let check = |script: &str, more: &str| {
        format!(
            "[[health.check]]\nkind = \"command\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\nretries = 0\n{more}"
        )
    };
    judge(&check(
        "test {version} = 2.0.0 && test $OTTER_VERSION = 2.0.0",
        "",
    ))
    .await
    .unwrap();
    let error = judge(&check("echo noise; echo no otters >&2; exit 4", ""))
        .await
        .unwrap_err();
    assert!(error.ends_with("exit status: 4: no otters"), "{error}");
    let begun = Instant::now();
    let error = judge(&check("sleep 100 & sleep 100", "timeout_sec = 0.1"))
        .await
        .unwrap_err();
    assert!(error.contains("took longer than 100ms"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(50));
    // One that never ends its output is no matter for memory.
    let error = judge(&check("yes", "timeout_sec = 0.5")).await.unwrap_err();
    assert!(error.contains("took longer than 500ms"), "{error}");
}

#[tokio::test]
async fn failures_are_forgiven_as_often_as_asked_and_successes_counted() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    let script = format!("echo x >> {0}; test $(wc -l < {0}) -ge 3", count.display());
    let check = |more: &str| {
        format!(
            "[[health.check]]\nkind = \"command\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\ninterval_sec = 0.01\n{more}"
        )
    };
    judge(&check("retries = 1")).await.unwrap_err();
    std::fs::remove_file(&count).unwrap();
    judge(&check("retries = 2\nsuccesses = 4")).await.unwrap();
    let tries = std::fs::read_to_string(&count).unwrap().lines().count();
    assert_eq!(tries, 6, "three to pass, and three more");
}

#[tokio::test]
async fn a_service_that_ends_is_not_healthy_and_one_that_settles_is() {
    let (status, watched) = watch::channel(Status::Running { pid: 1 });
    let policy = policy("deadline_sec = 30\n[[health.check]]\nkind = \"process\"\n");
    let proving = prove(&policy, &[], &patient(Some(watched.clone()))).await;
    assert_eq!(proving, Ok(()));
    status.send_replace(Status::Exited(
        "the service exited with status 3".to_owned(),
    ));
    let error = prove(&policy, &[], &patient(Some(watched)))
        .await
        .unwrap_err();
    assert_eq!(error, "the service exited with status 3");
}
