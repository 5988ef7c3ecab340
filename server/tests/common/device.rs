//! A device with a key of its own.

use otter_protocol::check_in::{
    CheckInReply, EnrollReply, EnrollRequest, Instruction, Offer, ReportReply, enrollment_message,
};
use otter_protocol::{AttemptState, DeviceId, Model};
use otter_trust::SecretKey;
use serde_json::{Value, json};

use super::{Answer, Caller, TestApp};

pub const MODEL: &str = "rpi4";

/// A device that was let in.
pub struct TestDevice {
    pub http: Caller,
    pub version: String,
    sequence: u32,
}

/// What a device asks with to be let in, its key proven.
pub fn enroll_request(id: &str, key: &SecretKey, token: Option<&str>) -> EnrollRequest {
    let id = DeviceId::new(id).unwrap();
    let proof = key.sign(&enrollment_message(&id, token));
    EnrollRequest {
        model: Model::new(MODEL).unwrap(),
        version: "1.0.0".into(),
        public_key: hex(key.public().as_bytes()),
        proof: hex(&proof),
        enrollment_token: token.map(str::to_owned),
        metadata: Default::default(),
        id,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl TestDevice {
    pub async fn enroll(app: &TestApp, id: &str) -> Self {
        let key = SecretKey::generate().unwrap();
        let request = enroll_request(id, &key, Some(&app.enrollment_token));
        let body = serde_json::to_value(request).unwrap();
        let answer = app.stranger().post("/device/v1/enroll", &body).await;
        let EnrollReply::Accepted { device_token } = answer.expect(201) else {
            panic!("not let in: {answer:?}");
        };
        Self::known(app, &device_token)
    }

    /// One that was let in before, with its token.
    pub fn known(app: &TestApp, token: &str) -> Self {
        Self {
            http: app.stranger().with(token),
            version: "1.0.0".to_owned(),
            sequence: 0,
        }
    }

    pub async fn try_check_in(&self, more: Value) -> Answer {
        let mut body = json!({"version": self.version});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.http.post("/device/v1/check-in", &body).await
    }

    pub async fn check_in(&self) -> CheckInReply {
        self.try_check_in(json!({})).await.expect(200)
    }

    /// Checks in and expects to be told to install something.
    pub async fn offer(&self) -> Offer {
        let reply = self.check_in().await;
        let Instruction::Install(offer) = reply.instruction else {
            panic!("nothing to install: {reply:?}");
        };
        offer
    }

    pub async fn try_report(
        &mut self,
        offer: &Offer,
        state: AttemptState,
        message: Option<&str>,
    ) -> Answer {
        self.sequence += 1;
        let report = json!({"sequence": self.sequence, "state": state, "message": message, "version": self.version});
        let path = format!("/device/v1/attempts/{}/reports", offer.attempt);
        self.http.post(&path, &report).await
    }

    /// Reports and expects that it changed something.
    pub async fn report(&mut self, offer: &Offer, state: AttemptState, message: Option<&str>) {
        let reply: ReportReply = self.try_report(offer, state, message).await.expect(200);
        assert_eq!(
            reply,
            ReportReply {
                applied: true,
                state
            }
        );
    }
}
