//! What is out of reach, asked for by every call that lets keys of a limited scope in.

use otter_protocol::Sha256Digest;
use otter_protocol::admin::Role;
use otter_protocol::check_in::EnrollReply;
use otter_trust::{SecretKey, SignedArtifact};
use serde_json::{Value, json};

use super::{CALLS, Treatment, scoped};
use crate::common::{
    Answer, Caller, Publisher, TestApp, TestDevice, enroll_request, on_each_database,
    signed_artifact,
};

/// The model that no key here reaches; `rpi4` is the one that they do.
const OTHER: &str = "esp32";

/// A fleet of two models, of which nothing but the devices of one may show.
struct World {
    app: TestApp,
    publisher: Publisher,
    /// Published for the other model.
    release: i64,
    /// Goes to the other model.
    rollout: i64,
    /// A draft of a rollout that does.
    draft: i64,
    /// Of a device of the other model, with a log.
    attempt: String,
    /// Lets in the other model.
    token: i64,
    /// SHA-256 of keys that wait, by device.
    waiting: Vec<(String, String)>,
}

fn phases() -> Value {
    json!([{"name": "all", "scope": {"kind": "share", "share": 100}}])
}

fn for_model(version: &str, counter: u64, bytes: &[u8], model: &str) -> SignedArtifact {
    let mut artifact = signed_artifact(version, counter, bytes);
    artifact.facts.models = vec![model.to_owned()];
    artifact
}

async fn draft(app: &TestApp, version: &str, bytes: &[u8], model: &str) -> i64 {
    let sha256 = Sha256Digest::of(bytes);
    let path = format!("/api/v1/artifacts/{sha256}");
    app.operator()
        .put_bytes(&path, bytes)
        .await
        .expect::<Value>(201);
    let artifact = json!({"sha256": sha256, "kind": "bundle", "models": [model]});
    let new = json!({"version": version, "artifacts": [artifact]});
    let made: Value = app
        .operator()
        .post("/api/v1/releases", &new)
        .await
        .expect(201);
    made["id"].as_i64().unwrap()
}

/// Lets a device ask to be let in, without a token; returns its key's SHA-256.
async fn pending(app: &TestApp, id: &str, model: &str) -> String {
    let mut request = enroll_request(id, &SecretKey::generate().unwrap(), None);
    request.model = model.parse().unwrap();
    let body = serde_json::to_value(request).unwrap();
    app.stranger()
        .post("/device/v1/enroll", &body)
        .await
        .expect_status(202);
    let waiting: Vec<Value> = app
        .viewer()
        .get("/api/v1/devices/waiting-keys")
        .await
        .expect(200);
    let own = waiting.iter().find(|key| key["id"] == id).unwrap();
    own["fingerprint"].as_str().unwrap().to_owned()
}

impl World {
    async fn new(app: TestApp) -> Self {
        let admin = app.admin();
        let devices = json!([
            {"id": "mine", "model": "rpi4", "group": "canary"},
            {"id": "beyond-model", "model": OTHER, "group": "canary"},
            {"id": "beyond-group", "model": "rpi4", "group": "pilot"},
        ]);
        admin
            .post("/api/v1/devices/import", &devices)
            .await
            .expect::<Value>(200);
        let mut publisher = Publisher::new(&app).await;
        let release = draft(&app, "7.0.0", b"for others", OTHER).await;
        let counter = publisher.targets.next_release_counter().unwrap();
        let artifact = for_model("7.0.0", counter, b"for others", OTHER);
        publisher.send(&app, &artifact).await.expect_status(200);
        let rollout = async |query: &str| {
            let spec = json!({"name": "beyond", "release": release, "phases": phases()});
            let path = format!("/api/v1/rollouts{query}");
            let made: Value = admin.post(&path, &spec).await.expect(201);
            made["id"].as_i64().unwrap()
        };
        let (running, written) = (rollout("").await, rollout("?draft=true").await);
        let attempt = attempt(&app).await;
        let token = json!({"name": "beyond", "models": [OTHER], "group": "canary"});
        let token: Value = admin
            .post("/api/v1/enrollment-tokens", &token)
            .await
            .expect(201);
        let mut waiting = Vec::new();
        for name in ["beyond-1", "beyond-2"] {
            waiting.push((name.to_owned(), pending(&app, name, OTHER).await));
        }
        Self {
            publisher,
            release,
            rollout: running,
            draft: written,
            attempt,
            token: token["id"].as_i64().unwrap(),
            waiting,
            app,
        }
    }
}

/// Lets a device of the other model begin an attempt and send its log.
async fn attempt(app: &TestApp) -> String {
    let mut request = enroll_request(
        "beyond-attempt",
        &SecretKey::generate().unwrap(),
        Some(&app.enrollment_token),
    );
    request.model = OTHER.parse().unwrap();
    let body = serde_json::to_value(request).unwrap();
    let answer = app.stranger().post("/device/v1/enroll", &body).await;
    let EnrollReply::Accepted { device_token } = answer.expect(201) else {
        panic!("not let in: {answer:?}");
    };
    let device = TestDevice::known(app, &device_token);
    let attempt = device.offer().await.attempt.to_string();
    let path = format!("/device/v1/attempts/{attempt}/log");
    let put = device.http.put_bytes(&path, "what it saw").await;
    assert!(put.status.is_success(), "{put:?}");
    attempt
}

/// Asks for what is out of reach, and fails where anything of it is shown or done.
async fn ask(world: &mut World, key: &Caller, method: &str, path: &str) {
    let call = format!("{method} {path}");
    let (release, rollout, draft) = (world.release, world.rollout, world.draft);
    let spec = json!({"name": "x", "release": release, "phases": phases()});
    let none = json!({});
    match call.as_str() {
        "get /api/v1/devices"
        | "get /api/v1/devices/waiting-keys"
        | "get /api/v1/releases"
        | "get /api/v1/rollouts"
        | "get /api/v1/enrollment-tokens" => {
            let answer = key.get(&format!("{path}?limit=100")).await;
            answer.expect::<Value>(200);
            assert!(
                !answer.text().contains("beyond"),
                "{call}: {}",
                answer.text()
            );
            assert!(!answer.text().contains(OTHER), "{call}: {}", answer.text());
        }
        "get /api/v1/groups" => {
            let groups: Vec<Value> = key.get(path).await.expect(200);
            let names: Vec<_> = groups.iter().map(|group| &group["name"]).collect();
            assert_eq!(names, ["canary"], "{call}");
        }
        "post /api/v1/devices/import" => {
            for device in [
                json!({"id": "new", "model": OTHER, "group": "canary"}),
                json!({"id": "new", "model": "rpi4", "group": "pilot"}),
                json!({"id": "new", "model": "rpi4"}),
            ] {
                let fits = json!({"id": "fits", "model": "rpi4", "group": "canary"});
                let answer = key.post(path, &json!([fits, device])).await;
                refused(&call, &answer);
            }
        }
        "get /api/v1/devices/{id}" | "patch /api/v1/devices/{id}" => {
            for id in ["beyond-model", "beyond-group", "nobody"] {
                let path = path.replace("{id}", id);
                let answer = match method {
                    "get" => key.get(&path).await,
                    _ => key.patch(&path, &json!({"hold": "mine now"})).await,
                };
                hidden(&call, &answer, &format!("There is no device `{id}`."));
            }
            if method == "patch" {
                for group in ["pilot", ""] {
                    let leave = json!({"group": group});
                    refused(&call, &key.patch("/api/v1/devices/mine", &leave).await);
                }
            }
        }
        "post /api/v1/devices/{id}/accept" | "post /api/v1/devices/{id}/reject" => {
            for (id, _) in &world.waiting {
                let answer = key.post(&path.replace("{id}", id), &none).await;
                hidden(&call, &answer, &format!("There is no device `{id}`."));
            }
        }
        "post /api/v1/devices/accept" | "post /api/v1/devices/reject" => {
            let keys = world.waiting.iter();
            let keys: Vec<Value> = keys
                .map(|(id, fingerprint)| json!({"id": id, "fingerprint": fingerprint}))
                .collect();
            let done: Value = key
                .post(path, &json!({ "devices": keys }))
                .await
                .expect(200);
            assert_eq!(done["decided"], json!([]), "{call}");
            assert_eq!(done["failed"].as_array().unwrap().len(), 2, "{call}");
        }
        "post /api/v1/devices/{id}/revoke" | "post /api/v1/devices/{id}/decommission" => {
            for id in ["beyond-model", "beyond-group"] {
                let answer = key.post(&path.replace("{id}", id), &none).await;
                hidden(&call, &answer, &format!("There is no device `{id}`."));
            }
        }
        "get /api/v1/attempts/{id}/log" => {
            let path = path.replace("{id}", &world.attempt);
            world.app.viewer().get(&path).await.expect_status(200);
            key.get(&path).await.expect_status(404);
        }
        "post /api/v1/releases" => {
            let artifact = |models: Value| json!({"sha256": Sha256Digest::of(b"for others"), "kind": "bundle", "models": models});
            for models in [json!([OTHER]), json!(["rpi4", OTHER])] {
                let new = json!({"version": "8.0.0", "artifacts": [artifact(models)]});
                refused(&call, &key.post(path, &new).await);
            }
        }
        "get /api/v1/releases/{id}" => {
            let answer = key.get(&path.replace("{id}", &release.to_string())).await;
            hidden(&call, &answer, &format!("There is no release {release}."));
        }
        "post /api/v1/releases/{id}/withdraw" => {
            let answer = key
                .post(&path.replace("{id}", &release.to_string()), &none)
                .await;
            hidden(&call, &answer, &format!("There is no release {release}."));
        }
        "post /api/v1/rollouts" | "post /api/v1/rollouts/preview" => {
            refused(&call, &key.post(path, &spec).await);
        }
        "put /api/v1/rollouts/{id}" => {
            let answer = key
                .put(&path.replace("{id}", &draft.to_string()), &spec)
                .await;
            hidden(&call, &answer, &format!("There is no rollout {draft}."));
        }
        "get /api/v1/rollouts/{id}" | "get /api/v1/rollouts/{id}/preview" => {
            let answer = key.get(&path.replace("{id}", &rollout.to_string())).await;
            hidden(&call, &answer, &format!("There is no rollout {rollout}."));
        }
        _ if path.starts_with("/api/v1/rollouts/{id}/") => {
            for id in [rollout, draft] {
                let why = json!({"reason": "because"});
                let answer = key.post(&path.replace("{id}", &id.to_string()), &why).await;
                hidden(&call, &answer, &format!("There is no rollout {id}."));
            }
        }
        "post /api/v1/enrollment-tokens" => {
            for token in [
                json!({"name": "t"}),
                json!({"name": "t", "models": ["rpi4"]}),
                json!({"name": "t", "group": "canary"}),
                json!({"name": "t", "models": ["rpi4", OTHER], "group": "canary"}),
                json!({"name": "t", "models": ["rpi4"], "group": "pilot"}),
            ] {
                refused(&call, &key.post(path, &token).await);
            }
        }
        "delete /api/v1/enrollment-tokens/{id}" => {
            let answer = key
                .delete(&path.replace("{id}", &world.token.to_string()))
                .await;
            let there_is_none = format!("There is no enrollment token {}.", world.token);
            hidden(&call, &answer, &there_is_none);
        }
        "get /api/v1/audit" => {
            let subjects = [
                ("device", "beyond-model".to_owned()),
                ("device", "beyond-group".to_owned()),
                ("release", release.to_string()),
                ("rollout", rollout.to_string()),
            ];
            for (kind, subject) in subjects {
                let path = format!("{path}?subject_kind={kind}&subject={subject}");
                assert!(world.app.viewer().get(&path).await.status.is_success());
                key.get(&path).await.expect_status(404);
            }
            for more in [
                "",
                "?subject_kind=device",
                "?subject=beyond-model",
                "?subject_kind=api_key&subject=1",
            ] {
                let status = key.get(&format!("{path}{more}")).await.status;
                assert!(status.is_client_error(), "{call}{more}: {status}");
            }
        }
        "put /api/v1/trust/targets" => targets(world, key, &call).await,
        _ => panic!("{call} lets limited keys in, and nothing here asks it for what is beyond"),
    }
}

/// Signs what is for the other model, which the publisher may, and gives it to the server with the key, which may not.
async fn targets(world: &mut World, key: &Caller, call: &str) {
    draft(&world.app, "8.0.0", b"for others, too", OTHER).await;
    let counter = world.publisher.targets.next_release_counter().unwrap();
    let artifact = for_model("8.0.0", counter, b"for others, too", OTHER);
    refused(
        call,
        &key.put_bytes(
            "/api/v1/trust/targets",
            world.publisher.signed_with(&artifact),
        )
        .await,
    );
    let name = for_model("7.0.0", counter - 1, b"for others", OTHER).name();
    for bytes in [
        world
            .publisher
            .signed_after(|targets| targets.permit_downgrade(&name, true).unwrap()),
        world
            .publisher
            .signed_after(|targets| targets.withdraw(&name, "because").unwrap()),
    ] {
        refused(call, &key.put_bytes("/api/v1/trust/targets", bytes).await);
    }
}

/// Something out of reach is as good as none.
#[track_caller]
fn hidden(call: &str, answer: &Answer, detail: &str) {
    let problem = answer.problem(otter_protocol::ProblemCode::NotFound);
    assert_eq!(problem.detail, detail, "{call}");
}

/// A change that would go beyond the scope says so.
#[track_caller]
fn refused(call: &str, answer: &Answer) {
    assert_eq!(answer.status, 403, "{call}: {answer:?}");
    let problem = answer.problem(otter_protocol::ProblemCode::Forbidden);
    let says = problem
        .detail
        .contains("reaches group canary and model rpi4 only");
    assert!(says, "{call}: {problem:?}");
}

on_each_database! {
    async fn nothing_out_of_reach_is_shown_or_changed(app: TestApp) {
        let mut world = World::new(app).await;
        let scope = json!({"groups": ["canary"], "models": ["rpi4"]});
        let key = scoped(&world.app, Role::Admin, scope).await;
        for (method, path, treatment) in CALLS {
            if treatment != Treatment::Scoped {
                continue;
            }
            ask(&mut world, &key, method, path).await;
        }
        let events = world.app.fleet.audit_events(&Default::default()).await.unwrap().items;
        let changed = events.iter().find(|event| event.actor.starts_with("key:admin of "));
        assert_eq!(changed, None);
    }
}
