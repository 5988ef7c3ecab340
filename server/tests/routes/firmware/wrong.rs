//! Wrong input of each kind, and who may not.

use axum::http::Method;
use serde_json::{Value, json};

use super::esp::{ESP, Esp, refused, try_roll_out, try_upload, upload, with_key};
use crate::common::{Answer, MAX_ARTIFACT_BYTES, TestApp, TestDatabase, on_each_database};

on_each_database! {
    async fn checks_that_say_too_little(app: TestApp) {
        let all = [("device_id", "esp"), ("device_model", "esp32"), ("current_version", "1.0.0")];
        for (left, _) in all {
            for instead in [None, Some(""), Some("%20")] {
                let pairs: Vec<String> = all.iter().filter_map(|(key, value)| match (*key == left, instead) {
                    (false, _) => Some(format!("{key}={value}")),
                    (true, instead) => instead.map(|instead| format!("{key}={instead}")),
                }).collect();
                let answer = app.stranger().get(&format!("/api/firmware/check?{}", pairs.join("&"))).await;
                refused(&answer, 422);
            }
        }
        let long = "v".repeat(101);
        refused(&app.stranger().get(&format!("/api/firmware/check?device_id=e&device_model=m&current_version={long}")).await, 422);
        assert_eq!(app.fleet.devices(&Default::default()).await.unwrap().items.len(), 0, "nobody is registered by it");
    }
}

on_each_database! {
    async fn reports_that_are_none(app: TestApp) {
        let esp = Esp::new(&app, "esp");
        esp.check().await;
        for (status, more) in [
            ("done", json!({})), ("", json!({})), ("offered", json!({})), ("succeeded", json!({})),
            ("downloading", json!({"progress_percent": 101})), ("downloading", json!({"progress_percent": -1})),
            ("downloading", json!({"progress_percent": "half"})), ("downloading", json!({"device_id": "other"})),
            ("downloading", json!({"device_id": null})), ("downloading", json!({"firmware_version": ""})),
        ] {
            refused(&esp.try_report("2.0.0", status, more).await, 422);
        }
        let path = "/api/device/esp/update-status";
        for body in ["", "{", "[]", "status=success"] {
            let request = app.stranger().request(Method::POST, path).body(body);
            refused(&Answer::of(request.send().await.unwrap()).await, 422);
        }
        refused(&Esp::new(&app, "nobody").try_report("2.0.0", "success", json!({})).await, 404);
        refused(&app.stranger().get("/api/firmware/download/9.9.9").await, 404);
        let answer = app.stranger().get(&format!("/api/firmware/download/9.9.9?device_model={ESP}")).await;
        refused(&answer, 404);
    }
}

on_each_database! {
    async fn uploads_and_rollouts_that_can_not_be(app: TestApp) {
        let key = app.operator().secret.unwrap();
        let query = format!("version=2.0.0&device_model={ESP}");
        upload(&app, "2.0.0", b"two").await;
        refused(&try_upload(&app, &key, &query, b"other").await, 409);
        for query in ["version=3", "device_model=esp32", "version=&device_model=esp32", "version=3&device_model=",
            "version=3&device_model=esp32&is_signed=perhaps"] {
            refused(&try_upload(&app, &key, query, b"x").await, 422);
        }
        let large = vec![0; MAX_ARTIFACT_BYTES as usize + 1];
        refused(&try_upload(&app, &key, "version=3&device_model=esp32", &large).await, 413);
        refused(&try_upload(&app, &key, "version=3&device_model=esp32", b"").await, 422);
        let path = "/api/admin/firmware/upload?version=3&device_model=esp32";
        refused(&with_key(&app, &app.operator(), Method::POST, path, None).await, 422);
        refused(&with_key(&app, &app.operator(), Method::POST, path, Some(&json!({}))).await, 422);
        let stored = app.stored_files();
        assert_eq!(stored.len(), 1, "nothing is left of what was refused: {stored:?}");

        refused(&try_roll_out(&app, "9.9.9", json!({})).await, 404);
        refused(&try_roll_out(&app, "2.0.0", json!({"device_model": "esp8266"})).await, 404);
        for more in [
            json!({"target_type": "some"}), json!({"target_type": "group"}), json!({"target_type": "specific"}),
            json!({"rollout_percentage": 0}), json!({"rollout_percentage": 101}), json!({"rollout_percentage": "all"}),
            json!({"name": ""}), json!({"is_active": "yes"}), json!({"firmware_version": null}),
        ] {
            refused(&try_roll_out(&app, "2.0.0", more).await, 422);
        }
        for path in ["/api/admin/firmware/releases?limit=0", "/api/admin/firmware/releases?limit=101",
            "/api/admin/devices?limit=501", "/api/admin/devices?limit=x", "/api/admin/update-status?limit=0"] {
            refused(&with_key(&app, &app.viewer(), Method::GET, path, None).await, 422);
        }
    }
}

const READS: [&str; 4] = [
    "/api/admin/firmware/releases",
    "/api/admin/devices",
    "/api/admin/update-status",
    "/metrics",
];

#[tokio::test]
async fn without_a_key_that_counts_nothing_is_shown_or_done() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let calls = [
        (Method::POST, "/api/admin/firmware/upload"),
        (Method::POST, "/api/admin/rollout/create"),
    ];
    let calls = READS
        .map(|path| (Method::GET, path))
        .into_iter()
        .chain(calls);
    for (method, path) in calls {
        let answer = app.stranger().request(method.clone(), path).send().await;
        assert_eq!(
            refused(&Answer::of(answer.unwrap()).await, 401),
            "Invalid API key"
        );
        let wrong = app.stranger().with("otk_wrong");
        let answer = with_key(&app, &wrong, method, path, None).await;
        assert_eq!(refused(&answer, 401), "Invalid API key");
    }
    let viewer = app.viewer().secret.unwrap();
    let query = format!("version=2&device_model={ESP}");
    refused(&try_upload(&app, &viewer, &query, b"x").await, 403);
}

/// This dialect knows no scopes: a key of one would reach what it mustn't.
#[tokio::test]
async fn keys_of_a_limited_scope_are_refused() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let new = json!({"name": "team", "role": "admin", "scope": {"models": ["other"]}});
    let made: Value = app.admin().post("/api/v1/api-keys", &new).await.expect(201);
    let secret = made["secret"].as_str().unwrap();
    let limited = app.stranger().with(secret);
    for path in READS {
        let answer = with_key(&app, &limited, Method::GET, path, None).await;
        refused(&answer, 403);
    }
    let query = format!("version=2&device_model={ESP}");
    refused(&try_upload(&app, secret, &query, b"x").await, 403);
}

#[tokio::test]
async fn reads_are_open_only_where_the_server_is_told_so() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |settings| {
        settings.firmware_api_open_reads = Some(true);
    })
    .await;
    for path in READS {
        app.stranger().get(path).await.expect_status(200);
    }
    refused(
        &try_upload(&app, "no key", "version=2&device_model=m", b"x").await,
        401,
    );
}
