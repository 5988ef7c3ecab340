//! Devices that ask to take part.

use ed25519_dalek::{Signer, SigningKey};
use otter_fleet::Fleet;
use otter_protocol::admin::NewEnrollmentToken;
use otter_protocol::check_in::{EnrollReply, EnrollRequest, enrollment_message};
use otter_protocol::{DeviceId, Model};

use super::ann;

/// The model of devices and artifacts in tests.
pub const MODEL: &str = "rpi4";

pub fn id(text: &str) -> DeviceId {
    DeviceId::new(text).unwrap()
}

pub fn model(text: &str) -> Model {
    Model::new(text).unwrap()
}

/// Makes an enrollment whose key comes from a seed.
pub fn enrollment(device: &str, seed: u8, token: Option<&str>) -> EnrollRequest {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let proof = key.sign(&enrollment_message(&id(device), token));
    EnrollRequest {
        id: id(device),
        model: model(MODEL),
        version: "1.0.0".into(),
        public_key: hex::encode(key.verifying_key().as_bytes()),
        proof: hex::encode(proof.to_bytes()),
        enrollment_token: token.map(str::to_owned),
        metadata: [("location".to_owned(), "shop".to_owned())].into(),
    }
}

/// A token that lets anybody in.
pub fn open_token() -> NewEnrollmentToken {
    NewEnrollmentToken {
        name: "for tests".to_owned(),
        quota: None,
        expires_at: None,
        models: vec![],
        group: None,
    }
}

/// Lets a device in; returns its token.
pub async fn enroll(fleet: &Fleet, device: &str) -> String {
    let token = fleet
        .create_enrollment_token(&ann(), &open_token())
        .await
        .unwrap()
        .secret;
    accepted(
        fleet
            .enroll(&enrollment(device, 1, Some(&token)))
            .await
            .unwrap(),
    )
}

/// Returns the device token of an enrollment that succeeded.
#[track_caller]
pub fn accepted(reply: EnrollReply) -> String {
    match reply {
        EnrollReply::Accepted { device_token } => device_token,
        EnrollReply::Pending { .. } => panic!("the device should have been accepted"),
    }
}
