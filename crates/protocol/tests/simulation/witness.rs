//! What must hold, checked as it happens against a count of its own over every attempt ever made.

use otter_protocol::attempt::AttemptPurpose;
use otter_protocol::gate::{Judgement, Tally, wilson_lower};
use otter_protocol::rollout::{Audience, PhaseScope, RolloutState};
use otter_protocol::window::{Opening, Window};
use otter_protocol::{AttemptState, Timestamp};

use crate::server::{Attempt, Live, Server};

const HOUR_MS: i64 = 3_600_000;

impl Server {
    fn attempts_of(&self, at: usize) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(move |row| row.rollout == at)
    }

    /// Counts a phase's attempts.
    fn counted(&self, at: usize, phase: u32) -> Tally {
        let mut tally = Tally::default();
        for row in self.attempts_of(at).filter(|row| row.phase == phase) {
            let counter = match row.state {
                AttemptState::Succeeded if row.purpose == AttemptPurpose::Step => {
                    &mut tally.stepped
                }
                AttemptState::Succeeded => &mut tally.succeeded,
                AttemptState::Failed => &mut tally.failed,
                AttemptState::RolledBack => &mut tally.rolled_back,
                AttemptState::TimedOut => &mut tally.timed_out,
                AttemptState::Cancelled | AttemptState::Superseded => &mut tally.cancelled,
                _ => &mut tally.under_way,
            };
            *counter += 1;
            tally.unhealthy += u64::from(row.is_unhealthy);
        }
        tally
    }

    /// An attempt began, the last of all.
    pub(crate) fn saw_begin(&self, now: Timestamp) {
        let row = self.attempts.last().unwrap();
        let live = &self.lives[row.rollout];
        let state = live.rollout.state;
        let goes_back = row.purpose == AttemptPurpose::RollBack;
        let expected = if goes_back {
            RolloutState::RollingBack
        } else {
            RolloutState::Running
        };
        assert_eq!(state, expected, "nothing begins while it is {state}");
        self.check_limits(row, live, now);
        self.check_device(row, live, now);
        if goes_back {
            let former = live_former(self, row);
            assert_eq!(
                Some(&row.version),
                former.as_ref(),
                "goes back to what it ran"
            );
            return;
        }
        assert!(row.phase <= live.rollout.current_phase, "its phase is open");
        self.check_share(row, live);
        self.check_audience(row, live);
        self.check_no_breach(row, live);
    }

    fn check_limits(&self, row: &Attempt, live: &Live, now: Timestamp) {
        let spec = &live.rollout.spec;
        let is_of = |at: &&usize| self.attempts[**at].rollout == row.rollout;
        let in_flight = self.open.iter().filter(is_of).count();
        if let Some(most) = spec.max_in_flight {
            assert!(
                in_flight <= most as usize,
                "{in_flight} in flight, at most {most}"
            );
        }
        let goes_back = |row: &Attempt| row.purpose == AttemptPurpose::RollBack;
        if let Some(pace) = spec.pace {
            let most = pace
                .growth
                .map_or(pace.per_hour, |growth| growth.max_per_hour);
            let begun = self.attempts_of(row.rollout).filter(|other| {
                other.begun_at.0 > now.0 - HOUR_MS && goes_back(other) == goes_back(row)
            });
            let begun = begun.count();
            assert!(
                begun <= most as usize,
                "{begun} within an hour, at most {most}"
            );
        }
        if let Some(size) = spec.batch_size.filter(|_| !goes_back(row)) {
            let of_phase = self
                .attempts_of(row.rollout)
                .filter(|other| other.phase == row.phase);
            let before: Vec<&Attempt> = of_phase.filter(|other| other.id != row.id).collect();
            if before.len().is_multiple_of(size as usize) {
                let is_over = before.iter().all(|other| other.ended_at.is_some());
                assert!(is_over, "batches don't overlap");
            }
        }
        let tries = self.attempts_of(row.rollout).filter(|other| {
            other.device == row.device
                && goes_back(other) == goes_back(row)
                && other.state.is_failure()
                && live.rollout.retried_upto.is_none_or(|upto| other.id > upto)
        });
        assert!(
            tries.count() < spec.max_attempts as usize,
            "it has a try left"
        );
    }

    fn check_device(&self, row: &Attempt, live: &Live, now: Timestamp) {
        let device = &self.devices[row.device];
        assert!(device.hold.is_none(), "nobody holds it");
        let zone = device.conditions.time_zone.as_deref();
        let of_groups = self
            .groups
            .iter()
            .filter(|group| device.group.as_ref() == Some(&group.name));
        let windows = of_groups.filter_map(|group| group.window.as_ref());
        for window in windows.chain([&live.rollout.spec.window]) {
            assert_eq!(window.at(now, zone), Opening::Open, "its windows are open");
            assert!(!is_frozen(window, now, zone), "nothing is frozen");
        }
        let others = self
            .open
            .iter()
            .filter(|at| self.attempts[**at].device == row.device);
        assert_eq!(others.count(), 1, "a device is at one attempt at a time");
        let least = live
            .rollout
            .spec
            .requirements
            .min_battery_percent
            .unwrap_or(0);
        assert!(
            device
                .conditions
                .battery_percent
                .is_none_or(|percent| percent >= least)
        );
    }

    /// The phase in which a device begins is the first that is for it, and stays so.
    fn check_share(&self, row: &Attempt, live: &Live) {
        let earlier = self
            .attempts_of(row.rollout)
            .find(|other| other.device == row.device && other.id != row.id);
        if let Some(earlier) = earlier {
            assert_eq!(earlier.phase, row.phase, "it stays in its phase");
            return;
        }
        let (device, phases) = (&self.devices[row.device], &live.rollout.spec.phases);
        let place = otter_protocol::decision::cohort_of(device, &crate::server::planned(live)).0;
        for (phase, number) in phases.iter().zip(0_u32..) {
            let begun = self.attempts_of(row.rollout).filter(|other| {
                other.phase == number
                    && other.id != row.id
                    && other.purpose != AttemptPurpose::RollBack
            });
            let is_in = match &phase.scope {
                PhaseScope::Share { share } => (place as f64 / 2f64.powi(64)) < share.as_fraction(),
                PhaseScope::Group { group } => device.group.as_ref() == Some(group),
                PhaseScope::Count { devices } => {
                    let mut begun: Vec<usize> = begun.map(|other| other.device).collect();
                    begun.sort_unstable();
                    begun.dedup();
                    begun.len() < *devices as usize
                }
            };
            assert_eq!(
                is_in,
                number == row.phase,
                "phase {number} of {}",
                row.phase
            );
            if is_in {
                return;
            }
        }
    }

    fn check_audience(&self, row: &Attempt, live: &Live) {
        let (device, spec) = (&self.devices[row.device], &live.rollout.spec);
        let is_in = match &spec.audience {
            Audience::All | Audience::Percent { .. } | Audience::Split { .. } => true,
            Audience::Devices { devices } => devices.contains(&device.id),
            Audience::Group { group } => device.group.as_ref() == Some(group),
            Audience::Selector { .. } => {
                device.labels.get("side").map(String::as_str) == Some("left")
            }
        };
        assert!(is_in, "it is of the audience");
        let exclude = &spec.exclude;
        assert!(
            !exclude.devices.contains(&device.id),
            "it isn't excluded by name"
        );
        let is_out = |group| device.group.as_ref() == Some(group);
        assert!(
            !exclude.groups.iter().any(is_out),
            "its group isn't excluded"
        );
        if spec.frozen {
            assert!(
                Some(device.enrolled_at) <= live.rollout.started_at,
                "it was there at the start"
            );
        }
    }

    /// A breach that stands lets nothing begin.
    fn check_no_breach(&self, row: &Attempt, live: &Live) {
        let open = live.rollout.current_phase;
        let mut tally = self.counted(row.rollout, open);
        if open == row.phase {
            tally.under_way -= 1;
        }
        assert!(
            !is_certainly_over(live, tally.without(&live.forgiven)),
            "{tally:?}"
        );
    }

    /// A gate opened by itself.
    pub(crate) fn saw_gate_open(&self, at: usize, now: Timestamp) {
        let live = &self.lives[at];
        let phase = live.rollout.current_phase;
        let gate = live.rollout.spec.phases[phase as usize].gate;
        let tally = self.counted(at, phase);
        let waiting = live.tallies[phase as usize].waiting;
        let nobody_is_left = tally.under_way == 0 && waiting == Some(0);
        let mut ends: Vec<Timestamp> = self
            .attempts_of(at)
            .filter(|row| row.phase == phase && (row.state.is_failure() || row.is_success()))
            .filter_map(|row| row.ended_at)
            .collect();
        ends.sort();
        let needed = gate.min_finished.map(|needed| needed as usize);
        let is_sampled = needed.is_some_and(|needed| ends.len() >= needed);
        assert!(is_sampled || nobody_is_left, "its sample was complete");
        let sampled_at = match needed.filter(|needed| *needed > 0 && is_sampled && !nobody_is_left)
        {
            Some(needed) => ends[needed - 1],
            None => live.phase_since,
        };
        assert!(
            now >= sampled_at.max(live.phase_since).plus_sec(gate.soak_sec),
            "it soaked"
        );
        assert!(
            !gate.needs_approval || live.rollout.gate_approved_by.is_some(),
            "approved"
        );
        assert!(
            !is_certainly_over(live, tally.without(&live.forgiven)),
            "no rate is over"
        );
    }

    /// The periodic work is done: counts are right, and no attempt is open for ever.
    pub(crate) fn saw_tick(&self, now: Timestamp) {
        for at in &self.open {
            let row = &self.attempts[*at];
            let deadline = self.lives[row.rollout].rollout.spec.attempt_deadline_sec;
            assert!(
                row.heard_at.plus_sec(deadline) >= now,
                "{row:?} is open for ever"
            );
        }
        for (at, live) in self.lives.iter().enumerate() {
            for (tally, phase) in live.tallies.iter().zip(0_u32..) {
                let counted = Tally {
                    waiting: tally.waiting,
                    ..self.counted(at, phase)
                };
                assert_eq!(*tally, counted, "phase {phase}");
                assert_eq!(live.load.phase(phase).under_way, counted.under_way);
            }
        }
    }

    /// A rollout came into a state.
    pub(crate) fn saw_state(&self, at: usize) {
        let live = &self.lives[at];
        match live.rollout.state {
            RolloutState::RolledBack => {
                for (device, place) in self.devices.iter().zip(0..) {
                    let began = device
                        .past
                        .get(&live.rollout.id)
                        .is_some_and(|past| past.phase.is_some());
                    let is_on_it = device.version == live.release.version;
                    let tries = device.past.get(&live.rollout.id).map_or(0, |past| {
                        past.back.failures_after(live.rollout.retried_upto)
                            + past.back.brought.len()
                    });
                    let gave_up = tries >= live.rollout.spec.max_attempts as usize;
                    let is_elsewhere = device.hold.is_some() || gave_up;
                    assert!(
                        !began || !is_on_it || is_elsewhere,
                        "device {place} wasn't taken back"
                    );
                }
                assert!(
                    self.open
                        .iter()
                        .all(|open| self.attempts[*open].rollout != at)
                );
            }
            RolloutState::Completed => {
                assert!(self.open.iter().all(|open| {
                    let row = &self.attempts[*open];
                    row.rollout != at || row.phase != live.rollout.current_phase
                }));
            }
            _ => {}
        }
    }
}

impl Attempt {
    fn is_success(&self) -> bool {
        self.state == AttemptState::Succeeded && self.purpose == AttemptPurpose::Update
    }
}

/// What a device ran when it began in the rollout.
fn live_former(server: &Server, row: &Attempt) -> Option<otter_protocol::Version> {
    let mut began = server
        .attempts_of(row.rollout)
        .filter(|other| other.device == row.device && other.purpose != AttemptPurpose::RollBack);
    began.next().map(|first| first.from.clone())
}

fn is_frozen(window: &Window, now: Timestamp, zone: Option<&str>) -> bool {
    let date = now.to_jiff().to_zoned(window.zone_for(zone)).date();
    window
        .freezes
        .iter()
        .any(|freeze| (freeze.from..=freeze.until).contains(&date))
}

/// Tells whether a rate of the open phase is over its limit beyond doubt, however many are still to come of its sample.
fn is_certainly_over(live: &Live, tally: Tally) -> bool {
    let gate = live.rollout.spec.phases[live.rollout.current_phase as usize].gate;
    let rates = [
        (
            tally.failed + tally.rolled_back + tally.timed_out,
            gate.max_failure_rate,
        ),
        (tally.rolled_back, gate.max_rollback_rate),
        (tally.timed_out, gate.max_silence_rate),
        (tally.unhealthy, gate.max_unhealthy_rate),
    ];
    let finished = tally.succeeded + tally.failed + tally.rolled_back + tally.timed_out;
    // A gate without a number judges over thirty at most.
    let sample = finished.max(gate.min_finished.map_or(30, u64::from)).max(1);
    rates.into_iter().any(|(count, limit)| {
        let rate = match gate.judgement {
            Judgement::Point => count as f64 / sample as f64,
            Judgement::Confident => wilson_lower(count, sample),
        };
        limit.is_some_and(|limit| rate > limit.as_fraction())
    })
}
