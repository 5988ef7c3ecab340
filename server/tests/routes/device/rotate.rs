use otter_protocol::check_in::{RotateReply, RotateRequest, rotation_message};
use otter_protocol::{ProblemCode, Sha256Digest};
use otter_trust::SecretKey;
use serde_json::json;

use crate::common::{Answer, Caller, enroll_request, on_each_database};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn rotate(device: &Caller, id: &str, from: &SecretKey, to: &SecretKey) -> Answer {
    let public_key = hex(to.public().as_bytes());
    let token = Sha256Digest::of(device.secret.as_deref().unwrap().as_bytes());
    let message = rotation_message(&id.parse().unwrap(), Some(token), &public_key);
    let request = RotateRequest {
        public_key,
        proof: hex(&from.sign(&message)),
        new_proof: hex(&to.sign(&message)),
    };
    let body = serde_json::to_value(request).unwrap();
    device.post("/device/v1/rotate", &body).await
}

on_each_database! {
    async fn a_device_changes_its_key_and_token_at_once(app: TestApp) {
        let [first, second] = [(); 2].map(|()| SecretKey::generate().unwrap());
        let body = serde_json::to_value(enroll_request("d", &first, Some(&app.enrollment_token))).unwrap();
        let reply: serde_json::Value = app.stranger().post("/device/v1/enroll", &body).await.expect(201);
        let device = app.stranger().with(reply["device_token"].as_str().unwrap());
        let poll = json!({"version": "1"});
        device.post("/device/v1/check-in", &poll).await.expect_status(200);

        rotate(&device, "d", &second, &second).await.problem(ProblemCode::Unauthenticated);
        let RotateReply { device_token } = rotate(&device, "d", &first, &second).await.expect(200);
        device.post("/device/v1/check-in", &poll).await.problem(ProblemCode::Unauthenticated);
        device.with(device_token).post("/device/v1/check-in", &poll).await.expect_status(200);
        app.stranger().post("/device/v1/rotate", &json!({})).await.problem(ProblemCode::Unauthenticated);
    }
}
