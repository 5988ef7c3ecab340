use otter_protocol::ProblemCode;
use otter_protocol::admin::{DeviceSummary, KeysDecided, WaitingKey};
use otter_protocol::check_in::EnrollReply;
use otter_protocol::device::DeviceState;
use otter_trust::SecretKey;
use serde_json::{Value, json};

use crate::common::{Answer, TestApp, TestDevice, enroll_request, on_each_database};

async fn enroll(app: &TestApp, id: &str, key: &SecretKey, token: Option<&str>) -> Answer {
    let body = serde_json::to_value(enroll_request(id, key, token)).unwrap();
    app.stranger().post("/device/v1/enroll", &body).await
}

on_each_database! {
    async fn a_token_lets_a_device_in_at_once(app: TestApp) {
        let device = TestDevice::enroll(&app, "gate-7").await;
        device.check_in().await;
        let summary: DeviceSummary = app.viewer().get("/api/v1/devices/gate-7").await.expect(200);
        assert_eq!(summary.state, DeviceState::Accepted);
    }
}

on_each_database! {
    async fn without_a_token_an_operator_has_to_accept_the_key(app: TestApp) {
        let key = SecretKey::generate().unwrap();
        let reply: EnrollReply = enroll(&app, "d", &key, None).await.expect(202);
        assert!(matches!(reply, EnrollReply::Pending { .. }), "{reply:?}");
        let accepted: DeviceSummary = app.operator().post("/api/v1/devices/d/accept", &json!({})).await.expect(200);
        assert_eq!(accepted.state, DeviceState::Accepted);
        let reply: EnrollReply = enroll(&app, "d", &key, None).await.expect(201);
        let EnrollReply::Accepted { device_token } = reply else { panic!("{reply:?}") };
        let device = app.stranger().with(device_token);
        device.post("/device/v1/check-in", &json!({"version": "1"})).await.expect_status(200);
    }
}

on_each_database! {
    async fn another_key_for_a_known_device_waits_and_can_be_accepted(app: TestApp) {
        let device = TestDevice::enroll(&app, "d").await;
        let other = SecretKey::generate().unwrap();
        let token = app.enrollment_token.clone();
        for _ in 0..2 {
            enroll(&app, "d", &other, Some(&token)).await.expect_status(202);
        }
        device.check_in().await;
        let waiting: Vec<WaitingKey> = app.viewer().get("/api/v1/devices/waiting-keys").await.expect(200);
        assert_eq!(waiting.len(), 1);
        let decisions = json!({"devices": [
            {"id": "d", "fingerprint": waiting[0].fingerprint},
            {"id": "e", "fingerprint": waiting[0].fingerprint},
        ]});
        app.viewer().post("/api/v1/devices/accept", &decisions).await.problem(ProblemCode::Forbidden);
        let done: KeysDecided = app.operator().post("/api/v1/devices/accept", &decisions).await.expect(200);
        assert_eq!((done.decided.len(), done.failed.len()), (1, 1));
        device.try_check_in(json!({})).await.problem(ProblemCode::Unauthenticated);
        enroll(&app, "d", &other, None).await.expect_status(201);
    }
}

on_each_database! {
    async fn what_proves_nothing_lets_nobody_in(app: TestApp) {
        let key = SecretKey::generate().unwrap();
        enroll(&app, "d", &key, Some("ote_made-up")).await.problem(ProblemCode::Unauthenticated);
        let mut forged = serde_json::to_value(enroll_request("d", &key, Some(&app.enrollment_token))).unwrap();
        forged["id"] = json!("someone-else");
        app.stranger().post("/device/v1/enroll", &forged).await.problem(ProblemCode::Unauthenticated);
        let page: Value = app.viewer().get("/api/v1/devices").await.expect(200);
        assert_eq!(page["items"], json!([]));
    }
}
