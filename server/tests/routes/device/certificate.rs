//! Devices that are known by a certificate, and TLS without a proxy.

use std::fs;

use otter_protocol::ProblemCode;
use otter_protocol::check_in::EnrollReply;
use otter_server::Settings;
use otter_trust::SecretKey;
use serde_json::json;
use tempfile::TempDir;

use crate::common::{
    Answer, Authority, Caller, Certified, TestApp, TestDatabase, TestDevice, enroll_request,
    eventually,
};

/// A server with TLS of its own, and the authorities behind it.
struct Secure {
    app: TestApp,
    folder: TempDir,
    servers: Authority,
    devices: Authority,
}

impl Secure {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (servers, devices) = (Authority::new("servers"), Authority::new("devices"));
        let (certificate, key) = servers.server().write(folder.path(), "server");
        let client_ca = folder.path().join("devices.crt");
        fs::write(&client_ca, devices.pem()).unwrap();
        let app = TestApp::start_with(TestDatabase::sqlite(), |settings| {
            settings.tls_cert = Some(certificate);
            settings.tls_key = Some(key);
            settings.tls_client_ca = Some(client_ca);
        })
        .await;
        Self {
            app,
            folder,
            servers,
            devices,
        }
    }

    fn caller(&self, authority: &Authority, shown: Option<Certified>) -> Caller {
        let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        let mut http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([root])
            .resolve("localhost", self.app.address);
        if let Some(Certified { certificate, key }) = shown {
            let identity = reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes());
            http = http.identity(identity.unwrap());
        }
        Caller {
            http: http.build().unwrap(),
            url: format!("https://localhost:{}", self.app.address.port()),
            secret: None,
        }
    }
}

async fn check_in(caller: &Caller) -> Answer {
    let body = json!({"version": "1.0.0"});
    caller.post("/device/v1/check-in", &body).await
}

/// Lets a device in; returns its token.
async fn register(app: &TestApp, id: &str) -> String {
    let key = SecretKey::generate().unwrap();
    let request = enroll_request(id, &key, Some(&app.enrollment_token));
    match app.fleet.enroll(&request).await.unwrap() {
        EnrollReply::Accepted { device_token } => device_token,
        reply => panic!("{reply:?}"),
    }
}

#[tokio::test]
async fn a_certificate_of_the_client_authority_stands_in_for_the_token() {
    let secure = Secure::start().await;
    register(&secure.app, "gw-1").await;
    let shown =
        |authority: &Authority, id| secure.caller(&secure.servers, Some(authority.device(id)));

    let device = shown(&secure.devices, "gw-1");
    check_in(&device).await.expect_status(200);
    let unknown = shown(&secure.devices, "gw-2");
    check_in(&unknown)
        .await
        .problem(ProblemCode::Unauthenticated);
    let nobody = secure.caller(&secure.servers, None);
    check_in(&nobody)
        .await
        .problem(ProblemCode::Unauthenticated);
    nobody.get("/health").await.expect_status(200);
    let forged = shown(&Authority::new("devices"), "gw-1");
    let body = json!({"version": "1.0.0"});
    let request = forged.request(axum::http::Method::POST, "/device/v1/check-in");
    assert!(
        request.json(&body).send().await.is_err(),
        "another authority"
    );

    let actor = otter_fleet::Actor::Console;
    let id = "gw-1".parse().unwrap();
    secure
        .app
        .fleet
        .revoke_device(&actor, &id, "lost")
        .await
        .unwrap();
    check_in(&device)
        .await
        .problem(ProblemCode::Unauthenticated);
}

#[tokio::test]
async fn a_token_and_a_certificate_must_be_one_device_s() {
    let secure = Secure::start().await;
    register(&secure.app, "gw-1").await;
    let token = secure.caller(&secure.servers, None);
    let stolen = register(&secure.app, "gw-3").await;
    check_in(&token.with(&stolen)).await.expect_status(200);
    let thief = secure.caller(&secure.servers, Some(secure.devices.device("gw-1")));
    check_in(&thief.with(&stolen))
        .await
        .problem(ProblemCode::Forbidden);
    let owner = secure.caller(&secure.servers, Some(secure.devices.device("gw-3")));
    check_in(&owner.with(&stolen)).await.expect_status(200);
    check_in(&owner).await.expect_status(200);
}

#[tokio::test]
async fn a_renewed_certificate_counts_without_a_restart() {
    let secure = Secure::start().await;
    let before = secure.caller(&secure.servers, None);
    before.get("/health").await.expect_status(200);
    let next = Authority::new("next");
    next.server().write(secure.folder.path(), "server");
    eventually("the new certificate", async || {
        let caller = secure.caller(&next, None);
        let request = caller.request(axum::http::Method::GET, "/health");
        request.send().await.ok()
    })
    .await;
    before.get("/health").await.expect_status(200);
    let plain = reqwest::get(format!("http://{}/health", secure.app.address)).await;
    assert!(plain.is_err(), "there is no plain HTTP beside it");
}

fn behind_a_proxy(trusted: &str) -> impl FnOnce(&mut Settings) {
    let trusted = trusted.to_owned();
    move |settings| {
        settings.trusted_proxies = Some(vec![trusted]);
        settings.device_header = Some("X-Device-Id".to_owned());
    }
}

async fn through(app: &TestApp, caller: &Caller, name: &str) -> Answer {
    let request = caller.request(axum::http::Method::POST, "/device/v1/check-in");
    let request = request
        .header("X-Device-Id", name)
        .json(&json!({"version": "1.0.0"}));
    assert_eq!(caller.url, app.stranger().url);
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_trusted_proxy_names_the_device_whose_certificate_it_verified() {
    let app = TestApp::start_with(TestDatabase::sqlite(), behind_a_proxy("127.0.0.1")).await;
    register(&app, "gw-1").await;
    let proxy = app.stranger();
    through(&app, &proxy, "CN=gw-1,O=Acme")
        .await
        .expect_status(200);
    through(&app, &proxy, "gw-1").await.expect_status(200);
    through(&app, &proxy, "")
        .await
        .problem(ProblemCode::Unauthenticated);
    through(&app, &proxy, "gw-2")
        .await
        .problem(ProblemCode::Unauthenticated);
    let device = TestDevice::enroll(&app, "gw-3").await;
    through(&app, &device.http, "gw-1")
        .await
        .problem(ProblemCode::Forbidden);
    through(&app, &device.http, "").await.expect_status(200);
}

#[tokio::test]
async fn a_name_that_somebody_else_than_the_proxy_writes_is_refused() {
    let app = TestApp::start_with(TestDatabase::sqlite(), behind_a_proxy("192.0.2.1")).await;
    register(&app, "gw-1").await;
    let device = TestDevice::enroll(&app, "gw-2").await;
    for caller in [app.stranger(), device.http.clone()] {
        for name in ["gw-1", "gw-2", ""] {
            through(&app, &caller, name)
                .await
                .problem(ProblemCode::Forbidden);
        }
    }
    device.check_in().await;
}
