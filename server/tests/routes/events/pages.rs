//! Every form of the dashboard that changes something.

use std::collections::BTreeSet;

use axum::http::Method;
use otter_protocol::Sha256Digest;
use serde_json::json;

use super::people;
use super::walk::Walk;
use crate::common::{Answer, Publisher};

/// Server functions that change nothing that is everybody's: a look at the log, one browser's session and colours.
const OWN: [&str; 6] = [
    "verify-audit",
    "log-in",
    "log-out",
    "theme",
    // What is offered counts once it is taken, and who confirms that it is he changes nothing but his session.
    "offer-factor",
    "confirm",
];

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

    people::forms(&mut walk).await;

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
