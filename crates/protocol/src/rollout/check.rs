//! What makes a rollout's specification impossible.

use super::{Audience, Pace, Phase, PhaseScope, RolloutSpec};
use crate::share::Share;
use crate::window::WindowError;

/// Most devices that a rollout lists.
const MAX_LISTED: usize = 10_000;

/// A rollout that can't work as written: the field, and why.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct SpecError {
    /// The field, as a path such as `phases[1].scope.share`.
    pub field: String,
    /// What is wrong and what would be right.
    pub why: String,
}

impl SpecError {
    fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            why: why.into(),
        }
    }
}

impl RolloutSpec {
    /// Checks what can be checked without the database.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.name.trim().is_empty() || self.name.len() > 200 {
            return Err(SpecError::new(
                "name",
                "a rollout needs a name of at most 200 bytes",
            ));
        }
        if self.max_attempts == 0 {
            return Err(SpecError::new(
                "max_attempts",
                "a device needs at least 1 attempt",
            ));
        }
        if self.max_in_flight == Some(0) {
            return Err(SpecError::new(
                "max_in_flight",
                "with 0 no device could ever begin; leave it out for no limit",
            ));
        }
        if self.attempt_deadline_sec == 0 {
            return Err(SpecError::new(
                "attempt_deadline_sec",
                "an attempt needs some time; give at least 1 second",
            ));
        }
        if self
            .requirements
            .min_battery_percent
            .is_some_and(|percent| percent > 100)
        {
            return Err(SpecError::new(
                "requirements.min_battery_percent",
                "a battery holds at most 100 percent",
            ));
        }
        if self.batch_size == Some(0) {
            return Err(SpecError::new(
                "batch_size",
                "a batch has at least 1 device; leave it out for no batches",
            ));
        }
        if self.hold_after == Some(0) {
            return Err(SpecError::new(
                "hold_after",
                "a device can't be held before it fails; give at least 1, or null to hold none",
            ));
        }
        self.check_audience()?;
        self.check_pace()?;
        self.window
            .check()
            .map_err(|error: WindowError| SpecError::new("window", error.to_string()))?;
        self.check_phases()
    }

    fn check_audience(&self) -> Result<(), SpecError> {
        match &self.audience {
            Audience::Devices { devices } if devices.is_empty() => Err(SpecError::new(
                "audience.devices",
                "list at least one device",
            )),
            Audience::Devices { devices } if devices.len() > MAX_LISTED => Err(SpecError::new(
                "audience.devices",
                format!(
                    "list at most {MAX_LISTED} devices; put more in a group, or give them a label"
                ),
            )),
            Audience::Split { salt, .. } if salt.trim().is_empty() || salt.len() > 100 => Err(
                SpecError::new("audience.salt", "a split needs a name of at most 100 bytes"),
            ),
            Audience::Split { from, until, .. } if from >= until => Err(SpecError::new(
                "audience.until",
                format!("the part must end after it begins: {until} is not over {from}"),
            )),
            Audience::Percent { share } if *share == Share::NONE => Err(SpecError::new(
                "audience.share",
                "0 percent is nobody; give more than 0",
            )),
            _ if self.exclude.devices.len() > MAX_LISTED => Err(SpecError::new(
                "exclude.devices",
                format!(
                    "list at most {MAX_LISTED} devices; put more in a group, or give them a label"
                ),
            )),
            _ => Ok(()),
        }
    }

    fn check_pace(&self) -> Result<(), SpecError> {
        let Some(Pace { per_hour, growth }) = self.pace else {
            return Ok(());
        };
        if per_hour == 0 {
            return Err(SpecError::new(
                "pace.per_hour",
                "with 0 no device could ever begin; leave the pace out for no limit",
            ));
        }
        let Some(growth) = growth else {
            return Ok(());
        };
        if !(growth.factor > 1.0 && growth.factor <= 10.0) {
            return Err(SpecError::new(
                "pace.growth.factor",
                format!(
                    "a pace grows by a factor over 1 and at most 10, not {}",
                    growth.factor
                ),
            ));
        }
        if growth.every_successes == 0 {
            return Err(SpecError::new(
                "pace.growth.every_successes",
                "a pace grows each time that at least 1 attempt succeeded",
            ));
        }
        if growth.max_per_hour < per_hour {
            return Err(SpecError::new(
                "pace.growth.max_per_hour",
                format!("the limit of the pace must not be under its start, {per_hour}"),
            ));
        }
        Ok(())
    }

    fn check_phases(&self) -> Result<(), SpecError> {
        if self.phases.is_empty() {
            return Err(SpecError::new(
                "phases",
                "a rollout needs at least one phase",
            ));
        }
        let mut before = Share::NONE;
        for (place, phase) in self.phases.iter().enumerate() {
            if phase.name.trim().is_empty() || phase.name.len() > 100 {
                return Err(SpecError::new(
                    format!("phases[{place}].name"),
                    "a phase needs a name of at most 100 bytes",
                ));
            }
            self.check_sample(place, phase)?;
            if let PhaseScope::Share { share } = phase.scope {
                if share <= before {
                    let why = format!(
                        "shares must rise from phase to phase: {share} does not come after {before}"
                    );
                    return Err(SpecError::new(format!("phases[{place}].scope.share"), why));
                }
                before = share;
            }
        }
        Ok(())
    }

    /// A gate whose sample is larger than its phase can ever be is a mistake.
    fn check_sample(&self, place: usize, phase: &Phase) -> Result<(), SpecError> {
        if phase.scope == (PhaseScope::Count { devices: 0 }) {
            return Err(SpecError::new(
                format!("phases[{place}].scope.devices"),
                "a phase takes at least 1 device",
            ));
        }
        let listed = match &self.audience {
            Audience::Devices { devices } => Some(devices.len() as u64),
            _ => None,
        };
        let counted = match phase.scope {
            PhaseScope::Count { devices } => Some(u64::from(devices)),
            _ => None,
        };
        let Some(most) = listed.into_iter().chain(counted).min() else {
            return Ok(());
        };
        let attempts = most.saturating_mul(u64::from(self.max_attempts));
        match phase.gate.min_finished.map(u64::from) {
            Some(needed) if needed > attempts => Err(SpecError::new(
                format!("phases[{place}].gate.min_finished"),
                format!(
                    "this gate could never open: it waits for {needed} finished attempts, and its phase has at most \
                     {attempts}"
                ),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(shares: &[f64]) -> RolloutSpec {
        let phase = |share: &f64| serde_json::json!({"name": format!("{share}"), "scope": {"kind": "share", "share": share}});
        let phases: Vec<_> = shares.iter().map(phase).collect();
        serde_json::from_value(serde_json::json!({"name": "r", "release": 1, "phases": phases}))
            .unwrap()
    }

    #[test]
    fn little_is_needed() {
        let spec = spec(&[5.0, 25.0, 100.0]);
        assert_eq!(spec.check(), Ok(()));
        assert_eq!((spec.max_attempts, spec.attempt_deadline_sec), (1, 3600));
    }

    /// Returns a plain specification with one thing changed, as JSON has it.
    fn with(change: serde_json::Value) -> RolloutSpec {
        let mut plain = serde_json::to_value(spec(&[5.0, 100.0])).unwrap();
        let (into, from) = (plain.as_object_mut().unwrap(), change.as_object().unwrap());
        into.extend(from.clone());
        serde_json::from_value(plain).unwrap()
    }

    #[test]
    fn each_fault_names_its_field() {
        let phase = |scope: serde_json::Value, gate: serde_json::Value| json!({"phases": [{"name": "a", "scope": scope, "gate": gate}]});
        let window = |start: u16, end: u16, days: serde_json::Value| json!({"window": {"spans": [{"days": days, "start_minute": start, "end_minute": end}]}});
        let growth = |factor: f64, every: u32, most: u32| json!({"pace": {"per_hour": 60, "growth": {"factor": factor, "every_successes": every, "max_per_hour": most}}});
        let ids = |many: usize| (0..many).map(|n| format!("d{n}")).collect::<Vec<_>>();
        let faults = [
            (json!({"name": " "}), "name"),
            (json!({"name": "n".repeat(201)}), "name"),
            (json!({"max_attempts": 0}), "max_attempts"),
            (json!({"max_in_flight": 0}), "max_in_flight"),
            (json!({"batch_size": 0}), "batch_size"),
            (json!({"hold_after": 0}), "hold_after"),
            (json!({"attempt_deadline_sec": 0}), "attempt_deadline_sec"),
            (
                json!({"requirements": {"min_battery_percent": 101}}),
                "requirements.min_battery_percent",
            ),
            (
                json!({"audience": {"kind": "devices", "devices": []}}),
                "audience.devices",
            ),
            (
                json!({"audience": {"kind": "devices", "devices": ids(10_001)}}),
                "audience.devices",
            ),
            (
                json!({"audience": {"kind": "percent", "share": 0}}),
                "audience.share",
            ),
            (
                json!({"audience": {"kind": "split", "salt": " ", "from": 0, "until": 50}}),
                "audience.salt",
            ),
            (
                json!({"audience": {"kind": "split", "salt": "s".repeat(101), "from": 0, "until": 50}}),
                "audience.salt",
            ),
            (
                json!({"audience": {"kind": "split", "salt": "s", "from": 50, "until": 50}}),
                "audience.until",
            ),
            (
                json!({"audience": {"kind": "split", "salt": "s", "from": 50, "until": 10}}),
                "audience.until",
            ),
            (
                json!({"exclude": {"devices": ids(10_001)}}),
                "exclude.devices",
            ),
            (json!({"pace": {"per_hour": 0}}), "pace.per_hour"),
            (growth(1.0, 5, 100), "pace.growth.factor"),
            (growth(10.5, 5, 100), "pace.growth.factor"),
            (growth(-2.0, 5, 100), "pace.growth.factor"),
            (growth(2.0, 0, 100), "pace.growth.every_successes"),
            (growth(2.0, 5, 59), "pace.growth.max_per_hour"),
            (json!({"window": {"zone": "Nowhere/At"}}), "window"),
            (window(60, 60, json!(["monday"])), "window"),
            (window(60, 1441, json!(["monday"])), "window"),
            (window(60, 120, json!([])), "window"),
            (
                json!({"window": {"freezes": [{"from": "2026-02-02", "until": "2026-02-01"}]}}),
                "window",
            ),
            (json!({"phases": []}), "phases"),
            (
                json!({"phases": [{"name": "", "scope": {"kind": "share", "share": 5}}]}),
                "phases[0].name",
            ),
            (
                phase(json!({"kind": "share", "share": 0}), json!({})),
                "phases[0].scope.share",
            ),
            (
                phase(json!({"kind": "count", "devices": 0}), json!({})),
                "phases[0].scope.devices",
            ),
            (
                phase(
                    json!({"kind": "count", "devices": 5}),
                    json!({"min_finished": 6}),
                ),
                "phases[0].gate.min_finished",
            ),
        ];
        for (change, field) in faults {
            let shown: String = change.to_string().chars().take(200).collect();
            let error = with(change).check().expect_err(&shown);
            assert_eq!(error.field, field, "{shown}");
            assert!(
                error.to_string().starts_with(field) && error.why.len() > 20,
                "{error}"
            );
        }
    }

    #[test]
    fn shares_rise_past_phases_that_have_none() {
        let share =
            |percent: f64| json!({"name": "s", "scope": {"kind": "share", "share": percent}});
        let group = json!({"name": "g", "scope": {"kind": "group", "group": "pilot"}});
        let phases = |first: f64, last: f64| {
            with(json!({"phases": [share(first), group, share(last)]})).check()
        };
        assert_eq!(phases(5.0, 10.0), Ok(()));
        for falling in [5.0, 4.0] {
            let error = phases(5.0, falling).unwrap_err();
            assert_eq!(error.field, "phases[2].scope.share");
        }
    }

    #[test]
    fn a_sample_may_be_as_large_as_its_phase_with_every_try() {
        let gate = |needed: u32, max_attempts: u32| {
            let phase = json!({"name": "a", "scope": {"kind": "share", "share": 100}, "gate": {"min_finished": needed}});
            with(json!({
                "audience": {"kind": "devices", "devices": ["a", "b"]},
                "max_attempts": max_attempts,
                "phases": [phase],
            }))
            .check()
            .map_err(|error| error.field)
        };
        assert_eq!(gate(2, 1), Ok(()));
        assert_eq!(gate(3, 1), Err("phases[0].gate.min_finished".to_owned()));
        assert_eq!(gate(6, 3), Ok(()));
        assert_eq!(gate(7, 3), Err("phases[0].gate.min_finished".to_owned()));
    }

    #[test]
    fn what_stands_at_a_limit_is_fine() {
        let growth = json!({"factor": 10.0, "every_successes": 1, "max_per_hour": 1});
        for fine in [
            json!({"name": "n".repeat(200)}),
            json!({"requirements": {"min_battery_percent": 100}}),
            json!({"hold_after": null}),
            json!({"pace": {"per_hour": 1, "growth": growth}}),
            json!({"audience": {"kind": "split", "salt": "s", "from": 0, "until": 100}}),
            json!({"window": {"spans": [{"days": ["sunday"], "start_minute": 0, "end_minute": 1440}]}}),
            json!({"retry_after_sec": 0}),
        ] {
            assert_eq!(with(fine.clone()).check(), Ok(()), "{fine}");
        }
    }

    #[test]
    fn percentages_out_of_range_do_not_parse() {
        let json = r#"{"name":"r","release":1,"phases":[{"name":"a","scope":{"kind":"share","share":120}}]}"#;
        let error = serde_json::from_str::<RolloutSpec>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains("from 0 to 100, not 120"), "{error}");
    }
}
