//! The clock that drives a server and its devices, from one thing that happens to the next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use otter_protocol::device::{Conditions, Device, DeviceState, Dialect};
use otter_protocol::gate::Tally;
use otter_protocol::group::Group;
use otter_protocol::id::{Model, RolloutId};
use otter_protocol::plan::{Load, PhaseLoad, Plan};
use otter_protocol::release::{Artifact, ArtifactKind, Release, ReleaseState};
use otter_protocol::rollout::{Rollout, RolloutSpec, RolloutState};
use otter_protocol::{AttemptId, AttemptReport, ReleaseId, Sha256Digest, Timestamp, Version};

use crate::inputs::{Input, Order, RINGS, device_id, ring};
use crate::server::{Answer, Live, Server};
use crate::things::{Behaviour, Dice, Thing};

/// 2026-03-27T00:00:00Z: two days before Europe's clocks go forward.
const BEGIN: Timestamp = Timestamp(1_774_569_600_000);

/// How long a world is watched, in minutes.
const WATCHED_MIN: i64 = 6 * 1440;

/// How long a world may take to come to its end, in minutes.
const LONGEST_MIN: i64 = 30 * 1440;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Order(usize),
    Joins(usize),
    /// A report that is due, by its place.
    Sends(usize, usize),
    Polls(usize),
    Tick,
}

pub(crate) struct World {
    input: Input,
    server: Server,
    things: Vec<Thing>,
    reports: Vec<(AttemptId, AttemptReport)>,
    queue: BinaryHeap<Reverse<(Timestamp, Event)>>,
    dice: Dice,
}

fn minutes(minutes: i64) -> Timestamp {
    Timestamp(BEGIN.0 + minutes * 60_000)
}

fn release(id: i64, version: &str, min_version: Option<&str>) -> Arc<Release> {
    let artifact = Artifact {
        sha256: Sha256Digest([u8::try_from(id).unwrap(); 32]),
        size: 1000,
        kind: ArtifactKind::Bundle,
        models: vec![model()],
    };
    Arc::new(Release {
        id: ReleaseId(id),
        version: version.into(),
        notes: String::new(),
        state: ReleaseState::Published,
        min_version: min_version.map(Version::from),
        min_bootloader_version: None,
        required: false,
        release_counter: Some(1),
        artifacts: vec![artifact],
        created_at: BEGIN,
        published_at: Some(BEGIN),
        says_signed: false,
    })
}

fn model() -> Model {
    Model::new("rpi4").unwrap()
}

fn live(number: i64, spec: RolloutSpec, releases: &[Arc<Release>]) -> Live {
    spec.check().unwrap();
    let phases = spec.phases.len() + 1;
    let release = releases.iter().find(|release| release.id == spec.release);
    Live {
        release: release.unwrap().clone(),
        rollout: Rollout {
            id: RolloutId(number),
            spec,
            state: RolloutState::Scheduled,
            state_reason: None,
            current_phase: 0,
            sampled_at: None,
            created_at: BEGIN,
            created_by: "user:a".into(),
            started_at: None,
            finished_at: None,
            approved_by: None,
            gate_approved_by: None,
            retried_upto: None,
            takes_back: false,
        },
        tallies: vec![Tally::default(); phases],
        load: Load {
            phases: vec![PhaseLoad::default(); phases],
            next_grant_at: None,
        },
        forgiven: Tally::default(),
        is_stale: true,
        since: BEGIN,
        phase_since: BEGIN,
    }
}

impl World {
    pub(crate) fn new(input: Input) -> Self {
        let needed = input.needs_step.then_some("1.5.0");
        let releases = vec![
            release(1, "1.0.0", None),
            release(4, "1.5.0", None),
            release(2, "2.0.0", needed),
            release(3, "3.0.0", None),
        ];
        let groups = (0..RINGS.len()).map(|place| Group {
            name: ring(place),
            description: String::new(),
            selector: None,
            window: input.ring_window.clone().filter(|_| place == 0),
        });
        let lives = input.specs.iter().zip(1..);
        let mut server = Server {
            devices: Vec::new(),
            failures_in_row: Vec::new(),
            attempts: Vec::new(),
            open: Default::default(),
            lives: lives
                .map(|(spec, number)| live(number, spec.clone(), &releases))
                .collect(),
            releases,
            groups: groups.collect(),
            plan: Plan::default(),
            plan_at: BEGIN,
            stale_min: input.stale_min,
        };
        server.renew_plan(BEGIN);
        let mut queue = BinaryHeap::from([Reverse((minutes(1), Event::Tick))]);
        let mut things = input.things.clone();
        things.sort_by_key(|thing| thing.joins_min);
        for (place, thing) in things.iter().enumerate() {
            queue.push(Reverse((minutes(thing.joins_min), Event::Joins(place))));
        }
        for (place, (minute, _, _)) in input.orders.iter().enumerate() {
            queue.push(Reverse((minutes(*minute), Event::Order(place))));
        }
        Self {
            dice: Dice(input.seed),
            server,
            things: things.into_iter().map(Thing::new).collect(),
            reports: Vec::new(),
            queue,
            input,
        }
    }

    /// Lets some days pass.
    pub(crate) fn run(mut self) {
        self.run_until(WATCHED_MIN);
    }

    /// Lets time pass until every rollout is over.
    pub(crate) fn run_to_the_end(mut self) {
        self.run_until(LONGEST_MIN);
        for live in &self.server.lives {
            let state = live.rollout.state;
            assert!(
                state.is_over(),
                "{state} for ever: {live:?} {:?}",
                self.things
            );
        }
        self.check_the_good();
    }

    fn run_until(&mut self, end: i64) {
        while let Some(Reverse((now, event))) = self.queue.pop() {
            let is_over = |live: &Live| live.rollout.state.is_over();
            let is_done = self.server.lives.iter().all(is_over) && self.server.open.is_empty();
            if now > minutes(end) || is_done {
                return;
            }
            match event {
                Event::Order(place) => self.order(place, now),
                Event::Joins(place) => self.join(place, now),
                Event::Sends(place, report) => self.send(place, report, now),
                Event::Polls(place) => self.poll(place, now),
                Event::Tick => self.tick(now),
            }
        }
    }

    fn order(&mut self, place: usize, now: Timestamp) {
        let (_, rollout, order) = self.input.orders[place];
        let rollout = rollout % self.server.lives.len();
        self.server.obey(rollout, order, now);
    }

    fn join(&mut self, place: usize, now: Timestamp) {
        let input = &self.things[place].input;
        let side = if place.is_multiple_of(2) {
            "left"
        } else {
            "right"
        };
        assert_eq!(self.server.devices.len(), place, "they join in order");
        self.server.devices.push(Device {
            id: device_id(self.input.seed, place),
            model: model(),
            version: input.runs.into(),
            bootloader_version: None,
            state: DeviceState::Accepted,
            enrolled_at: now,
            dialect: Dialect::Native,
            hold: None,
            group: input.ring.map(ring),
            labels: [("side".to_owned(), side.to_owned())].into(),
            metadata: Default::default(),
            conditions: Conditions::default(),
            attempt: None,
            past: Default::default(),
        });
        self.server.failures_in_row.push(0);
        self.server
            .lives
            .iter_mut()
            .for_each(|live| live.is_stale = true);
        self.queue.push(Reverse((now, Event::Polls(place))));
    }

    fn tick(&mut self, now: Timestamp) {
        if let Some(patience) = self.input.attended_min {
            self.attend(patience, now);
        }
        self.server.tick(now);
        let next = Timestamp(now.0 + self.input.tick_min * 60_000);
        self.queue.push(Reverse((next, Event::Tick)));
    }

    /// Somebody looks after what waits for a person.
    fn attend(&mut self, patience: i64, now: Timestamp) {
        for at in 0..self.server.lives.len() {
            let live = &self.server.lives[at];
            let waits = |since: Timestamp| now.0 - since.0 > patience * 60_000;
            match live.rollout.state {
                RolloutState::Paused if waits(live.since) => {
                    self.server.obey(at, Order::Resume, now);
                }
                RolloutState::Running if waits(live.phase_since) => {
                    self.server.obey(at, Order::ApproveGate, now);
                }
                _ => {}
            }
        }
    }

    fn poll(&mut self, place: usize, now: Timestamp) {
        let thing = &mut self.things[place];
        let minute = (now.0 - BEGIN.0) / 60_000;
        if thing.is_gone {
            return;
        }
        let next = Timestamp(now.0 + thing.input.poll_min * 60_000);
        self.queue.push(Reverse((next, Event::Polls(place))));
        if !thing.is_online(minute) {
            return;
        }
        let is_sick = thing.input.behaviour == Behaviour::Sickly && thing.tries > 0;
        let conditions = Conditions {
            battery_percent: thing.input.battery_percent,
            time_zone: thing.input.zone.map(str::to_owned),
            is_healthy: is_sick.then_some(false),
            ..Conditions::default()
        };
        let version = thing.version.clone();
        match self.server.check_in(place, &version, conditions, now) {
            Answer::Install(attempt, target) if self.things[place].job != Some(attempt) => {
                self.take(place, attempt, &target, now);
            }
            Answer::Cancel(attempt) if self.things[place].job == Some(attempt) => {
                let row = &self.server.attempts[self.server.place_of(attempt)];
                if row.ended_at.is_some() {
                    self.things[place].job = None;
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, place: usize, attempt: AttemptId, target: &Version, now: Timestamp) {
        let row = &self.server.attempts[self.server.place_of(attempt)];
        let deadline = self.server.lives[row.rollout]
            .rollout
            .spec
            .attempt_deadline_sec;
        let due = self.things[place].take(attempt, target, now, deadline, &mut self.dice);
        for (at, attempt, report) in due {
            let event = Event::Sends(place, self.reports.len());
            self.reports.push((attempt, report));
            self.queue.push(Reverse((at, event)));
        }
    }

    fn send(&mut self, place: usize, report: usize, now: Timestamp) {
        let minute = (now.0 - BEGIN.0) / 60_000;
        let thing = &mut self.things[place];
        if !thing.is_online(minute) && !thing.is_gone {
            // It waits on the device until the network is back.
            let back = minutes(thing.input.away.unwrap().1 + 1).plus_sec(report as u64);
            self.queue
                .push(Reverse((back, Event::Sends(place, report))));
            return;
        }
        let (attempt, report) = self.reports[report].clone();
        if thing.job != Some(attempt) && thing.input.behaviour != Behaviour::Lying {
            return;
        }
        let row = &self.server.attempts[self.server.place_of(attempt)];
        thing.sends(attempt, &report, &row.version);
        self.server.report(attempt, &report, now);
    }

    /// Whoever takes what it is given, and was waited for, has what a rollout brought.
    fn check_the_good(&self) {
        for live in &self.server.lives {
            let spec = &live.rollout.spec;
            let is_for_all = spec.audience == Default::default() && spec.exclude.is_empty();
            let last = spec.phases.last().map(|phase| phase.scope.clone());
            let takes_all = last.is_some_and(|scope| scope.to_string() == "100 %");
            if live.rollout.state != RolloutState::Completed
                || !is_for_all
                || !takes_all
                || spec.frozen
            {
                continue;
            }
            for (thing, device) in self.things.iter().zip(&self.server.devices) {
                let order = self.server.plan.versions();
                let is_newer = order.compare(&thing.version, &live.release.version).is_ge();
                let was_there = device.enrolled_at <= live.rollout.started_at.unwrap();
                let is_good =
                    thing.input.behaviour == Behaviour::Good && thing.input.away.is_none();
                let is_free = device.hold.is_none() && self.server.lives.len() == 1;
                assert!(
                    is_newer || !was_there || !is_good || !is_free,
                    "{} was left behind on {}",
                    device.id,
                    thing.version
                );
            }
        }
    }
}
