//! A device and a publisher of the plain firmware API.

use axum::http::Method;
use serde_json::{Value, json};

use crate::common::{Answer, Caller, TestApp};

pub(super) const ESP: &str = "esp32";

/// A device that says its name, and nothing that proves it.
pub(super) struct Esp {
    pub(super) http: Caller,
    pub(super) id: String,
    pub(super) version: String,
}

impl Esp {
    pub(super) fn new(app: &TestApp, id: &str) -> Self {
        Self {
            http: app.stranger(),
            id: id.to_owned(),
            version: "1.0.0".to_owned(),
        }
    }

    pub(super) async fn try_check(&self) -> Answer {
        let path = format!(
            "/api/firmware/check?device_id={}&device_model={ESP}&current_version={}",
            self.id, self.version
        );
        self.http.get(&path).await
    }

    pub(super) async fn check(&self) -> Value {
        self.try_check().await.expect(200)
    }

    /// Tells whether there is something for it.
    pub(super) async fn is_in(&self) -> bool {
        self.check().await["update_available"].as_bool().unwrap()
    }

    pub(super) async fn try_report(&self, version: &str, status: &str, more: Value) -> Answer {
        let mut body = json!({"device_id": self.id, "firmware_version": version, "status": status});
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        let path = format!("/api/device/{}/update-status", self.id);
        self.http.post(&path, &body).await
    }

    pub(super) async fn report(&self, version: &str, status: &str, more: Value) {
        let said: Value = self.try_report(version, status, more).await.expect(200);
        let done = json!({"status": "ok", "message": "Status reported successfully"});
        assert_eq!(said, done);
    }
}

/// Sends a request with a key as this dialect shows it.
pub(super) async fn with_key(
    app: &TestApp,
    caller: &Caller,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    let request = app.stranger().request(method, path);
    let request = request.header("x-api-key", caller.secret.clone().unwrap());
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    Answer::of(request.send().await.unwrap()).await
}

pub(super) async fn list(app: &TestApp, path: &str) -> Value {
    with_key(app, &app.viewer(), Method::GET, path, None)
        .await
        .expect(200)
}

/// Uploads firmware as a form with one file.
pub(super) async fn try_upload(app: &TestApp, key: &str, query: &str, bytes: &[u8]) -> Answer {
    let mut form =
        b"--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"firmware.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n"
            .to_vec();
    form.extend_from_slice(bytes);
    form.extend_from_slice(b"\r\n--limit--\r\n");
    let path = format!("/api/admin/firmware/upload?{query}");
    let request = app.stranger().request(Method::POST, &path);
    let request = request
        .header("x-api-key", key)
        .header("content-type", "multipart/form-data; boundary=limit")
        .body(form);
    Answer::of(request.send().await.unwrap()).await
}

pub(super) async fn upload(app: &TestApp, version: &str, bytes: &[u8]) -> Value {
    let key = app.operator().secret.unwrap();
    let query = format!("version={version}&device_model={ESP}&release_notes=Fixes");
    try_upload(app, &key, &query, bytes).await.expect(200)
}

pub(super) async fn try_roll_out(app: &TestApp, version: &str, more: Value) -> Answer {
    let mut body = json!({
        "name": format!("to {version}"), "firmware_version": version, "device_model": ESP,
        "target_type": "all",
    });
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    let operator = app.operator();
    let path = "/api/admin/rollout/create";
    with_key(app, &operator, Method::POST, path, Some(&body)).await
}

pub(super) async fn roll_out(app: &TestApp, version: &str, more: Value) -> i64 {
    let made: Value = try_roll_out(app, version, more).await.expect(200);
    assert_eq!(made["status"], "ok");
    made["id"].as_i64().unwrap()
}

/// Fails unless it is said in this dialect what is wrong.
#[track_caller]
pub(super) fn refused(answer: &Answer, status: u16) -> String {
    let said: Value = answer.expect(status);
    assert_eq!(answer.header("content-type"), "application/json");
    let fields = said.as_object().unwrap();
    assert_eq!(fields.len(), 1, "{said}");
    fields["detail"].as_str().unwrap().to_owned()
}
