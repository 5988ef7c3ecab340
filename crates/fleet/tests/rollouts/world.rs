//! Devices that speak as real ones do, and rollouts for them.

use otter_fleet::Fleet;
use otter_protocol::check_in::{CheckIn, CheckInReply, Instruction, Offer};
use otter_protocol::rollout::{Rollout, RolloutSpec};
use otter_protocol::{AttemptId, AttemptReport, AttemptState, DeviceId, ReleaseId, Version};

use crate::common::devices::{enroll, id};
use crate::common::publisher::Publisher;
use crate::common::{World, ann};

/// A device as the test plays it.
pub(crate) struct TestDevice {
    pub(crate) id: DeviceId,
    pub(crate) token: String,
    pub(crate) version: Version,
    pub(crate) attempt: Option<Offer>,
    sequence: u32,
}

/// Lets so many devices in, all on 1.0.0.
pub(crate) async fn enroll_many(world: &World, count: usize) -> Vec<TestDevice> {
    let mut devices = Vec::new();
    for number in 0..count {
        let name = format!("device-{number:03}");
        let token = enroll(&world.fleet, &name).await;
        devices.push(TestDevice {
            id: id(&name),
            token,
            version: "1.0.0".into(),
            attempt: None,
            sequence: 0,
        });
    }
    devices
}

/// Publishes 1.1.0.
pub(crate) async fn publish(world: &World) -> ReleaseId {
    Publisher::set_up(world)
        .await
        .publish(world, "1.1.0")
        .await
        .id
}

/// Publishes 1.1.0 and begins a rollout of it; `more` is merged over a plain specification in three phases.
pub(crate) async fn roll_out(world: &World, more: serde_json::Value) -> Rollout {
    let release = publish(world).await;
    world
        .fleet
        .create_rollout(&ann(), &spec(release, more), false)
        .await
        .unwrap()
}

/// One phase for everybody, with a gate.
pub(crate) fn at_once(gate: serde_json::Value) -> serde_json::Value {
    serde_json::json!([{"name": "all", "scope": {"kind": "share", "share": 100.0}, "gate": gate}])
}

/// Lets the engine look, however lately it counted.
pub(crate) async fn engine_looks(world: &World) {
    world.fleet.count_anew();
    world.fleet.advance().await.unwrap();
}

pub(crate) fn spec(release: ReleaseId, more: serde_json::Value) -> RolloutSpec {
    let phase = |name: &str, share: f64| serde_json::json!({"name": name, "scope": {"kind": "share", "share": share}, "gate": {}});
    let mut spec = serde_json::json!({
        "name": "test",
        "release": release,
        "phases": [phase("canary", 5.0), phase("pilot", 25.0), phase("all", 100.0)],
    });
    if let (Some(spec), serde_json::Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    serde_json::from_value(spec).unwrap()
}

impl TestDevice {
    /// Checks in and remembers what it is offered.
    pub(crate) async fn check_in(&mut self, fleet: &Fleet) -> CheckInReply {
        let known = fleet.device_by_token(&self.token).await.unwrap();
        let attempt = self.attempt.as_ref().map(|offer| offer.attempt);
        let check_in = CheckIn {
            version: self.version.clone(),
            attempt,
            ..CheckIn::default()
        };
        let reply = fleet.check_in(&known, check_in).await.unwrap();
        match &reply.instruction {
            Instruction::Install(offer) => {
                if attempt != Some(offer.attempt) {
                    self.sequence = 0;
                }
                self.attempt = Some(offer.clone());
            }
            Instruction::Cancel { .. } | Instruction::Wait => {}
        }
        reply
    }

    pub(crate) fn report_of(
        &mut self,
        state: AttemptState,
        message: Option<&str>,
    ) -> (AttemptId, AttemptReport) {
        self.sequence += 1;
        let report = AttemptReport {
            sequence: self.sequence,
            state,
            progress: None,
            message: message.map(str::to_owned),
            version: Some(self.version.clone()),
            at: None,
        };
        (self.attempt.as_ref().unwrap().attempt, report)
    }

    pub(crate) async fn report(
        &mut self,
        fleet: &Fleet,
        state: AttemptState,
        message: Option<&str>,
    ) {
        if state == AttemptState::Succeeded {
            self.version = self.attempt.as_ref().unwrap().version.clone();
        }
        let (attempt, report) = self.report_of(state, message);
        let known = fleet.device_by_token(&self.token).await.unwrap();
        assert!(
            fleet
                .report(&known, attempt, &report)
                .await
                .unwrap()
                .applied
        );
        if state.is_finished() {
            self.attempt = None;
        }
    }

    /// Updates, if it is offered something; tells whether it was.
    pub(crate) async fn update(&mut self, fleet: &Fleet) -> bool {
        let is_offered = matches!(
            self.check_in(fleet).await.instruction,
            Instruction::Install(_)
        );
        if is_offered {
            self.report(fleet, AttemptState::Downloading, None).await;
            self.report(fleet, AttemptState::Succeeded, None).await;
        }
        is_offered
    }
}
