//! Logs never hold a secret: a whole run's, at the most talkative level, are searched for every one that it used.

use std::io::Read as _;

use otter_protocol::Sha256Digest;
use otter_protocol::check_in::{RotateRequest, rotation_message};
use otter_trust::SecretKey;
use sea_orm::{ConnectionTrait as _, Database, Statement};
use serde_json::{Value, json};

use super::program::{Place, Serving};
use crate::common::{Answer, Caller, Manner, Receiver, enroll_request};

const ADMIN_KEY: &str = "otk_the-key-of-the-environment";
const PASSWORD: &str = "correct horse battery staple";
const WEBHOOK_TOKEN: &str = "the-token-in-an-address";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that was used, and must not be found.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    fn keep(&mut self, secret: impl Into<String>) -> String {
        let secret = secret.into();
        assert!(secret.len() >= 10, "{secret} would be found by chance");
        self.0.push(secret.clone());
        secret
    }

    /// Keeps a text in an answer.
    fn of(&mut self, answer: &Value, field: &str) -> String {
        self.keep(answer[field].as_str().unwrap())
    }
}

async fn devices(admin: &Caller, stranger: &Caller, secrets: &mut Secrets) {
    let token: Value = admin
        .post("/api/v1/enrollment-tokens", &json!({"name": "t"}))
        .await
        .expect(201);
    let token = secrets.of(&token, "secret");
    let [first, second] = [(); 2].map(|()| SecretKey::generate().unwrap());
    for key in [&first, &second] {
        secrets.keep(key.to_text().to_string());
    }
    let enroll = async |key: &SecretKey, token: Option<&str>| {
        let request = serde_json::to_value(enroll_request("gw-1", key, token)).unwrap();
        stranger.post("/device/v1/enroll", &request).await
    };
    let reply: Value = enroll(&first, Some(&token)).await.expect(201);
    let device_token = secrets.of(&reply, "device_token");
    let device = stranger.with(&device_token);
    let poll = json!({"version": "1.0.0", "metadata": {"site": "north"}});
    device
        .post("/device/v1/check-in", &poll)
        .await
        .expect_status(200);

    let public_key = hex(second.public().as_bytes());
    let hash = Sha256Digest::of(device_token.as_bytes());
    let message = rotation_message(&"gw-1".parse().unwrap(), Some(hash), &public_key);
    let rotate = RotateRequest {
        public_key,
        proof: hex(&first.sign(&message)),
        new_proof: hex(&second.sign(&message)),
    };
    let body = serde_json::to_value(rotate).unwrap();
    let reply: Value = device.post("/device/v1/rotate", &body).await.expect(200);
    secrets.of(&reply, "device_token");
    // What is refused is shown, too.
    device
        .post("/device/v1/check-in", &poll)
        .await
        .expect_status(401);
    let wrong = secrets.keep("otd_a-token-that-is-nobodys");
    let nobody = stranger.with(&wrong);
    nobody
        .post("/device/v1/check-in", &poll)
        .await
        .expect_status(401);
    let wrong = secrets.keep("ote_an-enrollment-token-that-is-none");
    enroll(&SecretKey::generate().unwrap(), Some(&wrong)).await;
}

async fn people(admin: &Caller, stranger: &Caller, place: &Place, secrets: &mut Secrets) {
    let link = std::fs::read_to_string(place.path().join("data/setup-link")).unwrap();
    let link = url::Url::parse(link.trim()).unwrap();
    let (_, secret) = link.query_pairs().next().unwrap();
    let secret = secrets.keep(secret);
    let form = async |path: &str, fields: &[(&str, &str)]| {
        let request = stranger
            .request(axum::http::Method::POST, path)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(serde_urlencoded::to_string(fields).unwrap());
        Answer::of(request.send().await.unwrap()).await
    };
    let wrong = secrets.keep("a password that is not hers");
    secrets.keep(PASSWORD);
    secrets.keep(PASSWORD.replace(' ', "+"));
    let account = [
        ("secret", &*secret),
        ("name", "anna"),
        ("password", PASSWORD),
    ];
    let made = form("/ui/set-up", &account).await;
    assert!(made.status.as_u16() < 400, "{}", made.text());
    form("/ui/log-in", &[("name", "anna"), ("password", &wrong)])
        .await
        .expect_status(401);
    let answer = form("/ui/log-in", &[("name", "anna"), ("password", PASSWORD)]).await;
    let cookie = answer
        .header("set-cookie")
        .split([';', '='])
        .nth(1)
        .unwrap();
    secrets.keep(cookie);
    let key: Value = admin
        .post("/api/v1/api-keys", &json!({"name": "k", "role": "viewer"}))
        .await
        .expect(201);
    let key = secrets.of(&key, "secret");
    stranger
        .with(&key)
        .get("/api/v1/me")
        .await
        .expect_status(200);
    let wrong = secrets.keep("otk_a-key-that-is-nobodys");
    stranger
        .with(&wrong)
        .get("/api/v1/me")
        .await
        .expect_status(401);
}

async fn webhooks(admin: &Caller, secrets: &mut Secrets) {
    let receiver = Receiver::start([Manner::Answer(500), Manner::Answer(204)]).await;
    let url = format!("{}?token={}", receiver.url(), secrets.keep(WEBHOOK_TOKEN));
    let new = json!({"name": "w", "url": url, "events": ["*"]});
    let made: Value = admin.post("/api/v1/webhooks", &new).await.expect(201);
    secrets.of(&made, "secret");
    let path = format!("/api/v1/webhooks/{}/test", made["id"]);
    admin.post(&path, &json!({})).await.expect_status(202);
    let again: Value = admin
        .post(
            &format!("/api/v1/webhooks/{}/rotate", made["id"]),
            &json!({}),
        )
        .await
        .expect(200);
    secrets.of(&again, "secret");
    crate::common::eventually("a delivery", async || {
        (!receiver.calls().is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_run_s_logs_hold_no_secret() {
    let place = Place::new();
    let mut command = place.command(&[]);
    command
        .env("OTTER_LOG", "trace")
        .env("OTA_API_KEY", ADMIN_KEY)
        .env("OTTER_WEBHOOKS_ALLOW_PRIVATE", "true");
    let Serving { child, url, logs } = &mut Serving::start(&mut command);
    let mut secrets = Secrets::default();
    secrets.keep(ADMIN_KEY);
    let stranger = Caller {
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
        url: url.clone(),
        secret: None,
    };
    let admin = stranger.with(ADMIN_KEY);
    let talk = async {
        devices(&admin, &stranger, &mut secrets).await;
        people(&admin, &stranger, &place, &mut secrets).await;
        webhooks(&admin, &mut secrets).await;
        // The server's own keys are made when somebody asks for them.
        admin
            .get("/api/v1/trust/online-keys")
            .await
            .expect_status(200);
        let id = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    };
    // Read while it talks: a full pipe would hold the server up.
    let text = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut text = String::new();
            logs.read_to_string(&mut text).unwrap();
            text
        });
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(talk));
        reading.join().unwrap()
    });
    for key in own_keys(&place).await {
        secrets.keep(key);
    }
    assert!(secrets.0.len() > 15, "only {} secrets", secrets.0.len());
    assert!(text.contains("TRACE") && text.contains("DEBUG"), "{text}");
    for secret in &secrets.0 {
        assert!(!text.contains(secret.as_str()), "the logs hold {secret}");
        let bare = secret.trim_start_matches("otd_").trim_start_matches("otk_");
        assert!(!text.contains(bare), "the logs hold {bare}");
    }
}

/// The server's own secrets, as its database has them.
async fn own_keys(place: &Place) -> Vec<String> {
    let path = place.path().join("data/otter.db");
    let database = Database::connect(format!("sqlite://{}", path.display()))
        .await
        .unwrap();
    let sql = "SELECT value FROM secrets";
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let rows = database.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}
