//! The rules about when, and about what a device says of itself: its window, its power, its link, its storage.

use super::case::{Case, outcome, unless};
use crate::group::Group;
use crate::rule::{Finding, Outcome, Rule, WhoseWindow};
use crate::window::{Joint, joint_opening, local_words};

impl Case<'_> {
    /// The rollout's window and those of the device's groups, all at once.
    pub(super) fn window_open(&self) -> Outcome {
        let groups: Vec<_> = self.plan.windows_of(self.device).collect();
        let Some(memo) = self.memo else {
            return self.windows_at(&groups);
        };
        let zone = self.device.conditions.time_zone.as_deref();
        memo.outcome(zone, &groups, || self.windows_at(&groups))
    }

    fn windows_at(&self, groups: &[&Group]) -> Outcome {
        let device_zone = self.device.conditions.time_zone.as_deref();
        let own = &self.planned.rollout.spec.window;
        let groups: Vec<_> = groups
            .iter()
            .filter_map(|group| Some((*group, group.window.as_ref()?)))
            .collect();
        let windows: Vec<_> = std::iter::once(own)
            .chain(groups.iter().map(|(_, window)| *window))
            .collect();
        match joint_opening(&windows, self.now, device_zone) {
            Joint::Open => outcome(Rule::WindowOpen, true, Finding::Passes),
            Joint::Closed { place, opens_at } => {
                let window = windows.get(place).copied().unwrap_or(own);
                let zone = window.zone_for(device_zone);
                let group = place.checked_sub(1).and_then(|place| groups.get(place));
                let finding = Finding::WindowClosed {
                    opens_at,
                    opens: opens_at.map(|at| local_words(at, self.now, &zone)),
                    zone: zone.iana_name().unwrap_or("UTC").to_owned(),
                    whose: group.map_or(WhoseWindow::Rollout, |(group, _)| WhoseWindow::Group {
                        group: group.name.clone(),
                    }),
                };
                outcome(Rule::WindowOpen, false, finding)
            }
        }
    }

    pub(super) fn battery(&self) -> Outcome {
        let conditions = &self.device.conditions;
        let asked = self.planned.rollout.spec.requirements.min_battery_percent;
        match asked.zip(conditions.battery_percent) {
            Some((least, got)) if conditions.on_mains != Some(true) => outcome(
                Rule::Battery,
                got >= least,
                Finding::AtLeast {
                    got: got.into(),
                    least: least.into(),
                },
            ),
            _ => outcome(Rule::Battery, true, Finding::Passes),
        }
    }

    pub(super) fn power(&self) -> Outcome {
        let blocked = self.planned.rollout.spec.requirements.needs_mains
            && self.device.conditions.on_mains == Some(false);
        unless(Rule::Power, blocked, || Finding::OnBattery)
    }

    pub(super) fn metered_link(&self) -> Outcome {
        let avoids = self.planned.rollout.spec.requirements.avoids_metered;
        let is_metered = self.device.conditions.is_metered == Some(true);
        if avoids && is_metered && self.target.release.required {
            return outcome(Rule::MeteredLink, true, Finding::Required);
        }
        unless(Rule::MeteredLink, avoids && is_metered, || Finding::Metered)
    }

    pub(super) fn storage(&self) -> Outcome {
        let needed = self
            .target
            .release
            .artifact_for(&self.device.model)
            .map(|artifact| artifact.size);
        match needed.zip(self.device.conditions.free_bytes) {
            Some((least, got)) => {
                outcome(Rule::Storage, got >= least, Finding::AtLeast { got, least })
            }
            None => outcome(Rule::Storage, true, Finding::Passes),
        }
    }

    pub(super) fn stable(&self) -> Outcome {
        let asked = self.planned.rollout.spec.requirements.max_crashes;
        match asked.zip(self.device.conditions.crashes_since_boot) {
            Some((most, got)) => outcome(
                Rule::Stable,
                got <= most,
                Finding::AtMost {
                    got: got.into(),
                    most: most.into(),
                },
            ),
            None => outcome(Rule::Stable, true, Finding::Passes),
        }
    }
}
