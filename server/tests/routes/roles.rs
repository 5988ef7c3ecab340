//! Each call of the admin API × each role. A call that is missing here fails the test.

use std::collections::BTreeSet;

use axum::http::Method;
use otter_protocol::ProblemCode;
use otter_protocol::admin::Role::{self, Admin, Approver, Operator, Viewer};
use serde_json::Value;

use crate::common::{Answer, Caller, TestApp, TestDatabase};

const CALLS: [(&str, &str, Role); 73] = [
    ("get", "/api/v1/me", Viewer),
    ("get", "/api/v1/overview", Viewer),
    ("get", "/api/v1/devices", Viewer),
    ("post", "/api/v1/devices/import", Operator),
    ("get", "/api/v1/devices/{id}", Viewer),
    ("patch", "/api/v1/devices/{id}", Operator),
    ("post", "/api/v1/devices/{id}/accept", Operator),
    ("post", "/api/v1/devices/{id}/reject", Operator),
    ("get", "/api/v1/devices/waiting-keys", Viewer),
    ("post", "/api/v1/devices/accept", Operator),
    ("post", "/api/v1/devices/reject", Operator),
    ("post", "/api/v1/devices/{id}/revoke", Admin),
    ("post", "/api/v1/devices/{id}/decommission", Admin),
    ("get", "/api/v1/attempts/{id}/log", Viewer),
    ("get", "/api/v1/groups", Viewer),
    ("put", "/api/v1/groups/{name}", Operator),
    ("delete", "/api/v1/groups/{name}", Operator),
    ("put", "/api/v1/artifacts/{sha256}", Operator),
    ("get", "/api/v1/artifacts/{sha256}", Viewer),
    ("get", "/api/v1/releases", Viewer),
    ("get", "/api/v1/releases/compare", Viewer),
    ("get", "/api/v1/recommended", Viewer),
    ("post", "/api/v1/releases", Operator),
    ("get", "/api/v1/releases/{id}", Viewer),
    ("post", "/api/v1/releases/{id}/withdraw", Operator),
    ("get", "/api/v1/rollouts", Viewer),
    ("post", "/api/v1/rollouts", Operator),
    ("get", "/api/v1/rollouts/{id}", Viewer),
    ("post", "/api/v1/rollouts/preview", Viewer),
    ("get", "/api/v1/rollouts/{id}/preview", Viewer),
    ("post", "/api/v1/rollouts/{id}/pause", Operator),
    ("post", "/api/v1/rollouts/{id}/resume", Operator),
    ("post", "/api/v1/rollouts/{id}/abort", Operator),
    ("get", "/api/v1/rollout-templates", Viewer),
    ("get", "/api/v1/rollout-templates/{name}", Viewer),
    ("put", "/api/v1/rollout-templates/{name}", Operator),
    ("delete", "/api/v1/rollout-templates/{name}", Operator),
    ("post", "/api/v1/rollouts/{id}/retry-failed", Operator),
    ("post", "/api/v1/rollouts/{id}/roll-back", Operator),
    ("post", "/api/v1/rollouts/{id}/skip-gate", Operator),
    ("post", "/api/v1/rollouts/{id}/approve-gate", Approver),
    ("post", "/api/v1/rollouts/{id}/approve", Approver),
    ("post", "/api/v1/rollouts/{id}/start", Operator),
    ("put", "/api/v1/rollouts/{id}", Operator),
    ("get", "/api/v1/audit", Viewer),
    ("post", "/api/v1/audit/verify", Viewer),
    ("get", "/api/v1/audit/export", Viewer),
    ("get", "/api/v1/audit/download", Viewer),
    ("get", "/api/v1/enrollment-tokens", Admin),
    ("post", "/api/v1/enrollment-tokens", Admin),
    ("delete", "/api/v1/enrollment-tokens/{id}", Admin),
    ("get", "/api/v1/people", Admin),
    ("post", "/api/v1/people", Admin),
    ("patch", "/api/v1/people/{id}", Admin),
    ("post", "/api/v1/people/{id}/link", Admin),
    ("post", "/api/v1/people/{id}/end-sessions", Admin),
    ("delete", "/api/v1/people/{id}/second-factor", Admin),
    ("get", "/api/v1/api-keys", Admin),
    ("post", "/api/v1/api-keys", Admin),
    ("delete", "/api/v1/api-keys/{id}", Admin),
    ("get", "/api/v1/webhooks", Admin),
    ("post", "/api/v1/webhooks", Admin),
    ("patch", "/api/v1/webhooks/{id}", Admin),
    ("delete", "/api/v1/webhooks/{id}", Admin),
    ("post", "/api/v1/webhooks/{id}/rotate", Admin),
    ("post", "/api/v1/webhooks/{id}/test", Admin),
    ("get", "/api/v1/webhooks/{id}/deliveries", Admin),
    ("post", "/api/v1/webhooks/deliveries/{id}/redeliver", Admin),
    ("get", "/api/v1/trust", Viewer),
    ("get", "/api/v1/trust/online-keys", Viewer),
    ("put", "/api/v1/trust/root", Admin),
    ("put", "/api/v1/trust/targets", Operator),
    ("get", "/api/v1/live", Viewer),
];

/// What is a person's own: whatever his role, and no program's.
const OWN: [(&str, &str); 4] = [
    ("post", "/api/v1/me/password"),
    ("get", "/api/v1/me/sessions"),
    ("delete", "/api/v1/me/sessions"),
    ("delete", "/api/v1/me/sessions/{id}"),
];

#[tokio::test]
async fn the_list_is_complete() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let api: Value = app.stranger().get("/api/openapi.json").await.expect(200);
    let mut served = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys();
        served.extend(
            methods
                .filter(|_| path.starts_with("/api/v1/"))
                .map(|method| format!("{method} {path}")),
        );
    }
    let listed: BTreeSet<_> = CALLS
        .iter()
        .map(|(method, path, _)| (*method, *path))
        .chain(OWN)
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    assert_eq!(served, listed);
}

#[tokio::test]
async fn each_role_may_do_its_part_and_no_more() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    for (method, path, needed) in CALLS {
        assert_eq!(
            status(&app.stranger(), method, path).await,
            401,
            "{method} {path}"
        );
        for role in Role::ALL {
            let status = status(&app.program(role), method, path).await;
            if role >= needed {
                assert!(
                    ![401, 403].contains(&status),
                    "{method} {path} as {}: {status}",
                    role.as_str()
                );
            } else {
                assert_eq!(status, 403, "{method} {path} as {}", role.as_str());
            }
        }
    }
}

#[tokio::test]
async fn what_is_a_persons_own_is_no_programs() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    for (method, path) in OWN {
        assert_eq!(status(&app.stranger(), method, path).await, 401);
        for role in Role::ALL {
            let status = status(&app.program(role), method, path).await;
            assert_eq!(status, 403, "{method} {path} as {}", role.as_str());
        }
    }
}

/// Asks with names that name nothing and no body: whoever may do it is then told what is wrong.
async fn status(caller: &Caller, method: &str, path: &str) -> u16 {
    let digest = "0".repeat(64);
    let path = path
        .replace("{id}", "999999")
        .replace("{name}", "nobody")
        .replace("{sha256}", &digest);
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let response = caller.request(method, &path).send().await.unwrap();
    // A live stream has no end to wait for.
    response.status().as_u16()
}

#[tokio::test]
async fn who_may_not_is_told_what_it_takes() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let response = app
        .viewer()
        .request(Method::GET, "/api/v1/api-keys")
        .send()
        .await
        .unwrap();
    let problem = Answer::of(response).await.problem(ProblemCode::Forbidden);
    assert!(problem.detail.contains("role admin"), "{problem:?}");
}
