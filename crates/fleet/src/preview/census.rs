//! A whole fleet, counted before a rollout.

use std::collections::{BTreeMap, HashMap};

use otter_protocol::admin::Held;
use otter_protocol::decision::{Weighed, Weigher};
use otter_protocol::device::Device;
use otter_protocol::preview::{Coming, Hours};
use otter_protocol::rule::{Finding, Outcome, Rule};
use otter_protocol::window::Window;
use otter_protocol::{DeviceId, GroupName, RolloutId, Timestamp};

use crate::engine::takes_so_many;
use crate::fleet::Fleet;
use crate::scan::{Look, Shown};

/// Check-ins that a device may miss before nobody can say when it comes.
const MISSED: u64 = 3;

/// Ends of back-offs are told apart to this many milliseconds.
const BACK_OFF_STEP_MS: i64 = 600_000;

/// Most combinations of zones and groups that are told apart.
const MAX_HOURS: usize = 500;

/// Devices that are held back, by rule.
#[derive(Debug, Default)]
pub(super) struct HeldCounts {
    /// Each once.
    pub(super) devices: u64,
    /// Of those, the ones that are held until a person or a release changes it.
    pub(super) lasting: u64,
    by_rule: BTreeMap<Rule, Held>,
}

impl HeldCounts {
    fn add(&mut self, device: &DeviceId, blockers: &[Outcome]) {
        self.devices += u64::from(!blockers.is_empty());
        self.lasting += u64::from(blockers.iter().any(Outcome::is_lasting));
        for outcome in blockers {
            let held = self.by_rule.entry(outcome.rule).or_insert_with(|| Held {
                rule: outcome.rule,
                devices: 0,
                lasting: 0,
                device: device.clone(),
                example: outcome.to_string(),
            });
            held.devices += 1;
            held.lasting += u64::from(outcome.is_lasting());
        }
    }

    /// Returns them, the rule that holds the most first.
    pub(super) fn sorted(&self) -> Vec<Held> {
        let mut held: Vec<Held> = self.by_rule.values().cloned().collect();
        held.sort_by_key(|held| std::cmp::Reverse(held.devices));
        held
    }
}

/// A phase's devices.
#[derive(Debug, Default)]
pub(super) struct PhaseCensus {
    /// Devices that it takes in and that didn't begin yet.
    pub(super) fresh: u64,
    /// Devices that still have to begin.
    pub(super) left: u64,
    /// Of those, the ones that weren't seen lately.
    pub(super) silent: u64,
    /// Of those, the ones whose circumstances don't allow it.
    pub(super) unfit: u64,
    pub(super) held: HeldCounts,
    /// The others, by their hours and when they may begin.
    coming: HashMap<(Option<usize>, Timestamp), u64>,
}

impl PhaseCensus {
    pub(super) fn coming(&self, interval_sec: u64) -> Vec<Coming> {
        let mut coming: Vec<Coming> = self
            .coming
            .iter()
            .map(|((hours, from), devices)| Coming {
                devices: *devices,
                interval_sec,
                from: *from,
                hours: *hours,
            })
            .collect();
        coming.sort_by_key(|one| (one.from, one.hours));
        coming
    }
}

/// Looks at a fleet for one rollout.
pub(super) struct Census {
    fleet: Fleet,
    weigher: Weigher,
    /// Rollouts that get a device first.
    ahead: Vec<Weigher>,
    now: Timestamp,
    seen_since: Timestamp,
    has_windows: bool,
    hours_by_key: HashMap<(Option<String>, Vec<GroupName>), usize>,
    /// When devices may start updates.
    pub(super) hours: Vec<Hours>,
    /// All that take part or ask to.
    pub(super) devices: u64,
    /// Those that the rollout is for.
    pub(super) audience: u64,
    /// Of those, the ones that run the release already.
    pub(super) on_it: u64,
    pub(super) held: HeldCounts,
    /// In order; after them the way back.
    pub(super) phases: Vec<PhaseCensus>,
    /// Devices that others get first, by rollout.
    pub(super) taken: BTreeMap<RolloutId, (String, u64)>,
}

impl Census {
    pub(super) fn new(fleet: Fleet, weigher: Weigher, ahead: Vec<Weigher>) -> Self {
        let now = fleet.now();
        let interval_sec = u64::from(fleet.config().check_in_interval_sec);
        let spec = &weigher.planned().rollout.spec;
        let has_windows = restricts(&spec.window)
            || weigher
                .plan()
                .groups()
                .any(|group| group.window.as_ref().is_some_and(restricts));
        let phases = (0..=spec.phases.len()).map(|_| PhaseCensus::default());
        Self {
            now,
            seen_since: now.minus_sec(interval_sec.saturating_mul(MISSED)),
            has_windows,
            phases: phases.collect(),
            hours_by_key: HashMap::new(),
            hours: Vec::new(),
            devices: 0,
            audience: 0,
            on_it: 0,
            held: HeldCounts::default(),
            taken: BTreeMap::new(),
            ahead,
            weigher,
            fleet,
        }
    }

    fn is_silent(&self, shown: &Shown<'_>) -> bool {
        let is_recent = |at: i64| at >= self.seen_since.0;
        // What isn't written yet is in memory.
        !shown.last_seen_at.is_some_and(is_recent)
            && !self
                .fleet
                .inner
                .presence
                .unwritten(&shown.device.id)
                .is_some_and(|at| is_recent(at.0))
    }

    /// Counts a device for each rollout that gets it first, and tells what it finds of the first of them.
    fn yields(&mut self, device: &Device) -> Option<Outcome> {
        let mut first = None;
        for ahead in &self.ahead {
            if !ahead.weigh(device).awaits() {
                continue;
            }
            let rollout = &ahead.planned().rollout;
            let name = &rollout.spec.name;
            let taken = self.taken.entry(rollout.id);
            taken.or_insert_with(|| (name.clone(), 0)).1 += 1;
            first.get_or_insert_with(|| Outcome {
                rule: Rule::GoesFirst,
                passes: false,
                finding: Finding::Yields {
                    to: rollout.id,
                    name: name.clone(),
                    is_under_way: device
                        .attempt
                        .as_ref()
                        .is_some_and(|open| open.rollout == rollout.id),
                },
            });
        }
        first
    }

    /// Returns the place of a device's hours.
    fn hours_of(&mut self, device: &Device) -> Option<usize> {
        if !self.has_windows {
            return None;
        }
        let plan = self.weigher.plan();
        let groups: Vec<_> = plan.windows_of(device).collect();
        let names = groups.iter().map(|group| group.name.clone()).collect();
        let zone = device.conditions.time_zone.clone();
        let key = (zone.filter(|_| self.hours.len() < MAX_HOURS), names);
        if let Some(place) = self.hours_by_key.get(&key) {
            return Some(*place);
        }
        let own = &self.weigher.planned().rollout.spec.window;
        let of_groups = groups.iter().filter_map(|group| group.window.clone());
        let windows = std::iter::once(own.clone()).chain(of_groups).collect();
        self.hours.push(Hours {
            windows,
            zone: key.0.clone(),
        });
        let place = self.hours.len() - 1;
        self.hours_by_key.insert(key, place);
        Some(place)
    }

    /// Counts a device that is waited for.
    fn add_left(&mut self, shown: &Shown<'_>, weighed: &Weighed, phase: u32) {
        let is_silent = self.is_silent(shown);
        let is_unfit = weighed.blockers.iter().any(|one| is_circumstance(one.rule));
        let from = weighed.blockers.iter().find_map(backs_off_until);
        let from = from.map_or(self.now, |until| {
            let steps = until.0.div_euclid(BACK_OFF_STEP_MS).saturating_add(1);
            Timestamp(steps.saturating_mul(BACK_OFF_STEP_MS))
        });
        let hours = self.hours_of(shown.device);
        let Some(counts) = self.phases.get_mut(phase as usize) else {
            return;
        };
        counts.left += 1;
        if is_silent {
            counts.silent += 1;
        } else if is_unfit {
            counts.unfit += 1;
        } else {
            *counts.coming.entry((hours, from)).or_default() += 1;
        }
    }
}

impl Look for Census {
    fn look(&mut self, shown: &Shown<'_>) {
        let device = shown.device;
        self.devices += 1;
        let mut weighed = self.weigher.weigh(device);
        if weighed.is_blocked_by(Rule::InAudience) {
            return;
        }
        self.audience += 1;
        if weighed.is_blocked_by(Rule::NotOnIt) {
            self.on_it += 1;
            return;
        }
        let planned = self.weigher.planned();
        let id = planned.rollout.id;
        if device
            .attempt
            .as_ref()
            .is_some_and(|open| open.rollout == id)
        {
            return;
        }
        let awaits = weighed.awaits();
        let is_fresh = !device.past.contains_key(&id);
        let is_of_count = weighed
            .phase
            .is_some_and(|phase| takes_so_many(planned, phase));
        if awaits {
            weighed.blockers.extend(self.yields(device));
        }
        self.held.add(&device.id, &weighed.blockers);
        let Some(phase) = weighed.phase else {
            return;
        };
        if let Some(counts) = self.phases.get_mut(phase as usize) {
            // Those that take so many pass over whom they can't have.
            counts.fresh += u64::from(is_fresh && (awaits || !is_of_count));
            counts.held.add(&device.id, &weighed.blockers);
        }
        if awaits {
            self.add_left(shown, &weighed, phase);
            if is_fresh && is_of_count {
                self.weigher.take_in(phase);
            }
        }
    }
}

fn restricts(window: &Window) -> bool {
    !window.spans.is_empty() || !window.freezes.is_empty()
}

/// Tells whether a rule is about circumstances of which nobody can say when they change.
fn is_circumstance(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::Battery | Rule::Power | Rule::MeteredLink | Rule::Storage | Rule::Stable
    )
}

fn backs_off_until(outcome: &Outcome) -> Option<Timestamp> {
    (outcome.rule == Rule::BackedOff)
        .then(|| outcome.changes_at())
        .flatten()
}
