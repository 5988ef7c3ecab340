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

/// A port that somebody listens on and says nothing.
async fn silent() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test]
async fn a_port_is_listened_on_or_not() {
    let (listener, address) = silent().await;
    let check = format!("[[health.check]]\nkind = \"tcp\"\naddress = \"{address}\"\nretries = 0\n");
    judge(&check).await.unwrap();
    drop(listener);
    let error = judge(&check).await.unwrap_err();
    assert!(error.starts_with("connecting to 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn a_broker_that_says_nothing_is_told_from_one_that_answers() {
    let (_listener, address) = silent().await;
    let error = judge(&format!(
        "[[health.check]]\nkind = \"mqtt\"\naddress = \"{address}\"\nretries = 0\ntimeout_sec = 0.2\n"
    ))
    .await
    .unwrap_err();
    assert_eq!(
        error,
        format!("CONNACK of the MQTT broker at {address} took longer than 200ms")
    );
}

#[tokio::test]
async fn a_file_must_be_young() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alive");
    let check = format!(
        "[[health.check]]\nkind = \"file_age\"\npath = {path:?}\nmax_age_sec = 600\nretries = 0\n"
    );
    let error = judge(&check).await.unwrap_err();
    assert!(error.contains("No such file"), "{error}");
    std::fs::write(&path, "").unwrap();
    judge(&check).await.unwrap();
}

#[tokio::test]
async fn a_unit_must_be_active() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let tools = Tools {
        http: LazyLock::new(http::client),
        systemctl: Systemctl::at(format!("{}", script(folder.path(), &state).display())),
    };
    let policy = policy("[[health.check]]\nkind = \"unit\"\nunit = \"x.service\"\nretries = 0\n");
    let table = [
        ("ActiveState=active\nSubState=running\n", None),
        (
            "ActiveState=failed\nSubState=failed\nResult=core-dump\n",
            Some("x.service should be active, but is failed (failed), result core-dump"),
        ),
        (
            "LoadState=not-found\nActiveState=inactive\nSubState=dead\n",
            Some("x.service should be active, but is not-found"),
        ),
    ];
    for (printed, trouble) in table {
        std::fs::write(&state, printed).unwrap();
        let judged = prove_with(&tools, &policy, &[], &patient(None)).await;
        assert_eq!(judged.err().as_deref(), trouble);
    }
}

/// A `systemctl` that prints a file, if it is asked as systemd wants to be.
fn script(folder: &Path, state: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("systemctl");
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in 'show --property='*' -- x.service') exec cat {};; esac\nexit 9\n",
        state.display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test(start_paused = true)]
async fn failures_before_the_grace_is_over_do_not_count() {
    // Nothing is there at first; retries are used up at once after the grace.
    let check = |grace: &str| {
        format!(
            "deadline_sec = 50\n[[health.check]]\nkind = \"process\"\nretries = 1\ninterval_sec = 1\n{grace}"
        )
    };
    let begun = tokio::time::Instant::now();
    let error = judge(&check("")).await.unwrap_err();
    assert_eq!(error, "the service does not run");
    assert_eq!(begun.elapsed().as_secs(), 1);
    let begun = tokio::time::Instant::now();
    judge(&check("grace_sec = 9.5")).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 11, "two failures from 10 s on");
}
