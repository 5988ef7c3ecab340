//! Each call of the admin API × a key that reaches a part of the fleet. A call that is missing here fails the test.

mod beyond;
mod within;

use std::collections::BTreeSet;

use axum::http::Method;
use otter_protocol::admin::{ApiKey, Role, WithSecret};
use serde_json::{Value, json};

use crate::common::{Browser, Caller, TestApp, TestDatabase, on_each_database};

/// What a key of a limited scope gets of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// What is in reach; [`beyond`] asks for the rest.
    Scoped,
    /// Nothing: it concerns the whole fleet.
    Refused,
    /// All: it tells of no device, and changes what none gets.
    Harmless,
}

use Treatment::{Harmless, Refused, Scoped};

const CALLS: [(&str, &str, Treatment); 77] = [
    ("get", "/api/v1/me", Harmless),
    ("post", "/api/v1/me/password", Refused),
    ("get", "/api/v1/me/sessions", Refused),
    ("delete", "/api/v1/me/sessions", Refused),
    ("delete", "/api/v1/me/sessions/{id}", Refused),
    ("get", "/api/v1/overview", Refused),
    ("get", "/api/v1/devices", Scoped),
    ("post", "/api/v1/devices/import", Scoped),
    ("get", "/api/v1/devices/{id}", Scoped),
    ("patch", "/api/v1/devices/{id}", Scoped),
    ("post", "/api/v1/devices/{id}/accept", Scoped),
    ("post", "/api/v1/devices/{id}/reject", Scoped),
    ("get", "/api/v1/devices/waiting-keys", Scoped),
    ("post", "/api/v1/devices/accept", Scoped),
    ("post", "/api/v1/devices/reject", Scoped),
    ("post", "/api/v1/devices/{id}/revoke", Scoped),
    ("post", "/api/v1/devices/{id}/decommission", Scoped),
    ("get", "/api/v1/attempts/{id}/log", Scoped),
    ("get", "/api/v1/groups", Scoped),
    // A selector that takes in more would widen the key's own reach.
    ("put", "/api/v1/groups/{name}", Refused),
    ("delete", "/api/v1/groups/{name}", Refused),
    // Bytes go to nobody before a release names them, and are only found by who knows their hash.
    ("put", "/api/v1/artifacts/{sha256}", Harmless),
    ("get", "/api/v1/artifacts/{sha256}", Harmless),
    ("get", "/api/v1/releases", Scoped),
    ("get", "/api/v1/releases/compare", Refused),
    ("get", "/api/v1/recommended", Refused),
    ("post", "/api/v1/releases", Scoped),
    ("get", "/api/v1/releases/{id}", Scoped),
    ("post", "/api/v1/releases/{id}/withdraw", Scoped),
    ("get", "/api/v1/rollouts", Scoped),
    ("post", "/api/v1/rollouts", Scoped),
    ("get", "/api/v1/rollouts/{id}", Scoped),
    ("put", "/api/v1/rollouts/{id}", Scoped),
    ("post", "/api/v1/rollouts/preview", Scoped),
    ("get", "/api/v1/rollouts/{id}/preview", Scoped),
    ("post", "/api/v1/rollouts/{id}/start", Scoped),
    ("post", "/api/v1/rollouts/{id}/approve", Scoped),
    ("post", "/api/v1/rollouts/{id}/pause", Scoped),
    ("post", "/api/v1/rollouts/{id}/resume", Scoped),
    ("post", "/api/v1/rollouts/{id}/approve-gate", Scoped),
    ("post", "/api/v1/rollouts/{id}/skip-gate", Scoped),
    ("post", "/api/v1/rollouts/{id}/abort", Scoped),
    ("post", "/api/v1/rollouts/{id}/roll-back", Scoped),
    ("post", "/api/v1/rollouts/{id}/retry-failed", Scoped),
    // A way of going about a rollout says neither what nor to whom.
    ("get", "/api/v1/rollout-templates", Harmless),
    ("get", "/api/v1/rollout-templates/{name}", Harmless),
    ("put", "/api/v1/rollout-templates/{name}", Refused),
    ("delete", "/api/v1/rollout-templates/{name}", Refused),
    ("get", "/api/v1/audit", Scoped),
    ("get", "/api/v1/audit/download", Refused),
    ("post", "/api/v1/audit/verify", Refused),
    ("get", "/api/v1/audit/export", Refused),
    ("get", "/api/v1/enrollment-tokens", Scoped),
    ("post", "/api/v1/enrollment-tokens", Scoped),
    ("delete", "/api/v1/enrollment-tokens/{id}", Scoped),
    ("get", "/api/v1/people", Refused),
    ("post", "/api/v1/people", Refused),
    ("patch", "/api/v1/people/{id}", Refused),
    ("post", "/api/v1/people/{id}/link", Refused),
    ("post", "/api/v1/people/{id}/end-sessions", Refused),
    ("delete", "/api/v1/people/{id}/second-factor", Refused),
    // Another key could reach more.
    ("get", "/api/v1/api-keys", Refused),
    ("post", "/api/v1/api-keys", Refused),
    ("delete", "/api/v1/api-keys/{id}", Refused),
    ("get", "/api/v1/webhooks", Refused),
    ("post", "/api/v1/webhooks", Refused),
    ("patch", "/api/v1/webhooks/{id}", Refused),
    ("delete", "/api/v1/webhooks/{id}", Refused),
    ("post", "/api/v1/webhooks/{id}/rotate", Refused),
    ("post", "/api/v1/webhooks/{id}/test", Refused),
    ("get", "/api/v1/webhooks/{id}/deliveries", Refused),
    (
        "post",
        "/api/v1/webhooks/deliveries/{id}/redeliver",
        Refused,
    ),
    // What any device is told, too.
    ("get", "/api/v1/trust", Harmless),
    ("get", "/api/v1/trust/online-keys", Harmless),
    ("put", "/api/v1/trust/root", Refused),
    ("put", "/api/v1/trust/targets", Scoped),
    ("get", "/api/v1/live", Refused),
];

/// Makes a key of a limited scope and returns who calls with it.
async fn scoped(app: &TestApp, role: Role, scope: Value) -> Caller {
    let new =
        json!({"name": format!("{} of {scope}", role.as_str()), "role": role, "scope": scope});
    let made: WithSecret<ApiKey> = app.admin().post("/api/v1/api-keys", &new).await.expect(201);
    app.stranger().with(made.secret)
}

#[tokio::test]
async fn the_list_is_complete() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let api: Value = app.stranger().get("/api/openapi.json").await.expect(200);
    let mut served = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys();
        let of_people = methods.filter(|_| path.starts_with("/api/v1/"));
        served.extend(of_people.map(|method| format!("{method} {path}")));
    }
    let listed = CALLS.map(|(method, path, _)| format!("{method} {path}"));
    assert_eq!(served, BTreeSet::from(listed));
}

#[tokio::test]
async fn what_concerns_the_whole_fleet_is_refused_to_every_limited_key() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    for scope in [json!({"models": ["rpi4"]}), json!({"groups": ["canary"]})] {
        let key = scoped(&app, Role::Admin, scope).await;
        for (method, path, treatment) in CALLS {
            let call = format!("{method} {path}");
            let path = path
                .replace("{id}", "999999")
                .replace("{name}", "nobody")
                .replace("{sha256}", &"0".repeat(64));
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let response = key.request(method, &path).send().await.unwrap();
            // A live stream that was let through would have no end to wait for.
            let status = response.status().as_u16();
            assert_ne!(status, 401, "{call}");
            assert_eq!(status == 403, treatment == Refused, "{call}: {status}");
        }
    }
}

#[tokio::test]
async fn a_scope_names_groups_that_are_there() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let new = json!({"name": "ci", "role": "viewer", "scope": {"groups": ["canary", "cannary"]}});
    let answer = app.admin().post("/api/v1/api-keys", &new).await;
    let problem = answer.problem(otter_protocol::ProblemCode::InvalidRequest);
    assert_eq!(problem.field.as_deref(), Some("scope.groups[1]"));
}

on_each_database! {
    async fn the_settings_make_keys_with_a_scope(app: TestApp) {
        let browser = Browser::of(&app, "ada", Role::Admin).await;
        let fields = |groups| [("name", "ci"), ("role", "operator"), ("models", "rpi4, esp32"), ("groups", groups)];
        let answer = browser.call(Method::POST, "/ui/create-key", &fields(" canary ")).await;
        answer.expect_status(200);
        let keys: Vec<ApiKey> = app.admin().get("/api/v1/api-keys").await.expect(200);
        let made = keys.iter().find(|key| key.spec.name == "ci").unwrap();
        assert_eq!(made.spec.scope.to_string(), "group canary and models rpi4, esp32");
        let answer = browser.call(Method::POST, "/ui/create-key", &fields("canary, cannary")).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(answer.text().contains(r#""field":"groups""#), "{answer:?}");
    }
}
