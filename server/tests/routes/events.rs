//! Every call that changes something, with the event that it must leave. A call that is missing here fails the test.

use std::collections::BTreeSet;

use axum::http::Method;
use otter_protocol::admin::{AuditEvent, AuditFilter};
use otter_protocol::check_in::EnrollReply;
use otter_protocol::{ReleaseId, Sha256Digest};
use otter_trust::SecretKey;
use serde_json::{Value, json};

use crate::common::{
    Answer, Manner, Publisher, Receiver, TestApp, TestDatabase, TestDevice, enroll_request,
    new_release,
};

/// Calls of the admin API that only compute.
const READS: [&str; 2] = ["post /api/v1/audit/verify", "post /api/v1/rollouts/preview"];
/// Server functions that change nothing that is everybody's: a look at the log, one browser's session and colours.
const OWN: [&str; 4] = ["verify-audit", "log-in", "log-out", "theme"];

/// A walk past everything that changes something.
struct Walk {
    app: TestApp,
    /// Who walks, as events name him.
    actor: String,
    cookie: Option<String>,
    passed: BTreeSet<String>,
}

impl Walk {
    async fn start(actor: &str) -> Self {
        Self {
            app: TestApp::start_with(TestDatabase::sqlite(), |settings| {
                settings.webhooks_allow_private = Some(true);
            })
            .await,
            actor: actor.to_owned(),
            cookie: None,
            passed: BTreeSet::new(),
        }
    }

    async fn newest(&self) -> AuditEvent {
        let filter = AuditFilter {
            limit: Some(1),
            ..AuditFilter::default()
        };
        let page = self.app.fleet.audit_events(&filter).await.unwrap();
        page.items.into_iter().next().unwrap()
    }

    /// Fails unless an event of this kind by the one who walks came since another.
    async fn expect_event(&mut self, call: &str, action: &str, since: i64) {
        let page = self.app.fleet.audit_events(&AuditFilter::default()).await;
        let events = page.unwrap().items;
        let found = events.iter().any(|event| {
            event.sequence > since && event.actor == self.actor && event.action.starts_with(action)
        });
        assert!(found, "{call} left no {action}: {events:?}");
        self.passed.insert(call.to_owned());
    }

    /// Asks as an admin for a change, at an address that is written as the API's description writes it.
    async fn call(&mut self, call: &str, names: &[&str], body: &Value, action: &str) -> Answer {
        let body = serde_json::to_vec(body).unwrap();
        self.call_with(call, names, body, action).await
    }

    async fn call_with(
        &mut self,
        call: &str,
        names: &[&str],
        body: Vec<u8>,
        action: &str,
    ) -> Answer {
        let since = self.newest().await.sequence;
        let (method, template) = call.split_once(' ').unwrap();
        let mut names = names.iter();
        let path: Vec<&str> = template
            .split('/')
            .map(|part| {
                if part.starts_with('{') {
                    names.next().unwrap()
                } else {
                    part
                }
            })
            .collect();
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let admin = self.app.admin();
        let request = admin.request(method, &path.join("/"));
        // Bytes have no type of their own.
        let is_json = body.first().is_some_and(|first| b"{[".contains(first));
        let kind = if is_json {
            "application/json"
        } else {
            "application/octet-stream"
        };
        let request = request.header("content-type", kind).body(body);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert!(answer.status.is_success(), "{call}: {}", answer.text());
        self.expect_event(call, action, since).await;
        answer
    }

    /// Sends a page's form.
    async fn form(&mut self, endpoint: &str, fields: &[(&str, &str)], action: &str) {
        let since = self.newest().await.sequence;
        let form = serde_urlencoded::to_string(fields).unwrap();
        let stranger = self.app.stranger();
        let mut request = stranger
            .request(Method::POST, &format!("/ui/{endpoint}"))
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = Answer::of(request.body(form).send().await.unwrap()).await;
        assert!(
            answer.status.as_u16() < 400,
            "{endpoint}: {}",
            answer.text()
        );
        self.expect_event(endpoint, action, since).await;
    }

    /// A device that waits, and its key's fingerprint.
    async fn pending(&self, id: &str) -> Sha256Digest {
        let key = SecretKey::generate().unwrap();
        let reply = self.app.fleet.enroll(&enroll_request(id, &key, None)).await;
        match reply.unwrap() {
            EnrollReply::Pending { fingerprint, .. } => fingerprint,
            reply => panic!("{reply:?}"),
        }
    }

    /// Devices that no rollout is done without, so that none ends by itself.
    async fn fleet_to_wait_for(&self) {
        for number in 0..10 {
            TestDevice::enroll(&self.app, &format!("gw-{number}")).await;
        }
    }

    async fn published(&self, version: &str, publisher: &mut Publisher) -> ReleaseId {
        publisher
            .publish(&self.app, version, version.as_bytes())
            .await
    }

    /// A rollout that somebody else made.
    async fn rollout(&self, release: ReleaseId, more: &Value, query: &str) -> String {
        let mut spec = spec(release);
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let path = format!("/api/v1/rollouts{query}");
        let made: Value = self.app.operator().post(&path, &spec).await.expect(201);
        made["id"].to_string()
    }
}

fn spec(release: ReleaseId) -> Value {
    let phase = |share: u32| json!({"name": format!("{share} %"), "scope": {"kind": "share", "share": share}, "gate": {"min_finished": 1}});
    json!({"name": "r", "release": release, "phases": [phase(50), phase(100)]})
}

fn id_of(answer: &Answer) -> String {
    let made: Value = serde_json::from_str(answer.text()).unwrap();
    made["id"].to_string()
}

async fn devices(walk: &mut Walk) {
    let import = json!([{"id": "imported", "model": "rpi4"}]);
    walk.call("post /api/v1/devices/import", &[], &import, "device.import")
        .await;
    for id in ["p1", "p2"] {
        walk.pending(id).await;
    }
    let none = json!({});
    walk.call(
        "post /api/v1/devices/{id}/accept",
        &["p1"],
        &none,
        "device.accept",
    )
    .await;
    walk.call(
        "post /api/v1/devices/{id}/reject",
        &["p2"],
        &none,
        "device.revoke",
    )
    .await;
    let key = json!({"devices": [{"id": "p3", "fingerprint": walk.pending("p3").await}]});
    walk.call("post /api/v1/devices/accept", &[], &key, "device.accept")
        .await;
    let key = json!({"devices": [{"id": "p4", "fingerprint": walk.pending("p4").await}]});
    walk.call("post /api/v1/devices/reject", &[], &key, "device.revoke")
        .await;
    let labels = json!({"labels": {"site": "north"}});
    walk.call(
        "patch /api/v1/devices/{id}",
        &["p1"],
        &labels,
        "device.patch",
    )
    .await;
    walk.call(
        "post /api/v1/devices/{id}/revoke",
        &["p1"],
        &none,
        "device.revoke",
    )
    .await;
    let leave = "post /api/v1/devices/{id}/decommission";
    walk.call(leave, &["p3"], &none, "device.decommission")
        .await;
}

async fn settings(walk: &mut Walk) {
    let none = json!({});
    let group = json!({"name": "north", "description": "", "selector": "site=north"});
    walk.call("put /api/v1/groups/{name}", &["north"], &group, "group.put")
        .await;
    walk.call(
        "delete /api/v1/groups/{name}",
        &["north"],
        &none,
        "group.delete",
    )
    .await;
    let all = json!({"name": "all", "scope": {"kind": "share", "share": 100}});
    let template = json!({"description": "x", "plan": {"phases": [all]}});
    let path = "put /api/v1/rollout-templates/{name}";
    walk.call(path, &["careful"], &template, "template.put")
        .await;
    let path = "delete /api/v1/rollout-templates/{name}";
    walk.call(path, &["careful"], &none, "template.delete")
        .await;
    let token = json!({"name": "t"});
    let path = "post /api/v1/enrollment-tokens";
    let token = walk
        .call(path, &[], &token, "enrollment_token.create")
        .await;
    let path = "delete /api/v1/enrollment-tokens/{id}";
    walk.call(path, &[&id_of(&token)], &none, "enrollment_token.revoke")
        .await;
    let key = json!({"name": "k", "role": "viewer"});
    let key = walk
        .call("post /api/v1/api-keys", &[], &key, "api_key.create")
        .await;
    let path = "delete /api/v1/api-keys/{id}";
    walk.call(path, &[&id_of(&key)], &none, "api_key.revoke")
        .await;
    webhooks(walk).await;
}

async fn webhooks(walk: &mut Walk) {
    let none = json!({});
    let receiver = Receiver::start([Manner::Answer(204)]).await;
    let new = json!({"name": "w", "url": receiver.url(), "events": ["attempt.failed"]});
    let made = walk
        .call("post /api/v1/webhooks", &[], &new, "webhook.create")
        .await;
    let hook = id_of(&made);
    let hook = hook.as_str();
    let path = "post /api/v1/webhooks/{id}/test";
    let sent = id_of(&walk.call(path, &[hook], &none, "webhook.test").await);
    let path = "post /api/v1/webhooks/deliveries/{id}/redeliver";
    crate::common::eventually("the ping", async || {
        (!receiver.calls().is_empty()).then_some(())
    })
    .await;
    walk.call(path, &[&sent], &none, "webhook.redeliver").await;
    let path = "post /api/v1/webhooks/{id}/rotate";
    walk.call(path, &[hook], &none, "webhook.rotate").await;
    let change = json!({"name": "other"});
    let path = "patch /api/v1/webhooks/{id}";
    walk.call(path, &[hook], &change, "webhook.update").await;
    let path = "delete /api/v1/webhooks/{id}";
    walk.call(path, &[hook], &none, "webhook.delete").await;
}

/// Root, artifact, release and its signature, each as an admin.
async fn releases(walk: &mut Walk) -> Publisher {
    let since = walk.newest().await.sequence;
    let mut publisher = Publisher::new(&walk.app).await;
    walk.expect_event("put /api/v1/trust/root", "trust.root", since)
        .await;
    let bytes = b"walked";
    let sha256 = Sha256Digest::of(bytes).to_string();
    let path = "put /api/v1/artifacts/{sha256}";
    walk.call_with(path, &[&sha256], bytes.to_vec(), "artifact.upload")
        .await;
    let release = new_release("1.5.0", bytes);
    let made = walk
        .call("post /api/v1/releases", &[], &release, "release.create")
        .await;
    let since = walk.newest().await.sequence;
    publisher
        .sign(&walk.app, "1.5.0", bytes)
        .await
        .expect_status(200);
    let by_admin = std::mem::replace(&mut walk.actor, "key:operator".to_owned());
    walk.expect_event("put /api/v1/trust/targets", "trust.targets", since)
        .await;
    walk.actor = by_admin;
    let path = "post /api/v1/releases/{id}/withdraw";
    walk.call(path, &[&id_of(&made)], &json!({}), "release.withdraw")
        .await;
    publisher
}

async fn rollouts(walk: &mut Walk, publisher: &mut Publisher) {
    walk.fleet_to_wait_for().await;
    let none = json!({"reason": "walking by"});
    let release = walk.published("2.0.0", publisher).await;
    let made = walk
        .call(
            "post /api/v1/rollouts",
            &[],
            &spec(release),
            "rollout.create",
        )
        .await;
    let own = id_of(&made);
    for verb in ["pause", "resume", "skip-gate", "retry-failed", "abort"] {
        let path = format!("post /api/v1/rollouts/{{id}}/{verb}");
        walk.call(&path, &[&own], &none, "rollout.").await;
    }
    let draft = walk.rollout(release, &json!({}), "?draft=true").await;
    let path = "put /api/v1/rollouts/{id}";
    let mut changed = spec(release);
    changed["name"] = json!("changed");
    walk.call(path, &[&draft], &changed, "rollout.update").await;
    let path = "post /api/v1/rollouts/{id}/start";
    walk.call(path, &[&draft], &none, "rollout.").await;
    let path = "post /api/v1/rollouts/{id}/approve-gate";
    walk.call(path, &[&draft], &none, "rollout.").await;
    let path = "post /api/v1/rollouts/{id}/roll-back";
    walk.call(path, &[&draft], &none, "rollout.").await;
    let unapproved = walk
        .rollout(release, &json!({"needs_approval": true}), "")
        .await;
    let path = "post /api/v1/rollouts/{id}/approve";
    walk.call(path, &[&unapproved], &none, "rollout.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_the_admin_api_leaves_its_event() {
    let mut walk = Walk::start("key:admin").await;
    devices(&mut walk).await;
    settings(&mut walk).await;
    let mut publisher = releases(&mut walk).await;
    rollouts(&mut walk, &mut publisher).await;

    let api: Value = walk
        .app
        .stranger()
        .get("/api/openapi.json")
        .await
        .expect(200);
    let mut changes = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys();
        let calls = methods
            .filter(|method| *method != "get" && path.starts_with("/api/v1/"))
            .map(|method| format!("{method} {path}"));
        changes.extend(calls.filter(|call| !READS.contains(&call.as_str())));
    }
    assert_eq!(walk.passed, changes);
    assert_eq!(walk.app.fleet.verify_audit().await.unwrap().broken_at, None);
}

/// Makes the first account by the set-up form, and logs in with it.
async fn set_up(walk: &mut Walk) {
    let secret = walk.app.fleet.setup_secret().await.unwrap().unwrap();
    let password = "correct horse battery";
    walk.form(
        "set-up",
        &[
            ("secret", &secret),
            ("name", "anna"),
            ("password", password),
        ],
        "person.add",
    )
    .await;
    let form = serde_urlencoded::to_string([("name", "anna"), ("password", password)]).unwrap();
    let stranger = walk.app.stranger();
    let request = stranger
        .request(Method::POST, "/ui/log-in")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = Answer::of(request.body(form).send().await.unwrap()).await;
    let cookie = answer.header("set-cookie").split(';').next().unwrap();
    walk.cookie = Some(cookie.to_owned());
    walk.actor = "user:anna".to_owned();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_from_a_page_leaves_its_event() {
    let mut walk = Walk::start("user:anna").await;
    set_up(&mut walk).await;
    let key = walk.pending("p1").await.to_string();
    let fields = [("id", "p1"), ("fingerprint", key.as_str())];
    walk.form("device-accept", &fields, "device.accept").await;
    let key = walk.pending("p2").await.to_string();
    let fields = [("id", "p2"), ("fingerprint", key.as_str())];
    walk.form("device-reject", &fields, "device.revoke").await;
    let fields = [("id", "p1"), ("labels", "site=north")];
    walk.form("device-labels", &fields, "device.patch").await;
    let fields = [("id", "p1"), ("reason", "why not")];
    walk.form("device-hold", &fields, "device.patch").await;
    let fields = [("id", "p1"), ("reason", "lost")];
    walk.form("device-revoke", &fields, "device.revoke").await;
    let fields = [("name", "k"), ("role", "viewer")];
    walk.form("create-key", &fields, "api_key.create").await;
    let key = walk.newest().await.subject;
    walk.form("revoke-key", &[("id", &key)], "api_key.revoke")
        .await;
    walk.form("create-token", &[("name", "t")], "enrollment_token.create")
        .await;
    let token = walk.newest().await.subject;
    walk.form("revoke-token", &[("id", &token)], "enrollment_token.revoke")
        .await;

    walk.fleet_to_wait_for().await;
    let mut publisher = Publisher::new(&walk.app).await;
    let release = walk.published("2.0.0", &mut publisher).await;
    let uploaded = Sha256Digest::of(b"2.0.0").to_string();
    let fields = [
        ("form[version]", "3.0.0"),
        ("form[sha256]", uploaded.as_str()),
        ("form[kind]", "bundle"),
        ("form[models]", "rpi4"),
    ];
    walk.form("create-release", &fields, "release.create").await;
    let number = release.to_string();
    let fields = [
        ("form[name]", "to 2.0.0"),
        ("form[release]", number.as_str()),
        ("form[audience]", "all"),
        ("form[phases][0][share]", "50"),
        ("form[phases][1][share]", "100"),
    ];
    walk.form("create-rollout", &fields, "rollout.create").await;
    let rollout = walk.rollout(release, &json!({}), "").await;
    let fields = [("id", rollout.as_str()), ("steering", "pause")];
    walk.form("steer-rollout", &fields, "rollout.").await;
    let fields = [("id", number.as_str()), ("reason", "broken")];
    walk.form("withdraw-release", &fields, "release.withdraw")
        .await;

    let mut changes: BTreeSet<String> = leptos::server_fn::axum::server_fn_paths()
        .filter(|(_, method)| *method == Method::POST)
        .map(|(path, _)| path.trim_start_matches("/ui/").to_owned())
        .collect();
    for own in OWN {
        assert!(changes.remove(own), "there is no {own} any more");
    }
    assert_eq!(walk.passed, changes);
}
