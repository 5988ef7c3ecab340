//! How a simulated device takes an update: well, badly, or not at all.

use std::cmp::Reverse;
use std::collections::HashMap;

use otter_protocol::DeviceId;
use otter_protocol::cohort::Cohort;

use crate::Failure;

/// Steps after which a device that becomes unhealthy does.
pub(super) const SOUND_STEPS: u32 = 4;

/// How a device takes updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Temper {
    /// Well.
    #[default]
    Sound,
    /// It fails every attempt and rolls back.
    Failing,
    /// It succeeds, and is unhealthy some time after.
    Unhealthy,
    /// It begins, and is not heard of again.
    Silent,
    /// It fails the first attempt at a version and succeeds at the next.
    Flapping,
}

/// How many devices take updates otherwise than well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tempers {
    /// Those that fail every attempt.
    pub failing: u32,
    /// Those that become unhealthy after they succeeded.
    pub unhealthy: u32,
    /// Those that are not heard of again.
    pub silent: u32,
    /// Those that fail the first attempt at a version.
    pub flapping: u32,
}

/// Says which devices are not sound: always the same, those whose cohort is highest, one kind after another; and those named,
/// which fail.
///
/// They come last in every rollout with fixed cohorts, so that a canary of many is not spoiled by chance.
pub(super) fn assign(
    ids: &[DeviceId],
    tempers: Tempers,
    failing: &[DeviceId],
) -> Result<HashMap<DeviceId, Temper>, Failure> {
    if let Some(unknown) = failing.iter().find(|id| !ids.contains(id)) {
        return Err(Failure::Usage(format!(
            "--fail-device {unknown} is none of the simulated devices, which are {} to {}",
            ids.first().map_or("", DeviceId::as_str),
            ids.last().map_or("", DeviceId::as_str)
        )));
    }
    let kinds = [
        (Temper::Failing, tempers.failing),
        (Temper::Unhealthy, tempers.unhealthy),
        (Temper::Silent, tempers.silent),
        (Temper::Flapping, tempers.flapping),
    ];
    let unsound = kinds
        .into_iter()
        .flat_map(|(kind, number)| std::iter::repeat_n(kind, number as usize));
    let mut ranked: Vec<&DeviceId> = ids.iter().collect();
    ranked.sort_by_key(|id| Reverse(Cohort::fixed(id)));
    let mut assigned: HashMap<DeviceId, Temper> =
        ranked.into_iter().cloned().zip(unsound).collect();
    assigned.extend(failing.iter().map(|id| (id.clone(), Temper::Failing)));
    Ok(assigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(number: u32) -> Vec<DeviceId> {
        (1..=number)
            .map(|number| DeviceId::new(format!("sim-{number:04}")).unwrap())
            .collect()
    }

    #[test]
    fn the_same_devices_are_unsound_every_time_and_they_come_last() {
        let tempers = Tempers {
            failing: 2,
            unhealthy: 3,
            silent: 1,
            flapping: 4,
        };
        let ids = ids(200);
        let assigned = assign(&ids, tempers, &[]).unwrap();
        let count = |kind| assigned.values().filter(|temper| **temper == kind).count();
        assert_eq!(count(Temper::Failing), 2);
        assert_eq!(count(Temper::Unhealthy), 3);
        assert_eq!(count(Temper::Silent), 1);
        assert_eq!(count(Temper::Flapping), 4);
        let least = assigned.keys().map(Cohort::fixed).min().unwrap();
        let before = ids.iter().filter(|id| Cohort::fixed(id) < least).count();
        assert_eq!(before, 190);
    }

    #[test]
    fn a_device_that_should_fail_must_be_there() {
        let ids = ids(3);
        let named = [DeviceId::new("sim-0003").unwrap()];
        let assigned = assign(&ids, Tempers::default(), &named).unwrap();
        assert_eq!(assigned[&named[0]], Temper::Failing);
        let named = [DeviceId::new("sim-0004").unwrap()];
        let error = assign(&ids, Tempers::default(), &named).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(
            error.to_string().contains("sim-0001 to sim-0003"),
            "{error}"
        );
    }
}
