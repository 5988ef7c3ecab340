//! A fleet that lives on a clock of its own: who comes when, and what holds at every moment.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use otter_fleet::Fleet;
use otter_protocol::admin::RolloutDetail;
use otter_protocol::check_in::{CheckIn, Instruction};
use otter_protocol::rollout::{Rollout, RolloutSpec};
use otter_protocol::{AttemptId, AttemptState, RolloutId, Timestamp};

use crate::common::devices::{accepted, enrollment, open_token};
use crate::common::{World, ann};
use crate::device::{Nature, SimulatedDevice};

/// A fleet with its devices.
pub(crate) struct SimulatedFleet<'w> {
    pub(crate) world: &'w World,
    pub(crate) server: Fleet,
    pub(crate) devices: Vec<SimulatedDevice>,
    /// Who is due when: time in milliseconds, place in `devices`.
    due: BinaryHeap<Reverse<(i64, usize)>>,
    pub(crate) rollout: Rollout,
    /// Attempts that are under way, by their devices' and the server's word.
    open: HashSet<AttemptId>,
    /// When attempts began, with the phase that was open.
    pub(crate) begun: Vec<(Timestamp, u32)>,
    /// Who watches at each beginning.
    pub(crate) watch: fn(&Self, Timestamp),
    next_engine: i64,
    next_count: i64,
}

/// How often the engine looks, in milliseconds of the simulated clock.
const ENGINE_MS: i64 = 120_000;

/// How often devices are counted over the whole fleet.
const COUNT_MS: i64 = 7_200_000;

/// Lets devices in, with what each is like.
pub(crate) async fn enroll_all(
    world: &World,
    natures: &[Nature],
    name: &str,
) -> Vec<SimulatedDevice> {
    let token = world
        .fleet
        .create_enrollment_token(&ann(), &open_token())
        .await
        .unwrap()
        .secret;
    let mut devices = Vec::new();
    for (number, nature) in natures.iter().enumerate() {
        let request = enrollment(&format!("{name}-{number:05}"), 1, Some(&token));
        let token = accepted(world.fleet.enroll(&request).await.unwrap());
        devices.push(SimulatedDevice::new(token, *nature));
    }
    devices
}

impl<'w> SimulatedFleet<'w> {
    /// Begins a rollout for devices that come for the first time within an interval.
    pub(crate) async fn begin(
        world: &'w World,
        devices: Vec<SimulatedDevice>,
        spec: &RolloutSpec,
    ) -> Self {
        let rollout = world
            .fleet
            .create_rollout(&ann(), spec, false)
            .await
            .unwrap();
        let interval = i64::from(world.fleet.config().check_in_interval_sec) * 1000;
        let count = devices.len().max(1) as i64;
        let first = |place: usize| world.now().0 + place as i64 * interval / count;
        let due = (0..devices.len())
            .map(|place| Reverse((first(place), place)))
            .collect();
        Self {
            world,
            server: world.fleet.clone(),
            devices,
            due,
            rollout,
            open: HashSet::new(),
            begun: Vec::new(),
            watch: |_, _| {},
            next_engine: 0,
            next_count: 0,
        }
    }

    pub(crate) async fn detail(&self) -> RolloutDetail {
        self.server.rollout(self.rollout.id).await.unwrap()
    }

    /// Attempts under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.open.len()
    }

    /// Attempts under way as the server's memory has it: what it grants by.
    pub(crate) fn in_flight_by_the_server(&self) -> u64 {
        let plan = self.server.plan();
        plan.rollout(self.rollout.id)
            .map_or(0, |planned| planned.load.in_flight())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// Lives until a moment, or until the rollout is over; tells whether it is.
    pub(crate) async fn live_until(&mut self, end: Timestamp) -> bool {
        while let Some(Reverse((at, place))) = self.due.peek().copied() {
            if at > end.0 {
                break;
            }
            self.engine_until(at).await;
            if self.is_over() && self.is_quiet().await {
                return true;
            }
            self.due.pop();
            self.set_clock(at);
            if let Some(next) = self.act(place).await {
                self.due.push(Reverse((next.0.max(at + 1), place)));
            }
        }
        self.engine_until(end.0).await;
        self.is_over()
    }

    fn is_over(&self) -> bool {
        self.server.plan().rollout(self.rollout.id).is_none()
    }

    /// Tells whether the server waits for no attempt's end.
    async fn is_quiet(&self) -> bool {
        let summary = self.detail().await.summary;
        let back = summary.way_back.unwrap_or_default();
        summary.total.under_way + back.under_way == 0
    }

    fn set_clock(&self, at: i64) {
        let ahead = at - self.world.now().0;
        if ahead > 0 {
            self.world.pass_ms(ahead);
        }
    }

    /// Lets the engine look at each of its times up to a moment.
    async fn engine_until(&mut self, at: i64) {
        while self.next_engine <= at {
            self.set_clock(self.next_engine.max(self.world.now().0));
            if self.next_count <= self.next_engine {
                self.write_presence().await;
                self.server.count_anew();
                self.next_count = self.next_engine + COUNT_MS;
            }
            self.server.advance().await.unwrap();
            self.next_engine = self.world.now().0 + ENGINE_MS;
        }
    }

    /// Has the server write when devices were seen, as it does at its end.
    async fn write_presence(&self) {
        let stop = tokio_util::sync::CancellationToken::new();
        stop.cancel();
        self.server.run(stop).await;
    }

    /// Lets a device do what is due; returns when it comes again.
    async fn act(&mut self, place: usize) -> Option<Timestamp> {
        let now = self.world.now();
        if let Some((_, report)) = {
            let script = &mut self.devices[place].script;
            let is_due = script.first().is_some_and(|(at, _)| *at <= now);
            is_due.then(|| script.remove(0))
        } {
            self.say(place, report).await;
        } else {
            let sec = self.poll(place, now).await;
            if self.devices[place].script.is_empty() {
                return (!self.devices[place].is_gone).then(|| now.plus_sec(sec.into()));
            }
        }
        let device = &self.devices[place];
        match device.script.first() {
            Some((at, _)) => Some(*at),
            None => (!device.is_gone).then(|| now.plus_sec(30)),
        }
    }

    async fn say(&mut self, place: usize, report: otter_protocol::AttemptReport) {
        let device = &mut self.devices[place];
        let Some(offer) = device.offer.clone() else {
            return;
        };
        let known = self.server.device_by_token(&device.token).await.unwrap();
        let reply = self.server.report(&known, offer.attempt, &report).await;
        // A lie is refused, and says nothing.
        let Ok(reply) = reply else {
            assert_eq!(device.nature, Nature::Lying, "{reply:?}");
            return;
        };
        if reply.state.is_finished() {
            self.open.remove(&offer.attempt);
        }
        let installs_late =
            device.nature == Nature::Late && report.state == AttemptState::Succeeded;
        if installs_late && !reply.applied {
            // The server gave it up, the device didn't know.
            device.version = offer.version;
            return;
        }
        if !reply.applied {
            return;
        }
        if reply.state == AttemptState::Succeeded {
            device.version = offer.version;
            device.succeeded += 1;
        }
    }

    async fn poll(&mut self, place: usize, now: Timestamp) -> u32 {
        let deadline = self.rollout.spec.attempt_deadline_sec;
        let device = &mut self.devices[place];
        let known = self.server.device_by_token(&device.token).await.unwrap();
        let check_in = CheckIn {
            version: device.version.clone(),
            metadata: Some(device.metadata.clone()),
            attempt: device.offer.as_ref().map(|offer| offer.attempt),
            ..CheckIn::default()
        };
        let reply = self.server.check_in(&known, check_in).await.unwrap();
        match reply.instruction {
            Instruction::Install(offer) => {
                let is_new = device
                    .offer
                    .as_ref()
                    .is_none_or(|known| known.attempt != offer.attempt);
                let attempt = offer.attempt;
                device.take(offer, now, deadline);
                if is_new {
                    self.open.insert(attempt);
                    let plan = self.server.plan();
                    let open = plan.rollout(self.rollout.id);
                    let phase = open.map_or(0, |planned| planned.rollout.current_phase);
                    self.begun.push((now, phase));
                    (self.watch)(self, now);
                }
            }
            Instruction::Cancel { .. } => device.drop_offer(),
            Instruction::Wait => {
                if device.script.is_empty() {
                    device.drop_offer();
                }
            }
        }
        reply.next_check_in_sec
    }

    /// Checks what must hold once everything is over: every story has its end, and the counts are the devices' own.
    pub(crate) async fn check_end(&self) {
        let detail = self.detail().await;
        let total = detail.summary.total;
        assert_eq!(total.under_way, 0, "{total:?}");
        let open = self
            .world
            .texts("SELECT CAST(count(*) AS text) FROM attempts WHERE finished_at IS NULL")
            .await;
        assert_eq!(open, ["0"], "every attempt has its end");
        let succeeded: u32 = self.devices.iter().map(|device| device.succeeded).sum();
        let back = detail.summary.way_back.unwrap_or_default().succeeded;
        assert_eq!(
            total.succeeded + total.stepped + back,
            u64::from(succeeded),
            "successes by the server's count and by the devices' own"
        );
        self.check_phases();
    }

    /// Phases only ever follow each other.
    fn check_phases(&self) {
        let phases: Vec<u32> = self.begun.iter().map(|(_, phase)| *phase).collect();
        assert!(phases.is_sorted(), "a phase came back");
    }
}

/// Returns a specification from JSON.
pub(crate) fn spec_of(json: serde_json::Value) -> RolloutSpec {
    serde_json::from_value(json).unwrap()
}

/// What the database holds of a rollout's attempts under way.
pub(crate) async fn under_way(fleet: &Fleet, id: RolloutId) -> u64 {
    fleet.rollout(id).await.unwrap().summary.total.under_way
}
