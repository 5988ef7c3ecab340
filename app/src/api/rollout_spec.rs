//! A rollout as the fleet takes it, from its form.

use otter_protocol::gate::{Gate, Judgement};
use otter_protocol::rollout::{
    Audience, CohortKind, OnBreach, Phase, PhaseScope, Requirements, RolloutSpec,
};
use otter_protocol::{DeviceId, GroupName, ReleaseId, Share, Timestamp};

use super::ApiError;
use super::rollout_form::{PhaseForm, RolloutForm};

impl RolloutForm {
    /// Returns the rollout that the form describes; the error names the field that is wrong.
    pub(crate) fn spec(&self) -> Result<RolloutSpec, ApiError> {
        let release = self.release.trim().parse().map(ReleaseId);
        let release =
            release.map_err(|_| ApiError::invalid("release", "Choose the release to roll out."))?;
        let spec = RolloutSpec {
            audience: self.audience()?,
            cohort: if self.cohort == "spread" {
                CohortKind::Spread
            } else {
                CohortKind::Fixed
            },
            max_in_flight: number("max_in_flight", &self.max_in_flight)?,
            max_attempts: number("max_attempts", &self.max_attempts)?.unwrap_or(1),
            attempt_deadline_sec: duration("deadline", &self.deadline)?.unwrap_or(3600),
            requirements: Requirements {
                min_battery_percent: number("min_battery", &self.min_battery)?,
                needs_mains: self.needs_mains == "on",
                avoids_metered: self.avoids_metered == "on",
                max_crashes: None,
            },
            on_breach: match self.on_breach.as_str() {
                "abort" => OnBreach::Abort,
                "roll_back" => OnBreach::RollBack,
                _ => OnBreach::Pause,
            },
            allow_downgrade: self.allow_downgrade == "on",
            starts_at: start(&self.starts_at)?,
            ..RolloutSpec::new(self.name.trim(), release, self.phases()?)
        };
        spec.check()
            .map_err(|error| ApiError::invalid(error.field, error.why))?;
        Ok(spec)
    }

    fn audience(&self) -> Result<Audience, ApiError> {
        let field = |field: &'static str| move |why: String| ApiError::invalid(field, why);
        Ok(match self.audience.as_str() {
            "percent" => {
                let share = self
                    .percent
                    .parse()
                    .map_err(|error: otter_protocol::share::ShareError| error.to_string());
                Audience::Percent {
                    share: share.map_err(field("percent"))?,
                }
            }
            "group" => {
                let group =
                    GroupName::new(self.group.trim()).map_err(|_| "Choose the group.".to_owned());
                Audience::Group {
                    group: group.map_err(field("group"))?,
                }
            }
            "selector" => {
                let parsed = self.selector.trim().parse();
                let selector = parsed
                    .map_err(|error: otter_protocol::selector::SelectorError| error.to_string());
                Audience::Selector {
                    selector: selector.map_err(field("selector"))?,
                }
            }
            "devices" => {
                let ids = self
                    .devices
                    .split([',', '\n', ' ', '\r'])
                    .map(str::trim)
                    .filter(|id| !id.is_empty());
                let devices: Result<Vec<_>, _> = ids.map(DeviceId::new).collect();
                Audience::Devices {
                    devices: devices
                        .map_err(|error| error.to_string())
                        .map_err(field("devices"))?,
                }
            }
            _ => Audience::All,
        })
    }

    fn phases(&self) -> Result<Vec<Phase>, ApiError> {
        let rows: Vec<_> = self
            .phases
            .iter()
            .filter(|row| !row.share.trim().is_empty())
            .collect();
        let judgement = if self.judgement == "point" {
            Judgement::Point
        } else {
            Judgement::Confident
        };
        let last = rows.len().saturating_sub(1);
        rows.iter()
            .enumerate()
            .map(|(place, row)| {
                let gate = row.gate(place, judgement)?;
                let share: Share = percentage(&format!("phases[{place}].scope.share"), &row.share)?
                    .unwrap_or(Share::NONE);
                let name = match place {
                    _ if share == Share::ALL && place == last => "everyone".to_owned(),
                    0 => "canary".to_owned(),
                    _ => share.to_string(),
                };
                Ok(Phase {
                    name,
                    scope: PhaseScope::Share { share },
                    gate,
                })
            })
            .collect()
    }
}

impl PhaseForm {
    fn gate(&self, place: usize, judgement: Judgement) -> Result<Gate, ApiError> {
        let field = |name: &str| format!("phases[{place}].gate.{name}");
        Ok(Gate {
            min_finished: number(&field("min_finished"), &self.min_finished)?,
            soak_sec: duration(&field("soak_sec"), &self.soak)?.unwrap_or(0),
            max_failure_rate: percentage(&field("max_failure_rate"), &self.max_failures)?,
            judgement,
            ..Gate::default()
        })
    }
}

fn number<N: std::str::FromStr>(field: &str, text: &str) -> Result<Option<N>, ApiError> {
    match text.trim() {
        "" => Ok(None),
        text => {
            let number = text.parse();
            number.map(Some).map_err(|_| {
                ApiError::invalid(
                    field,
                    format!("`{text}` is no whole number that fits here."),
                )
            })
        }
    }
}

fn percentage(field: &str, text: &str) -> Result<Option<Share>, ApiError> {
    match text.trim() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|error: otter_protocol::share::ShareError| {
                ApiError::invalid(field, error.to_string())
            }),
    }
}

/// Reads a time as people write it, in seconds: `30s`, `10m`, `2h`, `1d`; `0` needs no unit.
fn duration(field: &str, text: &str) -> Result<Option<u64>, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = match text.get(digits.len()..).map(str::trim) {
        Some("s" | "sec") => Some(1),
        Some("m" | "min") => Some(60),
        Some("h") => Some(3600),
        Some("d") => Some(86_400),
        Some("") if digits == "0" => Some(1),
        _ => None,
    };
    let sec = digits
        .parse::<u64>()
        .ok()
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit));
    // A century is more than anyone waits, and far from where seconds no longer fit.
    match sec.filter(|sec| *sec <= 3_155_760_000) {
        Some(sec) => Ok(Some(sec)),
        None => Err(ApiError::invalid(
            field,
            format!("`{text}` is no time; write one as 30s, 10m, 2h or 1d."),
        )),
    }
}

/// Reads a browser's local date and time as UTC.
fn start(text: &str) -> Result<Option<Timestamp>, ApiError> {
    let text = text.trim();
    let whole = match text.len() {
        0 => return Ok(None),
        16 => format!("{text}:00Z"),
        _ => format!("{text}Z"),
    };
    whole
        .parse()
        .map(Some)
        .map_err(|error: otter_protocol::time::TimestampError| {
            ApiError::invalid("starts_at", error.to_string())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(share: &str, soak: &str) -> PhaseForm {
        PhaseForm {
            share: share.into(),
            soak: soak.into(),
            min_finished: "5".into(),
            max_failures: "2.5".into(),
        }
    }

    fn form() -> RolloutForm {
        RolloutForm {
            name: " June ".into(),
            release: "7".into(),
            phases: vec![
                row("5", "10m"),
                PhaseForm::default(),
                row("25", ""),
                row("100", "0"),
            ],
            ..RolloutForm::default()
        }
    }

    #[test]
    fn empty_rows_are_dropped_and_phases_named() {
        let spec = form().spec().unwrap();
        assert_eq!((spec.name.as_str(), spec.release), ("June", ReleaseId(7)));
        let names: Vec<_> = spec
            .phases
            .iter()
            .map(|phase| phase.name.as_str())
            .collect();
        assert_eq!(names, ["canary", "25 %", "everyone"]);
        assert_eq!(spec.phases[0].gate.soak_sec, 600);
        assert_eq!(
            spec.phases[0].gate.max_failure_rate,
            Some(Share::percent(2.5).unwrap())
        );
        assert_eq!(
            (
                spec.max_attempts,
                spec.attempt_deadline_sec,
                spec.max_in_flight
            ),
            (1, 3600, None)
        );
    }

    #[test]
    fn each_fault_names_its_field() {
        let field = |change: fn(&mut RolloutForm)| {
            let mut form = form();
            change(&mut form);
            form.spec().unwrap_err().0.field.unwrap()
        };
        assert_eq!(field(|form| form.release = "".into()), "release");
        assert_eq!(field(|form| form.name = " ".into()), "name");
        assert_eq!(
            field(|form| form.phases[3].share = "20".into()),
            "phases[2].scope.share"
        );
        assert_eq!(
            field(|form| form.phases[0].share = "120".into()),
            "phases[0].scope.share"
        );
        assert_eq!(
            field(|form| form.phases[0].soak = "10".into()),
            "phases[0].gate.soak_sec"
        );
        assert_eq!(
            field(|form| form.phases[0].min_finished = "-1".into()),
            "phases[0].gate.min_finished"
        );
        assert_eq!(
            field(|form| form.max_in_flight = "0".into()),
            "max_in_flight"
        );
        assert_eq!(field(|form| form.starts_at = "soon".into()), "starts_at");
        assert_eq!(field(|form| form.audience = "group".into()), "group");
        assert_eq!(
            field(|form| form.audience = "devices".into()),
            "audience.devices"
        );
        assert_eq!(
            field(|form| {
                form.audience = "percent".into();
                form.percent = "101".into()
            }),
            "percent"
        );
    }

    #[test]
    fn times_have_units() {
        for (text, sec) in [
            ("30s", 30),
            ("10 m", 600),
            ("2h", 7200),
            ("1d", 86_400),
            ("0", 0),
        ] {
            assert_eq!(duration("soak", text).unwrap(), Some(sec), "{text}");
        }
        for bad in ["10", "m", "-1m", "99999999999999999999d", "1.5h", "1y"] {
            assert!(duration("soak", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_start_is_read_as_utc() {
        let start = start("2026-03-01T08:30").unwrap().unwrap();
        assert_eq!(start.to_string(), "2026-03-01T08:30:00Z");
    }
}
