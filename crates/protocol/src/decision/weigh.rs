//! A whole fleet before one rollout: the same rules, of which only what blocks is kept.

use std::cell::RefCell;
use std::collections::HashMap;

use super::case::Case;
use super::target::Target;
use crate::attempt::AttemptPurpose;
use crate::device::Device;
use crate::group::Group;
use crate::id::GroupName;
use crate::plan::{Plan, PlannedRollout};
use crate::rule::{Outcome, Rule};
use crate::time::Timestamp;

/// Weighs devices for one rollout, one after another.
#[derive(Debug)]
pub struct Weigher {
    plan: Plan,
    planned: PlannedRollout,
    now: Timestamp,
    memo: WindowMemo,
}

/// What stands between a device and a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighed {
    /// What an attempt would be for.
    pub purpose: AttemptPurpose,
    /// The phase that takes the device in, open or not, from 0; on the way back the one after the last.
    pub phase: Option<u32>,
    /// The rules that hold it back, in order.
    pub blockers: Vec<Outcome>,
}

impl Weighed {
    /// Tells whether the rollout still waits for the device: nothing that lasts stands in the way.
    pub fn awaits(&self) -> bool {
        !self.blockers.iter().any(Outcome::is_lasting)
    }

    /// Tells whether a rule holds the device back.
    pub fn is_blocked_by(&self, rule: Rule) -> bool {
        self.blockers.iter().any(|outcome| outcome.rule == rule)
    }
}

impl Weigher {
    /// Begins to weigh devices at a moment.
    pub fn new(plan: Plan, planned: PlannedRollout, now: Timestamp) -> Self {
        Self {
            plan,
            planned,
            now,
            memo: WindowMemo::default(),
        }
    }

    /// Returns the plan that devices are weighed by.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the rollout that devices are weighed for.
    pub fn planned(&self) -> &PlannedRollout {
        &self.planned
    }

    /// Returns what [`consider`](super::consider) finds against the device.
    pub fn weigh(&self, device: &Device) -> Weighed {
        let target = Target::of(device, &self.plan, &self.planned);
        let mut case = Case::new(device, &self.plan, &self.planned, &target, self.now);
        case.memo = Some(&self.memo);
        let blockers = case.outcomes().filter(|outcome| !outcome.passes).collect();
        let phase = match target.purpose {
            AttemptPurpose::RollBack => u32::try_from(self.planned.rollout.spec.phases.len()).ok(),
            AttemptPurpose::Update | AttemptPurpose::Step => case.phase(),
        };
        Weighed {
            purpose: target.purpose,
            phase,
            blockers,
        }
    }

    /// Takes a device into a phase that takes so many, so that it fills up as devices are weighed.
    pub fn take_in(&mut self, phase: u32) {
        if let Some(load) = self.planned.load.phases.get_mut(phase as usize) {
            load.devices += 1;
        }
    }
}

/// What windows say of all devices in a zone that are in the same groups.
type OfZone = HashMap<Vec<GroupName>, Outcome>;

/// What windows said at one moment: working out when one opens takes longer than every other rule.
#[derive(Debug, Default)]
pub(super) struct WindowMemo {
    by_zone: RefCell<HashMap<Option<String>, OfZone>>,
}

/// Zones that are remembered; devices name theirs freely.
const MAX_ZONES: usize = 1_000;

impl WindowMemo {
    /// Returns what the windows of these groups, and the rollout's, say of a device in a zone.
    pub(super) fn outcome(
        &self,
        zone: Option<&str>,
        groups: &[&Group],
        work_out: impl FnOnce() -> Outcome,
    ) -> Outcome {
        let names: Vec<GroupName> = groups.iter().map(|group| group.name.clone()).collect();
        let mut by_zone = self.by_zone.borrow_mut();
        let zone = zone.map(str::to_owned);
        if let Some(known) = by_zone.get(&zone).and_then(|known| known.get(&names)) {
            return known.clone();
        }
        let outcome = work_out();
        if by_zone.len() < MAX_ZONES || by_zone.contains_key(&zone) {
            by_zone
                .entry(zone)
                .or_default()
                .insert(names, outcome.clone());
        }
        outcome
    }
}
