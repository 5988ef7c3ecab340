//! What the server does by itself, and what people have it do.

use otter_protocol::attempt::AttemptPurpose;
use otter_protocol::decision::{consider, phase_of};
use otter_protocol::gate::{Tally, Verdict};
use otter_protocol::rollout::{OnBreach, PhaseScope, RolloutState, Step};
use otter_protocol::{AttemptState, Timestamp};

use crate::inputs::Order;
use crate::server::{Server, planned};

/// Most steps that a rollout may take at once: more, and it goes around in a circle.
const MOST_STEPS: usize = 40;

impl Server {
    /// Does the periodic work.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        self.end_silent_attempts(now);
        for at in 0..self.lives.len() {
            let mut steps = 0;
            while self.take_step(at, now) {
                steps += 1;
                assert!(steps < MOST_STEPS, "rollout {at} goes around in a circle");
            }
        }
        self.saw_tick(now);
    }

    fn end_silent_attempts(&mut self, now: Timestamp) {
        let is_silent = |at: &usize| {
            let row = &self.attempts[*at];
            let deadline = self.lives[row.rollout].rollout.spec.attempt_deadline_sec;
            row.heard_at.plus_sec(deadline) < now
        };
        let silent: Vec<usize> = self.open.iter().copied().filter(is_silent).collect();
        for at in silent {
            self.end(at, AttemptState::TimedOut, now);
        }
    }

    /// Counts the devices that each phase, and the way back, still waits for.
    fn count_waiting(&mut self, at: usize, now: Timestamp) {
        self.renew_plan(now);
        let live = &self.lives[at];
        let phases = &live.rollout.spec.phases;
        let mut fills_up = planned(live);
        let mut waiting = vec![0; phases.len() + 1];
        for device in &self.devices {
            let open = device.attempt.as_ref();
            if open.is_some_and(|open| open.rollout == live.rollout.id) {
                continue;
            }
            let weighed = consider(device, &self.plan, &fills_up, now);
            if !weighed.awaits() {
                continue;
            }
            if weighed.purpose == AttemptPurpose::RollBack {
                waiting[phases.len()] += 1;
                continue;
            }
            let Some(phase) = phase_of(device, &self.plan, &fills_up) else {
                continue;
            };
            waiting[phase as usize] += 1;
            let is_new = !device.past.contains_key(&live.rollout.id);
            if is_new && matches!(phases[phase as usize].scope, PhaseScope::Count { .. }) {
                fills_up.load.begin(phase, true, None);
            }
        }
        let live = &mut self.lives[at];
        live.is_stale = false;
        for (tally, waiting) in live.tallies.iter_mut().zip(waiting) {
            tally.waiting = Some(waiting);
        }
    }

    /// Takes one step; tells whether there may be another.
    fn take_step(&mut self, at: usize, now: Timestamp) -> bool {
        let live = &self.lives[at];
        if !live.rollout.state.is_live() {
            return false;
        }
        if live.is_stale && live.rollout.state != RolloutState::Scheduled {
            self.count_waiting(at, now);
        }
        let live = &mut self.lives[at];
        let judged = live.rollout.next_step(&live.tallies, &live.forgiven, now);
        let rollout = &mut live.rollout;
        match judged.step {
            Step::Stay => return false,
            Step::Sample(sampled_at) => {
                assert_ne!(rollout.sampled_at, sampled_at, "a step changes something");
                rollout.sampled_at = sampled_at;
            }
            Step::Start => {
                rollout.started_at = Some(now);
                live.is_stale = true;
                live.phase_since = now;
                self.goes_to(at, RolloutState::Running, now);
            }
            Step::NextPhase => {
                assert_eq!(
                    judged.verdict.map(|(verdict, _)| verdict),
                    Some(Verdict::Open)
                );
                self.saw_gate_open(at, now);
                self.next_phase(at, now);
            }
            Step::Complete => {
                self.saw_gate_open(at, now);
                self.goes_to(at, RolloutState::Completed, now);
            }
            Step::Breach(_) => self.breached(at, now),
            Step::RolledBack => self.goes_to(at, RolloutState::RolledBack, now),
        }
        true
    }

    fn next_phase(&mut self, at: usize, now: Timestamp) {
        let live = &mut self.lives[at];
        live.rollout.current_phase += 1;
        live.rollout.sampled_at = None;
        live.rollout.gate_approved_by = None;
        live.forgiven = Tally::default();
        live.phase_since = now;
        live.is_stale = true;
    }

    fn breached(&mut self, at: usize, now: Timestamp) {
        match self.lives[at].rollout.spec.on_breach {
            OnBreach::Pause => self.goes_to(at, RolloutState::Paused, now),
            OnBreach::Abort => {
                self.lives[at].rollout.takes_back = true;
                self.goes_to(at, RolloutState::Aborted, now);
            }
            OnBreach::RollBack => self.goes_to(at, RolloutState::RollingBack, now),
        }
    }

    fn goes_to(&mut self, at: usize, state: RolloutState, now: Timestamp) {
        let live = &mut self.lives[at];
        live.rollout.state = state;
        live.since = now;
        live.is_stale = true;
        if state == RolloutState::RollingBack {
            live.load.next_grant_at = None;
        }
        self.saw_state(at);
    }

    /// Does what a person orders, where it can be done.
    pub(crate) fn obey(&mut self, at: usize, order: Order, now: Timestamp) {
        use RolloutState::{Paused, RollingBack, Running};
        let state = self.lives[at].rollout.state;
        let goes_on = matches!(state, Running | Paused);
        match order {
            Order::Pause if state == Running => self.goes_to(at, Paused, now),
            Order::Resume if state == Paused => self.resume(at, now),
            Order::ApproveGate if goes_on => {
                self.lives[at].rollout.gate_approved_by = Some("user:b".into());
            }
            Order::SkipGate if state == Running => {
                let live = &self.lives[at];
                if (live.rollout.current_phase as usize) + 1 < live.rollout.spec.phases.len() {
                    self.next_phase(at, now);
                }
            }
            Order::Abort { takes_back } if goes_on || state == RollingBack => {
                self.lives[at].rollout.takes_back = takes_back;
                self.goes_to(at, RolloutState::Aborted, now);
            }
            Order::RollBack if goes_on => self.goes_to(at, RollingBack, now),
            Order::RetryFailed if goes_on => {
                let last = self.attempts.last().map(|row| row.id);
                self.lives[at].rollout.retried_upto = last;
                self.lives[at].is_stale = true;
            }
            _ => {}
        }
    }

    /// Goes on; the failures that are known by now stop it no more.
    pub(crate) fn resume(&mut self, at: usize, now: Timestamp) {
        let live = &mut self.lives[at];
        let seen = live.tallies[live.rollout.current_phase as usize];
        live.forgiven = Tally {
            failed: seen.failed,
            rolled_back: seen.rolled_back,
            timed_out: seen.timed_out,
            unhealthy: seen.unhealthy,
            ..Tally::default()
        };
        self.goes_to(at, RolloutState::Running, now);
    }
}
