//! What makes a rollout's specification impossible.

use super::{Audience, PhaseScope, RolloutSpec};
use crate::share::Share;
use crate::window::WindowError;

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
        self.check_audience()?;
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
            Audience::Percent { share } if *share == Share::NONE => Err(SpecError::new(
                "audience.share",
                "0 percent is nobody; give more than 0",
            )),
            _ => Ok(()),
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Window;

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

    #[test]
    fn each_fault_names_its_field() {
        let field = |spec: RolloutSpec| spec.check().unwrap_err().field;
        assert_eq!(field(spec(&[])), "phases");
        assert_eq!(field(spec(&[25.0, 5.0])), "phases[1].scope.share");
        assert_eq!(field(spec(&[0.0])), "phases[0].scope.share");
        assert_eq!(
            field(RolloutSpec {
                name: " ".into(),
                ..spec(&[5.0])
            }),
            "name"
        );
        assert_eq!(
            field(RolloutSpec {
                max_in_flight: Some(0),
                ..spec(&[5.0])
            }),
            "max_in_flight"
        );
        assert_eq!(
            field(RolloutSpec {
                audience: Audience::Devices { devices: vec![] },
                ..spec(&[5.0])
            }),
            "audience.devices"
        );
        let zone = Window {
            zone: Some("Nowhere/At".into()),
            ..Window::default()
        };
        assert_eq!(
            field(RolloutSpec {
                window: zone,
                ..spec(&[5.0])
            }),
            "window"
        );
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
