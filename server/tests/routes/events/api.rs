//! Every call of the admin API that changes something.

use std::collections::BTreeSet;

use otter_protocol::Sha256Digest;
use serde_json::{Value, json};

use super::people;
use super::walk::{Walk, id_of, spec};
use crate::common::{Manner, Publisher, Receiver, new_release};

/// Calls of the admin API that only compute.
const READS: [&str; 2] = ["post /api/v1/audit/verify", "post /api/v1/rollouts/preview"];

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
    people::calls(&mut walk).await;

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
