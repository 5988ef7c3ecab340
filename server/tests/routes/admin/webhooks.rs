//! Webhooks, from the change to a real receiver.

use std::time::{Duration, Instant};

use otter_protocol::admin::{DeliveryState, Page, Role, Webhook, WebhookDelivery, WithSecret};
use otter_protocol::{AttemptState, ProblemCode};
use serde_json::{Value, json};

use crate::common::{
    Manner, Publisher, Receiver, TestApp, TestDatabase, TestDevice, eventually, on_each_database,
};

async fn allowing_private() -> TestApp {
    TestApp::start_with(TestDatabase::sqlite(), |settings| {
        settings.webhooks_allow_private = Some(true);
    })
    .await
}

async fn create(app: &TestApp, url: &str, events: &[&str]) -> WithSecret<Webhook> {
    let new = json!({"name": "test", "url": url, "events": events});
    app.admin().post("/api/v1/webhooks", &new).await.expect(201)
}

/// Returns a webhook's log, the oldest first.
async fn log(app: &TestApp, id: i64) -> Vec<WebhookDelivery> {
    let path = format!("/api/v1/webhooks/{id}/deliveries?limit=500");
    let page: Page<WebhookDelivery> = app.admin().get(&path).await.expect(200);
    page.items.into_iter().rev().collect()
}

/// Waits until a webhook's oldest delivery is as asked, and returns it.
async fn first(app: &TestApp, id: i64, is: impl Fn(&WebhookDelivery) -> bool) -> WebhookDelivery {
    eventually("the delivery", async || {
        let first = log(app, id).await.into_iter().next();
        first.filter(|delivery| is(delivery))
    })
    .await
}

async fn wait_for(receiver: &Receiver, events: &[&str]) {
    let what = format!("{events:?}");
    eventually(&what, async || (receiver.events() == events).then_some(())).await;
}

async fn steer(app: &TestApp, rollout: i64, verb: &str) {
    let path = format!("/api/v1/rollouts/{rollout}/{verb}");
    app.operator()
        .post(&path, &json!({}))
        .await
        .expect_status(200);
}

#[tokio::test]
async fn a_device_s_update_reaches_the_receiver_signed_and_in_order() {
    let app = allowing_private().await;
    let receiver = Receiver::start([]).await;
    let hook = create(&app, &receiver.url(), &["attempt.*", "rollout.running"]).await;
    let mut device = TestDevice::enroll(&app, "pump-1").await;
    let mut publisher = Publisher::new(&app).await;
    let rollout = publisher.roll_out(&app, "1.1.0", b"bytes").await;
    let offer = device.offer().await;
    device.report(&offer, AttemptState::Downloading, None).await;
    device.version = "1.1.0".to_owned();
    device.report(&offer, AttemptState::Succeeded, None).await;
    let told = [
        "rollout.running",
        "attempt.offered",
        "attempt.downloading",
        "attempt.succeeded",
    ];
    wait_for(&receiver, &told).await;
    let calls = receiver.calls();
    assert!(calls.is_sorted_by(|a, b| a.delivery() < b.delivery()));
    for call in &calls {
        assert!(call.is_signed_by(&hook.secret));
        assert!(!call.is_signed_by("otw_another"));
        assert_eq!(call.path, "/hook");
        assert_eq!(call.header("content-type"), "application/json");
        assert_eq!(call.header("otter-event"), call.notice().event);
        assert!(call.header("user-agent").starts_with("otter/"));
        assert_eq!(call.notice().rollout.unwrap().id.0, rollout);
        assert!((call.notice().at.0 / 1000 - call.signed_at()).abs() < 20);
    }
    let attempt = calls[3].notice().attempt.unwrap();
    assert_eq!(attempt.state, AttemptState::Succeeded);
    let last = eventually("the log", async || {
        let last = log(&app, hook.made.id).await.pop();
        last.filter(|last| last.state == DeliveryState::Delivered)
    });
    let last = last.await;
    assert_eq!((last.tries, last.status), (1, Some(204)));
    assert_eq!(last.id, calls[3].delivery());
}

#[tokio::test]
async fn a_failed_delivery_comes_again_before_those_after_it() {
    let app = allowing_private().await;
    let receiver = Receiver::start([Manner::Answer(500)]).await;
    let hook = create(&app, &receiver.url(), &["rollout.*"]).await;
    let mut publisher = Publisher::new(&app).await;
    let rollout = publisher.roll_out(&app, "1.1.0", b"bytes").await;
    steer(&app, rollout, "pause").await;
    let failed = first(&app, hook.made.id, |delivery| delivery.tries == 1).await;
    assert_eq!(failed.state, DeliveryState::Waiting);
    assert_eq!(
        (failed.status, failed.answer.as_deref()),
        (Some(500), Some("not now"))
    );
    assert!(failed.error.unwrap().contains("500"));
    let told = ["rollout.created", "rollout.created", "rollout.running"];
    eventually("all", async || {
        let events = receiver.events();
        (events.last()? == "rollout.paused").then_some(())
    })
    .await;
    assert!(receiver.events().starts_with(&told.map(str::to_owned)));
    let calls = receiver.calls();
    assert_eq!(calls[0].delivery(), calls[1].delivery());
    assert_eq!(calls[0].body, calls[1].body, "the same to the byte");
    assert!(calls[1].signed_at() > calls[0].signed_at(), "signed anew");
}

on_each_database! {
    /// The server stops between a failure and the next try; the one after it goes on.
    async fn nothing_is_lost_over_a_restart(app: TestApp) {
        let mut app = app;
        app.restart(|config| config.fleet.webhooks_allow_private = true).await;
        let receiver = Receiver::start([Manner::Answer(503)]).await;
        let hook = create(&app, &receiver.url(), &["rollout.*"]).await;
        // The rollout waits for it.
        TestDevice::enroll(&app, "pump-1").await;
        let mut publisher = Publisher::new(&app).await;
        let rollout = publisher.roll_out(&app, "1.1.0", b"bytes").await;
        first(&app, hook.made.id, |delivery| delivery.tries == 1).await;
        steer(&app, rollout, "pause").await;
        app.restart(|_| {}).await;
        steer(&app, rollout, "resume").await;
        let mut expected = Vec::new();
        eventually("everything", async || {
            let log = log(&app, hook.made.id).await;
            expected = log.iter().map(|delivery| delivery.event.clone()).collect();
            let is_over = log.iter().all(|delivery| delivery.state == DeliveryState::Delivered);
            (is_over && log.len() >= 5).then_some(())
        })
        .await;
        let mut got = receiver.events();
        assert_eq!(got.remove(0), "rollout.created", "the one that failed");
        assert_eq!(got, expected);
        assert_eq!(got.iter().filter(|event| *event == "rollout.paused").count(), 1);
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_delays_nobody_else_and_is_left() {
    let app = allowing_private().await;
    let slow = Receiver::start(vec![Manner::Hang; 20]).await;
    let quick = Receiver::start([]).await;
    let hanging = create(&app, &slow.url(), &["rollout.created", "rollout.running"]).await;
    create(&app, &quick.url(), &["rollout.created", "rollout.running"]).await;
    let begin = Instant::now();
    let mut publisher = Publisher::new(&app).await;
    publisher.roll_out(&app, "1.1.0", b"bytes").await;
    wait_for(&quick, &["rollout.created", "rollout.running"]).await;
    assert!(
        begin.elapsed() < Duration::from_secs(8),
        "it waited for the other"
    );
    let left = first(&app, hanging.made.id, |delivery| delivery.tries > 0).await;
    assert_eq!(left.status, None);
    assert!(left.error.unwrap().contains("within 10 seconds"));
    assert!(left.took_ms.unwrap() >= 10_000);
    assert!(slow.events().iter().all(|event| event == "rollout.created"));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let app = allowing_private().await;
    let inside = Receiver::start([]).await;
    let receiver = Receiver::start([Manner::Redirect(inside.url())]).await;
    let hook = create(&app, &receiver.url(), &["rollout.*"]).await;
    let path = format!("/api/v1/webhooks/{}/test", hook.made.id);
    let sent: WebhookDelivery = app.admin().post(&path, &json!({})).await.expect(202);
    let failed = first(&app, hook.made.id, |delivery| delivery.tries == 1).await;
    assert_eq!((failed.id, failed.status), (sent.id, Some(302)));
    assert!(failed.error.unwrap().contains("redirects"));
    assert!(inside.calls().is_empty());
    assert_eq!(receiver.events(), ["ping"]);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let app = allowing_private().await;
    let receiver = Receiver::start([Manner::Endless]).await;
    let hook = create(&app, &receiver.url(), &["rollout.*"]).await;
    let path = format!("/api/v1/webhooks/{}/test", hook.made.id);
    app.admin().post(&path, &json!({})).await.expect_status(202);
    let delivered = first(&app, hook.made.id, |delivery| delivery.tries == 1).await;
    assert_eq!(delivered.state, DeliveryState::Delivered);
    assert_eq!(delivered.answer.unwrap(), "x".repeat(1024));
    // What sockets hold besides is a few megabytes at most.
    assert!(receiver.sent() < 32 << 20, "{} bytes", receiver.sent());
}

#[tokio::test]
async fn private_addresses_are_refused_by_number_and_by_name() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let receiver = Receiver::start([]).await;
    let new = json!({"name": "x", "url": receiver.url(), "events": ["*"]});
    let answer = app.admin().post("/api/v1/webhooks", &new).await;
    let problem = answer.problem(ProblemCode::InvalidRequest);
    assert_eq!(problem.field.as_deref(), Some("url"));
    assert!(problem.detail.contains("127.0.0.1"), "{}", problem.detail);
    for name in ["localhost", "LOCALHOST"] {
        let url = format!("http://{name}:{}/", receiver.address.port());
        let hook = create(&app, &url, &["rollout.*"]).await;
        let path = format!("/api/v1/webhooks/{}/test", hook.made.id);
        app.admin().post(&path, &json!({})).await.expect_status(202);
        let failed = first(&app, hook.made.id, |delivery| delivery.tries == 1).await;
        let error = failed.error.unwrap();
        assert!(error.contains("no public address"), "{error}");
        assert_eq!(
            (failed.state, failed.status),
            (DeliveryState::Waiting, None)
        );
    }
    assert!(receiver.calls().is_empty());
}

#[tokio::test]
async fn one_made_where_private_was_allowed_is_refused_where_it_is_not() {
    let mut app = allowing_private().await;
    let receiver = Receiver::start([]).await;
    let hook = create(&app, &receiver.url(), &["rollout.*"]).await;
    app.restart(|config| config.fleet.webhooks_allow_private = false)
        .await;
    let path = format!("/api/v1/webhooks/{}/test", hook.made.id);
    app.admin().post(&path, &json!({})).await.expect_status(202);
    let failed = first(&app, hook.made.id, |delivery| delivery.tries == 1).await;
    assert_eq!(failed.error.unwrap(), "127.0.0.1 is no public address");
    assert!(receiver.calls().is_empty());
}

#[tokio::test]
async fn a_new_secret_signs_at_once_and_the_old_one_beside_it() {
    let app = allowing_private().await;
    let receiver = Receiver::start([]).await;
    let hook = create(&app, &receiver.url(), &["rollout.*"]).await;
    let path = format!("/api/v1/webhooks/{}", hook.made.id);
    let rotate = app
        .admin()
        .post(&format!("{path}/rotate"), &json!({}))
        .await;
    let rotated: WithSecret<Webhook> = rotate.expect(200);
    assert!(rotated.made.former_secret_until.is_some());
    let test = app.admin().post(&format!("{path}/test"), &json!({})).await;
    test.expect_status(202);
    wait_for(&receiver, &["ping"]).await;
    let call = receiver.calls().remove(0);
    assert!(call.is_signed_by(&rotated.secret) && call.is_signed_by(&hook.secret));
    assert_eq!(call.notice().rollout, None);
    let listed = app.admin().get("/api/v1/webhooks").await;
    assert!(!listed.text().contains("otw_"), "{}", listed.text());
}

#[tokio::test]
async fn a_webhook_s_life_over_the_api() {
    let app = allowing_private().await;
    let receiver = Receiver::start([]).await;
    let hook = create(&app, &receiver.url(), &["rollout.*"]).await.made;
    let path = format!("/api/v1/webhooks/{}", hook.id);
    let off: Webhook = app
        .admin()
        .patch(&path, &json!({"enabled": false}))
        .await
        .expect(200);
    assert!(!off.spec.enabled);
    let test = app.admin().post(&format!("{path}/test"), &json!({})).await;
    test.problem(ProblemCode::Conflict);
    app.admin()
        .patch(&path, &json!({"enabled": true}))
        .await
        .expect_status(200);
    let test = app.admin().post(&format!("{path}/test"), &json!({})).await;
    let sent: WebhookDelivery = test.expect(202);
    first(&app, hook.id, |sent| sent.state == DeliveryState::Delivered).await;
    let again = format!("/api/v1/webhooks/deliveries/{}/redeliver", sent.id);
    app.admin()
        .post(&again, &json!({}))
        .await
        .expect_status(202);
    wait_for(&receiver, &["ping", "ping"]).await;
    let calls = receiver.calls();
    assert_eq!(calls[0].notice().id, calls[1].notice().id);
    app.admin().delete(&path).await.expect_status(204);
    let listed: Vec<Webhook> = app.admin().get("/api/v1/webhooks").await.expect(200);
    assert!(listed.is_empty());
    let gone = app.admin().get(&format!("{path}/deliveries")).await;
    gone.problem(ProblemCode::NotFound);
    let actions: Value = app
        .viewer()
        .get("/api/v1/audit?action=webhook.*")
        .await
        .expect(200);
    assert_eq!(actions["items"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn bad_input_names_its_field() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let cases = [
        (
            json!({"url": "https://example.org/", "events": ["*"]}),
            "name",
        ),
        (json!({"name": "x", "events": ["*"]}), "url"),
        (
            json!({"name": "x", "url": "https://example.org/"}),
            "events",
        ),
        (
            json!({"name": "x", "url": "gopher://example.org/", "events": ["*"]}),
            "url",
        ),
        (
            json!({"name": "x", "url": "http://2130706433/", "events": ["*"]}),
            "url",
        ),
        (
            json!({"name": "x", "url": "https://example.org/", "events": ["y"]}),
            "events[0]",
        ),
    ];
    for (new, field) in cases {
        let answer = app.admin().post("/api/v1/webhooks", &new).await;
        let problem = answer.problem(ProblemCode::InvalidRequest);
        assert_eq!(problem.field.as_deref(), Some(field), "{new}");
    }
    let hook = create(&app, "https://example.org/", &["*"]).await.made;
    let path = format!("/api/v1/webhooks/{}/deliveries", hook.id);
    for (query, field) in [
        ("state=lost", "state"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
    ] {
        let answer = app.admin().get(&format!("{path}?{query}")).await;
        let problem = answer.problem(ProblemCode::InvalidRequest);
        assert_eq!(problem.field.as_deref(), Some(field));
    }
    for role in [Role::Viewer, Role::Operator, Role::Approver] {
        let answer = app.program(role).get(&path).await;
        answer.problem(ProblemCode::Forbidden);
    }
}
