//! The forecast's steps.

use std::collections::VecDeque;

use super::curve::{NONE, drawn, whole};
use super::hours::Clock;
use super::{Forecast, HORIZON_SEC, Outlook, PhaseForecast, PhaseOutlook, Stops};
use crate::time::Timestamp;

/// An hour, in seconds.
const HOUR_SEC: f64 = 3600.0;

/// A part of the distance from now that a step may take.
const WIDENING: i64 = 1000;

/// A phase while time passes.
#[derive(Debug)]
struct Phase<'a> {
    outlook: &'a PhaseOutlook,
    /// Devices of each part that comes that have yet to begin.
    left: Vec<f64>,
    under_way: f64,
    finished: f64,
    /// Attempts that began in the batch that is under way.
    in_batch: f64,
    times: PhaseForecast,
}

impl Phase<'_> {
    fn waiting(&self) -> f64 {
        self.left.iter().sum()
    }

    fn is_exhausted(&self) -> bool {
        self.under_way < NONE && self.waiting() < NONE && self.outlook.unreached == 0
    }

    fn has_sample(&self) -> bool {
        let needed = self.outlook.gate.min_finished.map(f64::from);
        self.is_exhausted() || needed.is_some_and(|needed| self.finished > needed - NONE)
    }
}

/// Attempts that end together.
#[derive(Debug)]
struct Ending {
    at: Timestamp,
    phase: usize,
    attempts: f64,
}

/// What keeps a gate shut.
#[derive(Debug, PartialEq)]
enum Gate {
    Sampling,
    Soaking,
    Approval,
    Open,
}

/// A rollout while time passes.
#[derive(Debug)]
pub(super) struct Simulation<'a> {
    outlook: &'a Outlook,
    at: Timestamp,
    open: usize,
    sampled_at: Option<Timestamp>,
    phases: Vec<Phase<'a>>,
    hours: Vec<Clock<'a>>,
    endings: VecDeque<Ending>,
    last_finish_at: Option<Timestamp>,
    curve: Vec<(Timestamp, f64)>,
}

impl<'a> Simulation<'a> {
    pub(super) fn new(outlook: &'a Outlook) -> Self {
        let now = outlook.now;
        let mut endings = VecDeque::new();
        let mut phases = Vec::new();
        for (place, phase) in outlook.phases.iter().enumerate() {
            if phase.under_way > 0 {
                endings.push_back(Ending {
                    at: now.plus_sec(outlook.attempt_sec),
                    phase: place,
                    attempts: phase.under_way as f64,
                });
            }
            phases.push(Phase {
                outlook: phase,
                left: phase.coming.iter().map(|one| one.devices as f64).collect(),
                under_way: phase.under_way as f64,
                finished: phase.finished as f64,
                in_batch: 0.0,
                times: PhaseForecast::default(),
            });
        }
        let mut simulation = Self {
            outlook,
            at: now,
            open: outlook.open_phase,
            sampled_at: outlook.sampled_at,
            phases,
            hours: outlook
                .hours
                .iter()
                .map(|hours| Clock::new(hours, now))
                .collect(),
            endings,
            last_finish_at: None,
            curve: Vec::new(),
        };
        simulation.note();
        if !outlook.has_begun {
            simulation.opens(outlook.starts_at.max(now));
        }
        simulation
    }

    pub(super) fn run(mut self) -> Forecast {
        let horizon = self.outlook.now.plus_sec(HORIZON_SEC);
        let stops = loop {
            if self.open >= self.phases.len() {
                break None;
            }
            if let Some(stops) = self.stops() {
                break Some(stops);
            }
            if self.at >= horizon {
                break Some(Stops::Horizon { phase: self.open });
            }
            self.step(horizon);
        };
        let ends_at = stops.is_none().then_some(self.at);
        Forecast {
            ends_at,
            stops,
            last_finish_at: self.last_finish_at,
            finished: whole(self.finished()),
            under_way: whole(self.phases.iter().map(|phase| phase.under_way).sum()),
            left: self.left(),
            curve: drawn(&self.curve),
            phases: self.phases.iter().map(|phase| phase.times).collect(),
        }
    }

    /// Lets time pass: attempts end, others begin, and gates open.
    fn step(&mut self, horizon: Timestamp) {
        let before = self.at;
        self.at = self.next_moment().min(horizon);
        let passed_sec = (self.at.0 - before.0) as f64 / 1000.0;
        self.end_attempts();
        if before >= self.outlook.starts_at {
            self.begin_attempts(before, passed_sec);
            self.open_gates();
        }
        for hours in &mut self.hours {
            hours.pass(self.at);
        }
        self.note();
    }

    /// Returns the next moment to look at: depends on what lies ahead, not on how far the rollout is.
    fn next_moment(&self) -> Timestamp {
        let outlook = self.outlook;
        let shortest = outlook
            .phases
            .iter()
            .flat_map(|phase| phase.coming.iter().map(|one| one.interval_sec))
            .chain([outlook.attempt_sec])
            .min()
            .unwrap_or(60);
        let least = i64::try_from((shortest / 10).clamp(1, 60)).unwrap_or(60) * 1000;
        let step = ((self.at.0 - outlook.now.0) / WIDENING).max(least);
        let next = Timestamp(self.at.0.saturating_add(step));
        let changes = self.hours.iter().filter_map(|hours| hours.until);
        changes
            .chain([outlook.starts_at])
            .filter(|at| *at > self.at)
            .fold(next, Timestamp::min)
    }

    fn end_attempts(&mut self) {
        while let Some(ending) = self.endings.pop_front_if(|ending| ending.at <= self.at) {
            self.finish(ending.phase, ending.attempts);
        }
    }

    fn finish(&mut self, phase: usize, attempts: f64) {
        if let Some(phase) = self.phases.get_mut(phase) {
            phase.under_way -= attempts;
            if phase.under_way < NONE {
                phase.under_way = 0.0;
            }
            phase.finished += attempts;
            self.last_finish_at = Some(self.at);
        }
    }

    /// Begins as many as ask in the time that passed and as the limits let; earlier phases go first.
    fn begin_attempts(&mut self, since: Timestamp, passed_sec: f64) {
        let attempt_sec = self.outlook.attempt_sec.max(1) as f64;
        // In a step that is longer than an attempt, places are taken more than once.
        let turns = (passed_sec / attempt_sec).max(1.0);
        let mut room = self.room(passed_sec, turns);
        for place in 0..=self.open.min(self.phases.len().saturating_sub(1)) {
            let begun = self.begin_in(place, room, since, passed_sec, turns);
            room -= begun;
            if begun < NONE {
                continue;
            }
            if let Some(phase) = self.phases.get_mut(place) {
                phase.under_way += begun;
            }
            let goes_on = begun * (attempt_sec / passed_sec).min(1.0);
            self.finish(place, begun - goes_on);
            self.endings.push_back(Ending {
                at: self.at.plus_sec(self.outlook.attempt_sec.max(1)),
                phase: place,
                attempts: goes_on,
            });
        }
    }

    /// Returns how many may begin by the in-flight limit and the pace.
    fn room(&self, passed_sec: f64, turns: f64) -> f64 {
        let under_way: f64 = self.phases.iter().map(|phase| phase.under_way).sum();
        let limit = self
            .outlook
            .max_in_flight
            .map(|most| f64::from(most) * turns - under_way);
        let pace = self
            .outlook
            .pace
            .map(|pace| pace.per_hour_after(whole(self.finished())) * passed_sec / HOUR_SEC);
        limit
            .into_iter()
            .chain(pace)
            .fold(f64::INFINITY, f64::min)
            .max(0.0)
    }

    fn begin_in(
        &mut self,
        place: usize,
        room: f64,
        since: Timestamp,
        passed_sec: f64,
        turns: f64,
    ) -> f64 {
        let Some(phase) = self.phases.get_mut(place) else {
            return 0.0;
        };
        let mut room = room;
        let batch = self.outlook.batch_size.map(f64::from);
        if let Some(size) = batch {
            if phase.in_batch > size - NONE && phase.under_way < NONE {
                phase.in_batch = 0.0;
            }
            room = room.min(size * turns - phase.in_batch).max(0.0);
        }
        let mut begun = 0.0;
        for (left, coming) in phase.left.iter_mut().zip(&phase.outlook.coming) {
            let hours = coming.hours.and_then(|hours| self.hours.get(hours));
            if coming.from > since || hours.is_some_and(|hours| !hours.is_open) {
                continue;
            }
            let part = (passed_sec / coming.interval_sec.max(1) as f64).min(1.0);
            let asks = (coming.devices as f64 * part).min(*left).min(room);
            *left -= asks;
            if *left < NONE {
                *left = 0.0;
            }
            room -= asks;
            begun += asks;
        }
        if batch.is_some() {
            phase.in_batch = if turns > 1.0 {
                0.0
            } else {
                phase.in_batch + begun
            };
        }
        begun
    }

    /// Opens the gates that may open now, one after another.
    fn open_gates(&mut self) {
        while self.open < self.phases.len() {
            let gate = self.gate();
            match gate {
                Gate::Sampling => self.sampled_at = None,
                _ if self.sampled_at.is_none() => self.sampled_at = Some(self.at),
                _ => {}
            }
            if self.gate() != Gate::Open {
                return;
            }
            if let Some(phase) = self.phases.get_mut(self.open) {
                phase.times.ends_at = Some(self.at);
            }
            self.open += 1;
            self.sampled_at = None;
            self.opens(self.at);
        }
    }

    fn opens(&mut self, at: Timestamp) {
        if let Some(phase) = self.phases.get_mut(self.open) {
            phase.times.starts_at = Some(at);
        }
    }

    fn gate(&self) -> Gate {
        let Some(phase) = self.phases.get(self.open) else {
            return Gate::Open;
        };
        let is_last = self.open + 1 == self.phases.len();
        if !phase.has_sample() || (is_last && !phase.is_exhausted()) {
            return Gate::Sampling;
        }
        let gate = &phase.outlook.gate;
        if self.at < self.sampled_at.unwrap_or(self.at).plus_sec(gate.soak_sec) {
            Gate::Soaking
        } else if gate.needs_approval && !phase.outlook.is_approved {
            Gate::Approval
        } else {
            Gate::Open
        }
    }

    /// Tells what it waits for, where nothing more happens by itself.
    fn stops(&self) -> Option<Stops> {
        if self.at < self.outlook.starts_at || !self.endings.is_empty() || self.anybody_comes() {
            return None;
        }
        match self.gate() {
            Gate::Soaking | Gate::Open => None,
            Gate::Approval => self.sampled_at.map(|sampled_at| {
                let phase = self.phases.get(self.open);
                let soak_sec = phase.map_or(0, |phase| phase.outlook.gate.soak_sec);
                Stops::Approval {
                    phase: self.open,
                    from: sampled_at.plus_sec(soak_sec),
                }
            }),
            Gate::Sampling => self.phases.get(self.open).map(|phase| Stops::Unreached {
                phase: self.open,
                devices: phase.outlook.unreached + whole(phase.waiting()),
            }),
        }
    }

    /// Tells whether any device of an open phase will yet begin.
    fn anybody_comes(&self) -> bool {
        let open = self.phases.iter().take(self.open + 1);
        open.flat_map(|phase| phase.left.iter().zip(&phase.outlook.coming))
            .filter(|(left, _)| **left >= NONE)
            .any(|(_, coming)| {
                let hours = coming.hours.and_then(|hours| self.hours.get(hours));
                hours.is_none_or(|hours| hours.is_open || hours.until.is_some())
            })
    }

    fn finished(&self) -> f64 {
        self.phases.iter().map(|phase| phase.finished).sum()
    }

    fn left(&self) -> u64 {
        let open = self.phases.iter().take(self.open + 1);
        open.map(|phase| phase.outlook.unreached + whole(phase.waiting()))
            .sum()
    }

    fn note(&mut self) {
        let finished = self.finished();
        let is_news = self
            .curve
            .last()
            .is_none_or(|(_, before)| *before != finished);
        if is_news {
            self.curve.push((self.at, finished));
        }
    }
}
