//! What a key of a limited scope is for: it does its part as if there were nothing else.

use otter_protocol::admin::{DeviceSummary, EnrollmentToken, Page, Role, WithSecret};
use otter_protocol::release::Release;
use serde_json::{Value, json};

use super::scoped;
use crate::common::{
    Publisher, TestApp, TestDatabase, new_release, on_each_database, signed_artifact,
};

fn rollout(release: impl serde::Serialize, audience: Value) -> Value {
    let all = json!({"name": "all", "scope": {"kind": "share", "share": 100}});
    json!({"name": "r", "release": release, "audience": audience, "phases": [all]})
}

async fn devices(app: &TestApp) {
    let devices = json!([
        {"id": "a", "model": "rpi4", "group": "canary"},
        {"id": "b", "model": "rpi4", "group": "pilot"},
        {"id": "c", "model": "esp32", "group": "canary"},
        {"id": "d", "model": "rpi4", "labels": {"site": "lab"}},
    ]);
    app.admin()
        .post("/api/v1/devices/import", &devices)
        .await
        .expect::<Value>(200);
}

async fn listed(key: &crate::common::Caller, query: &str) -> Vec<String> {
    let page: Page<DeviceSummary> = key
        .get(&format!("/api/v1/devices{query}"))
        .await
        .expect(200);
    page.items
        .into_iter()
        .map(|device| device.id.to_string())
        .collect()
}

on_each_database! {
    async fn devices_are_listed_as_far_as_a_key_reaches(app: TestApp) {
        devices(&app).await;
        let lab = json!({"name": "lab", "selector": "site=lab"});
        app.admin().put("/api/v1/groups/lab", &lab).await.expect::<Value>(200);
        for (scope, reached) in [
            (json!({}), &["a", "b", "c", "d"][..]),
            (json!({"models": ["rpi4"]}), &["a", "b", "d"]),
            (json!({"models": ["rpi4", "esp32"]}), &["a", "b", "c", "d"]),
            (json!({"groups": ["canary"]}), &["a", "c"]),
            (json!({"groups": ["canary", "pilot"]}), &["a", "b", "c"]),
            (json!({"groups": ["lab"]}), &["d"]),
            (json!({"groups": ["lab", "canary"], "models": ["rpi4"]}), &["a", "d"]),
            (json!({"models": ["none"]}), &[]),
        ] {
            let key = scoped(&app, Role::Viewer, scope.clone()).await;
            assert_eq!(listed(&key, "").await, reached, "{scope}");
        }
        let key = scoped(&app, Role::Viewer, json!({"groups": ["lab", "canary"], "models": ["rpi4"]})).await;
        assert_eq!(listed(&key, "?model=esp32").await, [""; 0]);
        assert_eq!(listed(&key, "?group=pilot").await, [""; 0]);
        assert_eq!(listed(&key, "?search=d").await, ["d"]);
        // A page holds what is in reach, however much lies between.
        assert_eq!(listed(&key, "?limit=1").await, ["a"]);
        assert_eq!(listed(&key, "?limit=1&cursor=a").await, ["d"]);
        // A group that goes takes its members out of reach, and nobody into it.
        app.admin().delete("/api/v1/groups/lab").await.expect_status(204);
        assert_eq!(listed(&key, "").await, ["a"]);
    }
}

on_each_database! {
    async fn a_key_for_a_model_publishes_and_rolls_out_for_it(app: TestApp) {
        devices(&app).await;
        let publisher = Publisher::new(&app).await;
        let key = scoped(&app, Role::Operator, json!({"models": ["rpi4"]})).await;
        let path = format!("/api/v1/artifacts/{}", otter_protocol::Sha256Digest::of(b"new"));
        key.put_bytes(&path, "new").await.expect::<Value>(201);
        let draft: Release = key.post("/api/v1/releases", &new_release("2.0.0", b"new")).await.expect(201);
        let counter = publisher.targets.next_release_counter().unwrap();
        let bytes = publisher.signed_with(&signed_artifact("2.0.0", counter, b"new"));
        key.put_bytes("/api/v1/trust/targets", bytes).await.expect::<Value>(200);
        let releases: Vec<Release> = key.get("/api/v1/releases").await.expect(200);
        assert_eq!(releases.len(), 1);
        let made: Value = key.post("/api/v1/rollouts", &rollout(draft.id, json!({"kind": "all"}))).await.expect(201);
        let id = &made["id"];
        let pause = format!("/api/v1/rollouts/{id}/pause");
        key.post(&pause, &json!({})).await.expect::<Value>(200);
        let list: Vec<Value> = key.get("/api/v1/rollouts").await.expect(200);
        assert_eq!(list.len(), 1);
        key.get(&format!("/api/v1/rollouts/{id}/preview")).await.expect::<Value>(200);
        let events = format!("/api/v1/audit?subject_kind=rollout&subject={id}");
        let events: Value = key.get(&events).await.expect(200);
        assert_eq!(events["items"].as_array().unwrap().len(), 2);
        // For a key of another model there is none of it.
        let other = scoped(&app, Role::Operator, json!({"models": ["esp32"]})).await;
        other.post(&pause, &json!({})).await.expect_status(404);
        let withdraw = format!("/api/v1/releases/{}/withdraw", draft.id);
        other.post(&withdraw, &json!({})).await.expect_status(404);
        key.post(&withdraw, &json!({})).await.expect::<Value>(200);
    }
}

on_each_database! {
    async fn a_key_for_a_group_rolls_out_to_it_alone(app: TestApp) {
        devices(&app).await;
        let mut publisher = Publisher::new(&app).await;
        let release = publisher.publish(&app, "2.0.0", b"new").await;
        let key = scoped(&app, Role::Operator, json!({"groups": ["canary"]})).await;
        let canary = json!({"kind": "group", "group": "canary"});
        for beyond in [
            json!({"kind": "all"}),
            json!({"kind": "percent", "share": 1}),
            json!({"kind": "group", "group": "pilot"}),
            json!({"kind": "selector", "selector": "group=canary"}),
            json!({"kind": "devices", "devices": ["a", "b"]}),
            json!({"kind": "devices", "devices": ["a", "nobody"]}),
        ] {
            let answer = key.post("/api/v1/rollouts", &rollout(release, beyond.clone())).await;
            assert_eq!(answer.status, 403, "{beyond}: {answer:?}");
        }
        key.post("/api/v1/rollouts", &rollout(release, canary.clone())).await.expect::<Value>(201);
        let listed = json!({"kind": "devices", "devices": ["a", "c"]});
        key.post("/api/v1/rollouts", &rollout(release, listed)).await.expect::<Value>(201);
        // It may publish what nobody has yet; what others may have, it may not change.
        let name = signed_artifact("2.0.0", 1, b"new").name();
        let permitted = publisher.signed_after(|targets| targets.permit_downgrade(&name, true).unwrap());
        key.put_bytes("/api/v1/trust/targets", permitted).await.expect_status(403);
        publisher.draft(&app, "3.0.0", b"newer").await;
        let added = publisher.signed_with(&signed_artifact("3.0.0", 2, b"newer"));
        key.put_bytes("/api/v1/trust/targets", added).await.expect_status(200);
        // A draft may not be written into one that goes further.
        let made: Value = key.post("/api/v1/rollouts?draft=true", &rollout(release, canary)).await.expect(201);
        let path = format!("/api/v1/rollouts/{}", made["id"]);
        let wider = rollout(release, json!({"kind": "all"}));
        key.put(&path, &wider).await.expect_status(403);
        // What devices of every group have is not taken back by it, and it is not told how many those are.
        let withdraw = format!("/api/v1/releases/{release}/withdraw");
        key.post(&withdraw, &json!({})).await.expect_status(403);
        let import = json!([
            {"id": "e", "model": "rpi4", "group": "canary", "version": "2.0.0"},
            {"id": "f", "model": "rpi4", "group": "pilot", "version": "2.0.0"},
        ]);
        app.admin().post("/api/v1/devices/import", &import).await.expect::<Value>(200);
        let detail = async |caller: &crate::common::Caller| -> (Value, usize) {
            let detail: Value = caller.get(&format!("/api/v1/releases/{release}")).await.expect(200);
            (detail["devices_on_it"].clone(), detail["rollouts"].as_array().unwrap().len())
        };
        app.operator().post("/api/v1/rollouts", &wider).await.expect::<Value>(201);
        assert_eq!(detail(&key).await, (json!(1), 3));
        assert_eq!(detail(&app.viewer()).await, (json!(2), 4));
    }
}

on_each_database! {
    async fn a_factorys_key_makes_tokens_for_what_it_builds(app: TestApp) {
        let key = scoped(&app, Role::Admin, json!({"groups": ["pilot"], "models": ["rpi4"]})).await;
        let new = json!({"name": "line 2", "models": ["rpi4"], "group": "pilot"});
        let made: WithSecret<EnrollmentToken> = key.post("/api/v1/enrollment-tokens", &new).await.expect(201);
        let tokens: Vec<EnrollmentToken> = key.get("/api/v1/enrollment-tokens").await.expect(200);
        assert_eq!(tokens.len(), 1, "the one that anybody made for any model isn't there");
        let path = format!("/api/v1/enrollment-tokens/{}", made.made.id);
        key.delete(&path).await.expect_status(204);
    }
}

#[tokio::test]
async fn the_key_of_the_setup_reaches_everything_whatever_it_was_before() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let new = json!({"name": "ci", "role": "viewer", "scope": {"models": ["rpi4"]}});
    let made: Value = app.admin().post("/api/v1/api-keys", &new).await.expect(201);
    let secret = made["secret"].as_str().unwrap().to_owned();
    let key = app.stranger().with(&secret);
    key.get("/api/v1/overview").await.expect_status(403);
    app.fleet.ensure_api_key("setup", &secret).await.unwrap();
    key.get("/api/v1/overview").await.expect_status(200);
}
