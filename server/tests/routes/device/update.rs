//! A device's whole way from one version to the next, and back.

use otter_protocol::admin::{DeviceDetail, RolloutDetail};
use otter_protocol::check_in::{Instruction, Offer};
use otter_protocol::rollout::RolloutState;
use otter_protocol::{AttemptState, Sha256Digest};
use serde_json::{Value, json};

use crate::common::{Publisher, TestApp, TestDevice, eventually, on_each_database};

/// Takes an offer up to the moment at which the new version has to prove itself.
async fn install(device: &mut TestDevice, offer: &Offer) {
    let busy = device.try_check_in(json!({"attempt": offer.attempt})).await;
    let busy: Value = busy.expect(200);
    assert_ne!(busy["decision"], "cancel");
    for state in [
        AttemptState::Downloading,
        AttemptState::Downloaded,
        AttemptState::Installing,
        AttemptState::Rebooting,
        AttemptState::Verifying,
    ] {
        device.report(offer, state, None).await;
    }
}

async fn rollout(app: &TestApp, id: i64) -> RolloutDetail {
    app.viewer()
        .get(&format!("/api/v1/rollouts/{id}"))
        .await
        .expect(200)
}

on_each_database! {
    async fn from_enrollment_to_success(app: TestApp) {
        let mut device = TestDevice::enroll(&app, "d").await;
        assert_eq!(device.check_in().await.instruction, Instruction::Wait);
        let mut publisher = Publisher::new(&app).await;
        let id = publisher.roll_out(&app, "2.0.0", b"the new version").await;
        let offer = device.offer().await;
        assert_eq!((offer.version.as_str(), offer.release_counter), ("2.0.0", 1));
        assert_eq!(device.offer().await.attempt, offer.attempt, "an offer stands until it is taken");

        let artifact = device.http.get(&offer.artifact.url).await;
        assert_eq!(Sha256Digest::of(&artifact.body), offer.artifact.sha256);
        assert_eq!(artifact.body.len() as u64, offer.artifact.size);
        install(&mut device, &offer).await;
        device.version = "2.0.0".to_owned();
        device.report(&offer, AttemptState::Succeeded, None).await;
        assert_eq!(device.check_in().await.instruction, Instruction::Wait);

        let detail: DeviceDetail = app.viewer().get("/api/v1/devices/d").await.expect(200);
        assert_eq!(detail.summary.version.as_str(), "2.0.0");
        assert_eq!(detail.attempts[0].summary.state, AttemptState::Succeeded);
        assert_eq!(detail.attempts[0].steps.len(), 6);
        eventually("the rollout's completion", async || {
            let detail = rollout(&app, id).await;
            (detail.summary.rollout.state == RolloutState::Completed).then_some(())
        })
        .await;
        let check: Value = app.viewer().post("/api/v1/audit/verify", &json!({})).await.expect(200);
        assert_eq!(check["broken_at"], Value::Null);
    }
}

on_each_database! {
    async fn a_version_that_does_not_come_up_is_left_again(app: TestApp) {
        let mut device = TestDevice::enroll(&app, "d").await;
        let mut publisher = Publisher::new(&app).await;
        let id = publisher.roll_out(&app, "2.0.0", b"the broken version").await;
        let offer = device.offer().await;
        install(&mut device, &offer).await;
        let why = "health check http: connection refused";
        device.report(&offer, AttemptState::RolledBack, Some(why)).await;
        let reply = device.check_in().await;
        assert_eq!(reply.instruction, Instruction::Wait, "it is not offered the same again");

        let detail: DeviceDetail = app.viewer().get("/api/v1/devices/d").await.expect(200);
        assert_eq!(detail.summary.version.as_str(), "1.0.0");
        let attempt = &detail.attempts[0].summary;
        assert_eq!((attempt.state, attempt.message.as_deref()), (AttemptState::RolledBack, Some(why)));
        let rollout = rollout(&app, id).await;
        assert_eq!(rollout.summary.total.rolled_back, 1);
        assert_eq!(rollout.failure_reasons[0].reason, why);
    }
}

on_each_database! {
    async fn an_aborted_rollout_takes_its_offers_back(app: TestApp) {
        let mut device = TestDevice::enroll(&app, "d").await;
        let mut publisher = Publisher::new(&app).await;
        let id = publisher.roll_out(&app, "2.0.0", b"new").await;
        let offer = device.offer().await;
        device.report(&offer, AttemptState::Downloading, None).await;
        let abort = format!("/api/v1/rollouts/{id}/abort");
        app.operator().post(&abort, &json!({"reason": "wrong release"})).await.expect_status(200);
        let reply: Value = device.try_check_in(json!({"attempt": offer.attempt})).await.expect(200);
        assert_eq!(reply["decision"], "cancel");
        assert_eq!(reply["attempt"], json!(offer.attempt));
        let answer = device.try_report(&offer, AttemptState::Cancelled, None).await;
        answer.expect_status(200);
        assert_eq!(device.check_in().await.instruction, Instruction::Wait);
    }
}
