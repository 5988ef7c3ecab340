use std::sync::Arc;

use otter_protocol::ProblemCode;
use otter_protocol::check_in::Instruction;
use otter_server::config::FirmwareApi;
use otter_server::limits::LimitsConfig;
use otter_server::server::Server;
use otter_server::{router, site};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::common::{TestApp, TestDevice, on_each_database};

on_each_database! {
    async fn idle_devices_wait(app: TestApp) {
        let device = TestDevice::enroll(&app, "d").await;
        let reply = device.check_in().await;
        assert_eq!(reply.instruction, Instruction::Wait);
        assert!((1..=120).contains(&reply.next_check_in_sec), "{reply:?}");
    }
}

on_each_database! {
    async fn wrong_and_revoked_tokens_do_not_count(app: TestApp) {
        let device = TestDevice::enroll(&app, "d").await;
        device.check_in().await;
        let stranger = app.stranger().with("otd_0000000000000000000000000000000000000000000");
        let answer = stranger.post("/device/v1/check-in", &json!({"version": "1"})).await;
        answer.problem(ProblemCode::Unauthenticated);
        app.admin().post("/api/v1/devices/d/revoke", &json!({"reason": "stolen"})).await.expect_status(200);
        device.try_check_in(json!({})).await.problem(ProblemCode::Unauthenticated);
    }
}

on_each_database! {
    async fn a_clock_that_is_a_year_off_harms_nothing(app: TestApp) {
        let device = TestDevice::enroll(&app, "d").await;
        for at in ["1970-01-01T00:00:00Z", "2090-01-01T00:00:00Z"] {
            device.try_check_in(json!({"at": at})).await.expect_status(200);
        }
    }
}

on_each_database! {
    async fn what_a_newer_device_says_is_passed_over(app: TestApp) {
        let device = TestDevice::enroll(&app, "d").await;
        let more = json!({"moon_phase": 3, "conditions": {"mood": "good"}, "nested": {"a": [1, 2]}});
        device.try_check_in(more).await.expect_status(200);
    }
}

on_each_database! {
    async fn a_body_of_a_mebibyte_is_refused_and_changes_nothing(app: TestApp) {
        let device = TestDevice::enroll(&app, "d").await;
        let answer = device.try_check_in(json!({"metadata": {"k": "x".repeat(1 << 20)}})).await;
        let problem = answer.problem(ProblemCode::TooLarge);
        assert!(problem.detail.contains("65536"), "{problem:?}");
        device.check_in().await;
    }
}

on_each_database! {
    async fn an_idle_check_in_makes_no_database_call(app: TestApp) {
        let device = TestDevice::enroll(&app, "d").await;
        let quiet = serve_without_engine(&app).await;
        let mut device = device;
        device.http.url = quiet.0.clone();
        // What the device says for the first time is written.
        device.check_in().await;
        device.check_in().await;
        // The engine of the app itself must not be counted.
        let before = quiet.1.database_statements();
        for _ in 0..100 {
            assert_eq!(device.check_in().await.instruction, Instruction::Wait);
        }
        assert_eq!(quiet.1.database_statements() - before, 0);
    }
}

/// Serves the same database with a fleet of its own whose engine doesn't run, so that only requests are counted.
pub(crate) async fn serve_without_engine(app: &TestApp) -> (String, otter_fleet::Fleet) {
    let fleet = otter_fleet::Fleet::open(app.fleet.config().clone())
        .await
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}");
    let server = Server::new(
        fleet.clone(),
        url.parse().unwrap(),
        site::leptos_options(address),
        LimitsConfig::default(),
        FirmwareApi::default(),
        CancellationToken::new(),
    );
    let serving = axum::serve(listener, router::router(server));
    tokio::spawn(async move { serving.await });
    (url, fleet)
}

on_each_database! {
    async fn many_devices_at_once_are_all_answered(app: TestApp) {
        let mut devices = Vec::new();
        for number in 0..20 {
            devices.push(TestDevice::enroll(&app, &format!("d{number}")).await);
        }
        let devices = Arc::new(devices);
        let polls = (0..200).map(|number| {
            let devices = devices.clone();
            tokio::spawn(async move { devices[number % 20].try_check_in(json!({})).await.status })
        });
        for status in futures::future::join_all(polls).await {
            assert_eq!(status.unwrap(), 200);
        }
    }
}
