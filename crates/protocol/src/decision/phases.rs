//! Whom a rollout is for, and in which of its phases.

use crate::cohort::Cohort;
use crate::device::Device;
use crate::plan::{Plan, PlannedRollout};
use crate::rollout::{Audience, CohortKind, PhaseScope};

/// Returns the first phase that takes a device in, open or not, from 0. Where it began once, it stays.
pub fn phase_of(device: &Device, plan: &Plan, planned: &PlannedRollout) -> Option<u32> {
    phase_at(device, plan, planned, || cohort_of(device, planned))
}

/// The same, where the device's place may be known already.
pub(super) fn phase_at(
    device: &Device,
    plan: &Plan,
    planned: &PlannedRollout,
    cohort: impl Fn() -> Cohort,
) -> Option<u32> {
    let begun_in = device
        .past
        .get(&planned.rollout.id)
        .and_then(|past| past.phase);
    if begun_in.is_some() {
        return begun_in;
    }
    let cohort = std::cell::LazyCell::new(cohort);
    let phases = planned.rollout.spec.phases.iter().zip(0_u32..);
    let takes_in = |(phase, place): (&crate::rollout::Phase, u32)| {
        let is_in = match &phase.scope {
            PhaseScope::Share { share } => cohort.is_below(*share),
            PhaseScope::Group { group } => plan.is_member(device, group),
            PhaseScope::Count { devices } => {
                planned.load.phase(place).devices < u64::from(*devices)
            }
        };
        is_in.then_some(place)
    };
    phases.map(takes_in).find_map(|place| place)
}

/// Tells whether a rollout is for a device, its model, exclusions and when it joined aside.
pub fn is_in_audience(device: &Device, plan: &Plan, planned: &PlannedRollout) -> bool {
    match &planned.rollout.spec.audience {
        Audience::All => true,
        Audience::Percent { share } => cohort_of(device, planned).is_below(*share),
        Audience::Split { salt, from, until } => {
            let place = Cohort::of_split(salt, &device.id);
            place.is_below(*until) && !place.is_below(*from)
        }
        // In order by the plan.
        Audience::Devices { devices } => devices.binary_search(&device.id).is_ok(),
        Audience::Group { group } => plan.is_member(device, group),
        Audience::Selector { selector } => selector.matches(|key| device.value_of(key)),
    }
}

/// Returns what excludes a device from a rollout, in words.
pub(super) fn exclusion_of(
    device: &Device,
    plan: &Plan,
    planned: &PlannedRollout,
) -> Option<String> {
    let exclude = &planned.rollout.spec.exclude;
    if exclude.is_empty() {
        return None;
    }
    if exclude.devices.binary_search(&device.id).is_ok() {
        return Some("it is listed".to_owned());
    }
    let group = exclude
        .groups
        .iter()
        .find(|group| plan.is_member(device, group));
    if let Some(group) = group {
        return Some(format!("group {group}"));
    }
    exclude
        .selector
        .as_ref()
        .filter(|selector| selector.matches(|key| device.value_of(key)))
        .map(ToString::to_string)
}

/// Returns a device's place in a rollout.
pub fn cohort_of(device: &Device, planned: &PlannedRollout) -> Cohort {
    match planned.rollout.spec.cohort {
        CohortKind::Fixed => Cohort::fixed(&device.id),
        CohortKind::Spread => Cohort::spread(planned.rollout.id, &device.id),
    }
}
