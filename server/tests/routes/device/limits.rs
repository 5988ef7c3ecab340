//! How often devices may ask, and that one that asks too often costs nobody else anything.

use axum::http::Method;
use otter_protocol::ProblemCode;
use serde_json::json;

use crate::common::{Answer, Caller, TestApp, TestDatabase, TestDevice, enroll_request};

/// Requests a minute of one device here.
const FEW: u32 = 20;
/// Devices behind one address.
const FLEET: usize = 60;

async fn start() -> TestApp {
    TestApp::start_with(TestDatabase::sqlite(), |settings| {
        settings.device_requests_per_min = Some(FEW);
        settings.unknown_tokens_per_min = Some(FEW);
        settings.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
    })
    .await
}

#[track_caller]
fn sent_away(answer: &Answer) -> u64 {
    answer.problem(ProblemCode::TooManyRequests);
    answer.header("retry-after").parse().unwrap()
}

async fn check_in(caller: &Caller) -> Answer {
    let body = json!({"version": "1.0.0"});
    caller.post("/device/v1/check-in", &body).await
}

#[tokio::test]
async fn a_device_that_asks_too_often_waits_and_its_neighbours_do_not() {
    let mut app = start().await;
    let mut fleet = Vec::new();
    for number in 0..FLEET {
        fleet.push(TestDevice::enroll(&app, &format!("gw-{number}")).await);
    }
    let wild = TestDevice::enroll(&app, "wild").await;
    for _ in 0..FEW {
        wild.check_in().await;
    }
    let wait = sent_away(&check_in(&wild.http).await);
    assert!((1..=4).contains(&wait), "{wait}");
    // Everybody else polls on: in memory, and after a restart, when nobody is.
    for device in &fleet {
        device.check_in().await;
    }
    app.restart(|_| {}).await;
    for number in 0..FEW * 4 {
        let guess = app.stranger().with(format!("otd_guess-{number}"));
        check_in(&guess).await.problem(ProblemCode::Unauthenticated);
    }
    for device in &fleet {
        let moved = app.stranger().with(device.http.secret.clone().unwrap());
        check_in(&moved).await.expect_status(200);
    }
}

#[tokio::test]
async fn a_token_that_is_nobodys_is_not_looked_up_again_and_again() {
    let app = start().await;
    let nobody = app.stranger().with("otd_nobody");
    check_in(&nobody)
        .await
        .problem(ProblemCode::Unauthenticated);
    for _ in 0..FEW {
        check_in(&nobody)
            .await
            .problem(ProblemCode::Unauthenticated);
    }
    assert!(sent_away(&check_in(&nobody).await) >= 1);
}

#[tokio::test]
async fn a_report_does_not_make_a_device_a_new_one() {
    let app = start().await;
    let device = TestDevice::enroll(&app, "gw-1").await;
    for number in 0..FEW {
        // What it says of itself is written, and what is in memory of it renewed.
        let answer = device.try_check_in(json!({"metadata": {"n": number.to_string()}}));
        answer.await.expect_status(200);
    }
    sent_away(&check_in(&device.http).await);
}

async fn enroll_from(app: &TestApp, address: &str, id: &str) -> Answer {
    let key = otter_trust::SecretKey::generate().unwrap();
    let request = enroll_request(id, &key, None);
    let call = app.stranger().request(Method::POST, "/device/v1/enroll");
    let call = call.header("X-Forwarded-For", address).json(&request);
    Answer::of(call.send().await.unwrap()).await
}

#[tokio::test]
async fn enrollments_are_counted_by_address_and_by_name() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |settings| {
        settings.enrollments_per_min = Some(40);
        settings.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
    })
    .await;
    for _ in 0..30 {
        let answer = enroll_from(&app, "192.0.2.1", "wild").await;
        assert_ne!(answer.status, 429, "{}", answer.text());
    }
    sent_away(&enroll_from(&app, "192.0.2.1", "wild").await);
    // Its name is spent, the address has room for the others.
    for number in 0..10 {
        let answer = enroll_from(&app, "192.0.2.1", &format!("gw-{number}")).await;
        answer.expect_status(202);
    }
    let wait = sent_away(&enroll_from(&app, "192.0.2.1", "gw-10").await);
    assert!((1..=13).contains(&wait), "{wait}");
    enroll_from(&app, "192.0.2.2", "gw-10")
        .await
        .expect_status(202);
}
