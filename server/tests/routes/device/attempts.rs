use axum::http::Method;
use otter_protocol::admin::DeviceDetail;
use otter_protocol::check_in::ReportReply;
use otter_protocol::{AttemptState, ProblemCode};
use serde_json::json;

use crate::common::{Answer, Publisher, TestApp, TestDevice, on_each_database};

async fn offered(app: &TestApp) -> (TestDevice, otter_protocol::check_in::Offer) {
    // First the device: a rollout for nobody is over at once.
    let device = TestDevice::enroll(app, "d").await;
    let mut publisher = Publisher::new(app).await;
    publisher.roll_out(app, "2.0.0", b"new").await;
    let offer = device.offer().await;
    (device, offer)
}

async fn state(app: &TestApp, id: &str) -> AttemptState {
    let detail: DeviceDetail = app
        .viewer()
        .get(&format!("/api/v1/devices/{id}"))
        .await
        .expect(200);
    detail.attempts[0].summary.state
}

on_each_database! {
    async fn another_devices_attempt_is_none_of_its_business(app: TestApp) {
        let (_, offer) = offered(&app).await;
        let mut other = TestDevice::enroll(&app, "other").await;
        let answer = other.try_report(&offer, AttemptState::Failed, Some("mine now")).await;
        answer.problem(ProblemCode::NotFound);
        let path = format!("/device/v1/attempts/{}/log", offer.attempt);
        other.http.put_bytes(&path, "forged").await.problem(ProblemCode::NotFound);
        assert_eq!(state(&app, "d").await, AttemptState::Offered);
        let log = format!("/api/v1/attempts/{}/log", offer.attempt);
        app.viewer().get(&log).await.problem(ProblemCode::NotFound);
    }
}

on_each_database! {
    async fn reports_that_are_repeated_or_late_change_nothing(app: TestApp) {
        let (mut device, offer) = offered(&app).await;
        device.report(&offer, AttemptState::Downloading, None).await;
        device.report(&offer, AttemptState::Installing, None).await;
        let path = format!("/device/v1/attempts/{}/reports", offer.attempt);
        for (sequence, said) in [(2, "installing"), (1, "downloading"), (3, "downloading")] {
            let reply: ReportReply =
                device.http.post(&path, &json!({"sequence": sequence, "state": said})).await.expect(200);
            assert_eq!(reply, ReportReply { applied: false, state: AttemptState::Installing });
        }
    }
}

on_each_database! {
    async fn reports_that_can_not_be_are_refused(app: TestApp) {
        let (device, offer) = offered(&app).await;
        let path = format!("/device/v1/attempts/{}/reports", offer.attempt);
        for report in [
            json!({"sequence": 1, "state": "timed_out"}),
            json!({"sequence": 1, "state": "downloading", "progress": 101}),
            json!({"sequence": 1, "state": "succeeded", "version": "1.0.0"}),
            json!({"sequence": 1, "state": "succeeded"}),
            json!({"sequence": 1, "state": "flying"}),
            json!({"state": "downloading"}),
        ] {
            device.http.post(&path, &report).await.problem(ProblemCode::InvalidRequest);
        }
        let large = json!({"sequence": 1, "state": "downloading", "message": "x".repeat(1 << 20)});
        device.http.post(&path, &large).await.problem(ProblemCode::TooLarge);
        assert_eq!(state(&app, "d").await, AttemptState::Offered);
    }
}

on_each_database! {
    async fn a_log_is_kept_and_a_later_one_takes_its_place(app: TestApp) {
        let (device, offer) = offered(&app).await;
        let path = format!("/device/v1/attempts/{}/log", offer.attempt);
        let read = format!("/api/v1/attempts/{}/log", offer.attempt);
        for log in ["first", "second: ü\nand more"] {
            device.http.put_bytes(&path, log).await.expect_status(204);
            let answer = app.viewer().get(&read).await;
            assert_eq!(answer.text(), log);
            assert!(answer.header("content-type").starts_with("text/plain"));
        }
        let json = device.http.request(Method::PUT, &path).json(&json!({}));
        Answer::of(json.send().await.unwrap()).await.problem(ProblemCode::UnsupportedMediaType);
        device.http.put_bytes(&path, vec![b'x'; (1 << 20) + 1]).await.problem(ProblemCode::TooLarge);
        assert_eq!(app.viewer().get(&read).await.text(), "second: ü\nand more");
    }
}
