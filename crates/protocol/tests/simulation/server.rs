//! A server in memory: check-ins, grants and reports, in the order and with the checks of the real one.

use std::collections::BTreeSet;
use std::sync::Arc;

use otter_protocol::attempt::{AttemptPurpose, Effect};
use otter_protocol::decision::{Action, consider, decide, phase_of};
use otter_protocol::device::{Conditions, Device, OpenAttempt};
use otter_protocol::gate::Tally;
use otter_protocol::group::Group;
use otter_protocol::plan::{Load, Plan, PlannedRollout};
use otter_protocol::release::Release;
use otter_protocol::rollout::{Rollout, RolloutState, Step};
use otter_protocol::{AttemptId, AttemptReport, AttemptState, ReleaseId, Timestamp, Version};

/// An attempt's row.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    pub(crate) device: usize,
    /// By its place among the rollouts.
    pub(crate) rollout: usize,
    pub(crate) release: ReleaseId,
    pub(crate) version: Version,
    pub(crate) from: Version,
    pub(crate) purpose: AttemptPurpose,
    pub(crate) phase: u32,
    pub(crate) state: AttemptState,
    pub(crate) last_sequence: u32,
    pub(crate) begun_at: Timestamp,
    pub(crate) heard_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) is_unhealthy: bool,
}

/// A rollout's row, with its counts.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) rollout: Rollout,
    pub(crate) release: Arc<Release>,
    /// The phases', and that of the way back.
    pub(crate) tallies: Vec<Tally>,
    pub(crate) load: Load,
    pub(crate) forgiven: Tally,
    /// Something happened that may change who is waited for.
    pub(crate) is_stale: bool,
    /// When it came into its state.
    pub(crate) since: Timestamp,
    /// When its open phase began.
    pub(crate) phase_since: Timestamp,
}

/// What a device hears.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Install(AttemptId, Version),
    Cancel(AttemptId),
    Wait,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) devices: Vec<Device>,
    pub(crate) failures_in_row: Vec<u32>,
    pub(crate) attempts: Vec<Attempt>,
    /// Places of the attempts under way.
    pub(crate) open: BTreeSet<usize>,
    pub(crate) lives: Vec<Live>,
    pub(crate) releases: Vec<Arc<Release>>,
    pub(crate) groups: Vec<Group>,
    /// As last read: another server may have changed what it shows.
    pub(crate) plan: Plan,
    pub(crate) plan_at: Timestamp,
    pub(crate) stale_min: i64,
}

impl Server {
    /// Reads the plan anew.
    pub(crate) fn renew_plan(&mut self, now: Timestamp) {
        let live = self
            .lives
            .iter()
            .filter(|live| live.rollout.state.is_live());
        let planned = live.map(planned).collect();
        let ended = self.lives.iter().map(|live| &live.rollout);
        let taken_back = ended
            .filter(|rollout| rollout.takes_back && rollout.state.is_over())
            .map(|rollout| rollout.id)
            .collect();
        self.plan =
            Plan::new(planned, self.releases.clone(), self.groups.clone()).taking_back(taken_back);
        self.plan_at = now;
    }

    /// Answers a poll.
    pub(crate) fn check_in(
        &mut self,
        place: usize,
        version: &Version,
        conditions: Conditions,
        now: Timestamp,
    ) -> Answer {
        if now.0 - self.plan_at.0 >= self.stale_min * 60_000 {
            self.renew_plan(now);
        }
        self.hear_of(place, version, conditions);
        let decision = decide(&self.devices[place], &self.plan, now);
        match decision.action {
            Action::Continue { attempt, .. } => self.offer_of(attempt),
            Action::Cancel { attempt } => {
                let at = self.place_of(attempt);
                if self.attempts[at].state.is_cancellable() {
                    self.end(at, AttemptState::Cancelled, now);
                }
                Answer::Cancel(attempt)
            }
            Action::Begin { rollout, .. } => {
                let live = self
                    .lives
                    .iter()
                    .position(|live| live.rollout.id == rollout);
                match self.grant(place, live.unwrap(), now) {
                    Some(attempt) => self.offer_of(attempt),
                    None => Answer::Wait,
                }
            }
            Action::Wait => Answer::Wait,
        }
    }

    fn offer_of(&self, attempt: AttemptId) -> Answer {
        let row = &self.attempts[self.place_of(attempt)];
        Answer::Install(attempt, row.version.clone())
    }

    pub(crate) fn place_of(&self, attempt: AttemptId) -> usize {
        usize::try_from(attempt.0).unwrap() - 1
    }

    /// Keeps what a device says of itself, and counts it where it became unhealthy on what it was brought.
    fn hear_of(&mut self, place: usize, version: &Version, conditions: Conditions) {
        let device = &mut self.devices[place];
        if device.version != *version {
            device.version = version.clone();
            self.lives.iter_mut().for_each(|live| live.is_stale = true);
        }
        let is_unhealthy = conditions.is_healthy == Some(false);
        self.devices[place].conditions = conditions;
        let last = self
            .attempts
            .iter_mut()
            .rev()
            .find(|row| row.device == place);
        let Some(row) = last else { return };
        let counts = row.state == AttemptState::Succeeded
            && row.purpose == AttemptPurpose::Update
            && row.version == *version;
        if !counts || row.is_unhealthy == is_unhealthy {
            return;
        }
        row.is_unhealthy = is_unhealthy;
        let tally = &mut self.lives[row.rollout].tallies[row.phase as usize];
        if is_unhealthy {
            tally.unhealthy += 1;
        } else {
            tally.unhealthy -= 1;
        }
    }

    /// Grants an attempt: what the plan shows may be old, so that everything is weighed once more, with the row locked.
    fn grant(&mut self, place: usize, at: usize, now: Timestamp) -> Option<AttemptId> {
        let live = &self.lives[at];
        let offers = match live.rollout.state {
            RolloutState::RollingBack => true,
            RolloutState::Running => {
                let judged = live.rollout.next_step(&live.tallies, &live.forgiven, now);
                !matches!(judged.step, Step::Breach(_))
            }
            _ => false,
        };
        let (device, fresh) = (&self.devices[place], planned(live));
        let weighed = consider(device, &self.plan, &fresh, now);
        if !offers || !weighed.passes() {
            return None;
        }
        let phase = match weighed.purpose {
            AttemptPurpose::RollBack => u32::try_from(live.rollout.spec.phases.len()).unwrap(),
            _ => phase_of(device, &self.plan, &fresh).unwrap(),
        };
        let release = self.plan.release(weighed.release).unwrap();
        let attempt = Attempt {
            id: AttemptId(i32::try_from(self.attempts.len()).unwrap() + 1),
            device: place,
            rollout: at,
            release: release.id,
            version: release.version.clone(),
            from: device.version.clone(),
            purpose: weighed.purpose,
            phase,
            state: AttemptState::Offered,
            last_sequence: 0,
            begun_at: now,
            heard_at: now,
            ended_at: None,
            is_unhealthy: false,
        };
        Some(self.begin(attempt, now))
    }

    fn begin(&mut self, attempt: Attempt, now: Timestamp) -> AttemptId {
        let live = &mut self.lives[attempt.rollout];
        let successes = live.tallies.iter().map(|tally| tally.succeeded).sum();
        let pace = live.rollout.spec.pace;
        let next_grant_at = pace.map(|pace| pace.next_after(now, successes));
        let device = &mut self.devices[attempt.device];
        let past = device.past.entry(live.rollout.id).or_default();
        let is_first = match attempt.purpose {
            AttemptPurpose::RollBack => past.back.last.is_none(),
            _ => past.phase.is_none(),
        };
        if attempt.purpose != AttemptPurpose::RollBack {
            past.phase.get_or_insert(attempt.phase);
            past.began_from.get_or_insert(attempt.from.clone());
        }
        device.attempt = Some(OpenAttempt {
            id: attempt.id,
            rollout: live.rollout.id,
            release: attempt.release,
            purpose: attempt.purpose,
            state: attempt.state,
        });
        live.load.begin(attempt.phase, is_first, next_grant_at);
        let tally = &mut live.tallies[attempt.phase as usize];
        tally.under_way += 1;
        tally.waiting = tally.waiting.map(|waiting| waiting.saturating_sub(1));
        let id = attempt.id;
        self.open.insert(self.attempts.len());
        self.attempts.push(attempt);
        self.saw_begin(now);
        id
    }

    /// Takes a report.
    pub(crate) fn report(&mut self, attempt: AttemptId, report: &AttemptReport, now: Timestamp) {
        let at = self.place_of(attempt);
        let row = &mut self.attempts[at];
        let effect = report.effect_on(row.state, row.last_sequence, &row.version);
        if effect != Ok(Effect::Applied) {
            return;
        }
        (row.last_sequence, row.heard_at) = (report.sequence, now);
        if report.state.is_finished() {
            self.end(at, report.state, now);
            return;
        }
        row.state = report.state;
        if let Some(open) = &mut self.devices[row.device].attempt {
            open.state = report.state;
        }
    }

    /// Ends an attempt, and counts it.
    pub(crate) fn end(&mut self, at: usize, end: AttemptState, now: Timestamp) {
        assert!(self.open.remove(&at), "an attempt ends once");
        let row = &mut self.attempts[at];
        (row.state, row.ended_at) = (end, Some(now));
        let live = &mut self.lives[row.rollout];
        let tally = &mut live.tallies[row.phase as usize];
        tally.under_way -= 1;
        // Who failed may try again, and who took a step has another before it: nobody has counted them.
        tally.waiting = None;
        let counter = match end {
            AttemptState::Succeeded if row.purpose == AttemptPurpose::Step => &mut tally.stepped,
            AttemptState::Succeeded => &mut tally.succeeded,
            AttemptState::Failed => &mut tally.failed,
            AttemptState::RolledBack => &mut tally.rolled_back,
            AttemptState::TimedOut => &mut tally.timed_out,
            _ => &mut tally.cancelled,
        };
        *counter += 1;
        live.load.end(row.phase);
        let device = &mut self.devices[row.device];
        device.attempt = None;
        let past = device.past.entry(live.rollout.id).or_default();
        match row.purpose {
            AttemptPurpose::RollBack => past.back.add(row.id, end, now),
            _ => past.forth.add(row.id, end, now),
        }
        if end == AttemptState::Succeeded {
            match row.purpose {
                AttemptPurpose::RollBack => past.back.add_brought(row.id, row.release),
                _ => past.forth.add_brought(row.id, row.release),
            }
            device.version = row.version.clone();
            if row.purpose == AttemptPurpose::Update {
                past.former = past.began_from.clone();
            }
        }
        let failures = &mut self.failures_in_row[row.device];
        match end {
            AttemptState::Succeeded => *failures = 0,
            end if end.is_failure() => *failures += 1,
            _ => {}
        }
        let limit = live.rollout.spec.hold_after;
        if limit.is_some_and(|limit| *failures >= limit) {
            device.hold = Some(format!("failed {failures} times in a row"));
        }
        self.lives.iter_mut().for_each(|live| live.is_stale = true);
    }
}

/// Returns a rollout as the plan has it.
pub(crate) fn planned(live: &Live) -> PlannedRollout {
    PlannedRollout {
        rollout: Arc::new(live.rollout.clone()),
        release: live.release.clone(),
        load: live.load.clone(),
    }
}
