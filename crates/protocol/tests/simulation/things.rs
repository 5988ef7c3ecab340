//! What devices do, whatever the server thinks.

use otter_protocol::attempt::AttemptState;
use otter_protocol::{AttemptId, AttemptReport, Timestamp, Version};

/// How a device takes updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Comes up on what it is given.
    Good,
    /// Gives up before it leaves what it runs.
    Failing,
    /// Tries, and goes back.
    Returning,
    /// Fails so many times, then succeeds.
    Flapping(u32),
    /// Polls, and doesn't report to the end.
    Silent,
    /// Neither polls nor reports once it was offered something.
    Gone,
    /// Reports long after its deadline.
    Late,
    /// Claims success too early and with the wrong version, repeats itself and mixes its reports up.
    Lying,
    /// Succeeds, and says that it is unhealthy.
    Sickly,
}

/// What a device is like.
#[derive(Debug, Clone)]
pub(crate) struct ThingInput {
    pub(crate) behaviour: Behaviour,
    /// Minutes between two polls.
    pub(crate) poll_min: i64,
    /// When it joins, in minutes.
    pub(crate) joins_min: i64,
    /// Minutes between which it can't be reached.
    pub(crate) away: Option<(i64, i64)>,
    pub(crate) zone: Option<&'static str>,
    /// Which of the rings it is in.
    pub(crate) ring: Option<usize>,
    /// What it runs at first.
    pub(crate) runs: &'static str,
    pub(crate) battery_percent: Option<u8>,
}

/// A device, as it is.
#[derive(Debug)]
pub(crate) struct Thing {
    pub(crate) input: ThingInput,
    pub(crate) version: Version,
    pub(crate) job: Option<AttemptId>,
    pub(crate) tries: u32,
    pub(crate) is_gone: bool,
}

/// A report on its way, with when it is to be sent.
pub(crate) type Due = (Timestamp, AttemptId, AttemptReport);

/// Numbers that look random and are the same each time.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// Returns a number below `below`; splitmix64.
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }
}

const WAY: [AttemptState; 5] = [
    AttemptState::Downloading,
    AttemptState::Downloaded,
    AttemptState::Installing,
    AttemptState::Rebooting,
    AttemptState::Verifying,
];

impl Thing {
    pub(crate) fn new(input: ThingInput) -> Self {
        Self {
            version: input.runs.into(),
            input,
            job: None,
            tries: 0,
            is_gone: false,
        }
    }

    /// Tells whether the server and the device can hear each other.
    pub(crate) fn is_online(&self, minute: i64) -> bool {
        let away = self.input.away;
        !self.is_gone && away.is_none_or(|(from, until)| minute < from || until <= minute)
    }

    /// Takes an offer; returns the reports that it will make.
    pub(crate) fn take(
        &mut self,
        attempt: AttemptId,
        target: &Version,
        now: Timestamp,
        deadline_sec: u64,
        dice: &mut Dice,
    ) -> Vec<Due> {
        self.job = Some(attempt);
        self.tries += 1;
        let behaviour = self.input.behaviour;
        let (stops_at, end) = match behaviour {
            Behaviour::Failing => (dice.roll(4) as usize, Some(AttemptState::Failed)),
            Behaviour::Returning => (WAY.len(), Some(AttemptState::RolledBack)),
            Behaviour::Flapping(fails) if self.tries <= fails => {
                (dice.roll(6) as usize, Some(AttemptState::Failed))
            }
            Behaviour::Silent | Behaviour::Gone => (dice.roll(5) as usize, None),
            _ => (WAY.len(), Some(AttemptState::Succeeded)),
        };
        self.is_gone |= behaviour == Behaviour::Gone;
        let mut due = Vec::new();
        let mut at = now;
        let states = WAY[..stops_at.min(WAY.len())].iter().copied().chain(end);
        for (state, sequence) in states.zip(1..) {
            at = at.plus_sec(30 + dice.roll(600));
            let is_last = state.is_finished();
            if is_last && behaviour == Behaviour::Late {
                at = at.plus_sec(deadline_sec * 2);
            }
            let version = (state == AttemptState::Succeeded).then(|| target.clone());
            due.push((at, attempt, report(sequence, state, version)));
        }
        if behaviour == Behaviour::Lying {
            muddle(&mut due, attempt, now, dice);
        }
        due
    }

    /// What becomes of it when it sends a report.
    pub(crate) fn sends(&mut self, attempt: AttemptId, report: &AttemptReport, target: &Version) {
        if self.job != Some(attempt) {
            return;
        }
        if report.state == AttemptState::Succeeded && report.version.as_ref() == Some(target) {
            self.version = target.clone();
        }
        if report.state.is_finished() && report.version.as_ref().is_none_or(|v| v == target) {
            self.job = None;
        }
    }
}

/// Mixes reports up: false successes first, each twice, some in the wrong order, and states that aren't the device's to say.
fn muddle(due: &mut Vec<Due>, attempt: AttemptId, now: Timestamp, dice: &mut Dice) {
    let lie = report(40, AttemptState::Succeeded, Some("9.9.9".into()));
    let not_its_own = report(41, AttemptState::TimedOut, None);
    let repeated: Vec<Due> = due
        .iter()
        .map(|(at, attempt, report)| (at.plus_sec(dice.roll(900)), *attempt, report.clone()))
        .collect();
    due.extend(repeated);
    due.push((now.plus_sec(10), attempt, lie));
    due.push((now.plus_sec(20), attempt, not_its_own));
}

fn report(sequence: u32, state: AttemptState, version: Option<Version>) -> AttemptReport {
    AttemptReport {
        sequence,
        state,
        progress: None,
        message: None,
        version,
        at: None,
    }
}
