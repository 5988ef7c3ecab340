//! Phases and gates as the command line writes them.
//!
//! `--phases 5,25,100` names shares alone; `--phase canary:5,min-finished=3,soak=10s` one phase with its own gate.

use std::str::FromStr;

use otter_protocol::gate::{Gate, Judgement};
use otter_protocol::rollout::{Phase, PhaseScope};
use otter_protocol::{GroupName, Share};

use crate::text::duration;

/// A gate's settings as far as they are given; what isn't is another's to say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GateArg {
    min_finished: Option<Option<u32>>,
    soak_sec: Option<u64>,
    max_failure_rate: Option<Option<Share>>,
    max_rollback_rate: Option<Option<Share>>,
    max_silence_rate: Option<Option<Share>>,
    max_unhealthy_rate: Option<Option<Share>>,
    needs_approval: Option<bool>,
    judgement: Option<Judgement>,
}

impl GateArg {
    /// Returns these settings over `base`.
    pub fn over(&self, base: Gate) -> Gate {
        Gate {
            min_finished: self.min_finished.unwrap_or(base.min_finished),
            soak_sec: self.soak_sec.unwrap_or(base.soak_sec),
            max_failure_rate: self.max_failure_rate.unwrap_or(base.max_failure_rate),
            max_rollback_rate: self.max_rollback_rate.unwrap_or(base.max_rollback_rate),
            max_silence_rate: self.max_silence_rate.unwrap_or(base.max_silence_rate),
            max_unhealthy_rate: self.max_unhealthy_rate.unwrap_or(base.max_unhealthy_rate),
            needs_approval: self.needs_approval.unwrap_or(base.needs_approval),
            judgement: self.judgement.unwrap_or(base.judgement),
        }
    }

    fn set(&mut self, setting: &str) -> Result<(), String> {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| format!("`{setting}` is no setting; write `soak=10s`"))?;
        let value = value.trim();
        match key.trim() {
            "min-finished" => self.min_finished = Some(attempts(value)?),
            "soak" => self.soak_sec = Some(whole_seconds(value)?),
            "max-failure" => self.max_failure_rate = Some(limit(value)?),
            "max-rollback" => self.max_rollback_rate = Some(limit(value)?),
            "max-silence" => self.max_silence_rate = Some(limit(value)?),
            "max-unhealthy" => self.max_unhealthy_rate = Some(limit(value)?),
            "approval" => self.needs_approval = Some(yes_or_no(value)?),
            "judgement" => self.judgement = Some(judgement(value)?),
            other => {
                return Err(format!(
                    "a gate has no `{other}`; it has min-finished, soak, max-failure, max-rollback, max-silence, \
                     max-unhealthy, approval and judgement"
                ));
            }
        }
        Ok(())
    }
}

impl FromStr for GateArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut gate = Self::default();
        text.split(',').try_for_each(|setting| gate.set(setting))?;
        Ok(gate)
    }
}

/// One phase, as `NAME:SHARE[,setting=value…]`, `NAME:group=GROUP[,…]` or `NAME:count=DEVICES[,…]`.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseArg {
    name: String,
    scope: PhaseScope,
    gate: GateArg,
}

impl PhaseArg {
    /// Makes a phase of a share alone, named after it.
    pub fn of_share(share: Share) -> Self {
        let scope = PhaseScope::Share { share };
        Self {
            name: scope.to_string(),
            scope,
            gate: GateArg::default(),
        }
    }

    /// Returns the phase, its gate over the one that all phases have.
    pub fn with_gate(&self, common: Gate) -> Phase {
        Phase {
            name: self.name.clone(),
            scope: self.scope.clone(),
            gate: self.gate.over(common),
        }
    }
}

impl FromStr for PhaseArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text
            .split_once(':')
            .ok_or("a phase is NAME:SHARE, NAME:group=GROUP or NAME:count=DEVICES, such as `canary:5,soak=10s`")?;
        let (scope, settings) = rest.split_once(',').unwrap_or((rest, ""));
        Ok(Self {
            name: name.trim().to_owned(),
            scope: scope_of(scope)?,
            gate: if settings.is_empty() {
                GateArg::default()
            } else {
                settings.parse()?
            },
        })
    }
}

/// Reads `5`, `group=canary` or `count=10`.
fn scope_of(text: &str) -> Result<PhaseScope, String> {
    let text = text.trim();
    if let Some(group) = text.strip_prefix("group=") {
        let group = GroupName::new(group).map_err(|error| error.to_string())?;
        return Ok(PhaseScope::Group { group });
    }
    if let Some(devices) = text.strip_prefix("count=") {
        let devices = devices
            .parse()
            .map_err(|_| format!("`{devices}` is no number of devices; write count=10"))?;
        return Ok(PhaseScope::Count { devices });
    }
    let share = text.parse().map_err(|error| format!("{error}"))?;
    Ok(PhaseScope::Share { share })
}

/// A number of attempts; `all` stands for every device of the phase.
fn attempts(text: &str) -> Result<Option<u32>, String> {
    if text == "all" {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| format!("min-finished is a number of attempts or `all`, not `{text}`"))
}

/// A rate's limit; `none` stands for no limit.
fn limit(text: &str) -> Result<Option<Share>, String> {
    if text == "none" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| format!("{error}"))
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("`{other}` is neither yes nor no")),
    }
}

fn judgement(text: &str) -> Result<Judgement, String> {
    match text {
        "point" => Ok(Judgement::Point),
        "confident" => Ok(Judgement::Confident),
        other => Err(format!(
            "judgement is `point` or `confident`, not `{other}`"
        )),
    }
}

/// Reads a duration as whole seconds, which is what the server counts.
pub fn whole_seconds(text: &str) -> Result<u64, String> {
    let duration = duration(text)?;
    if duration.subsec_nanos() != 0 {
        return Err(format!("`{text}` is not in whole seconds"));
    }
    Ok(duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(text: &str) -> Phase {
        text.parse::<PhaseArg>().unwrap().with_gate(Gate::default())
    }

    #[test]
    fn a_phase_reads_with_its_gate() {
        let phase = phase(
            "canary:5,min-finished=3,soak=10s,max-failure=10%,max-rollback=2.5,max-silence=none,\
             max-unhealthy=3%,approval=yes,judgement=point",
        );
        assert_eq!(phase.name, "canary");
        let share = Share::percent(5.0).unwrap();
        assert_eq!(phase.scope, PhaseScope::Share { share });
        assert_eq!(
            phase.gate,
            Gate {
                min_finished: Some(3),
                soak_sec: 10,
                max_failure_rate: Some(Share::percent(10.0).unwrap()),
                max_rollback_rate: Some(Share::percent(2.5).unwrap()),
                max_silence_rate: None,
                max_unhealthy_rate: Some(Share::percent(3.0).unwrap()),
                judgement: Judgement::Point,
                needs_approval: true,
            }
        );
    }

    #[test]
    fn a_phase_may_be_a_group_or_a_number_of_devices() {
        assert_eq!(
            phase("first:count=10,soak=1h").scope,
            PhaseScope::Count { devices: 10 }
        );
        let group = GroupName::new("ring one").unwrap();
        assert_eq!(
            phase("first:group=ring one").scope,
            PhaseScope::Group { group }
        );
    }

    #[test]
    fn a_phases_own_settings_go_over_the_common_ones() {
        let common: GateArg = "max-failure=10%,soak=1m,min-finished=5".parse().unwrap();
        let phase: PhaseArg = "all:100,max-failure=none,min-finished=all".parse().unwrap();
        let gate = phase.with_gate(common.over(Gate::default())).gate;
        assert_eq!((gate.max_failure_rate, gate.min_finished), (None, None));
        assert_eq!(gate.soak_sec, 60);
    }

    #[test]
    fn what_makes_no_sense_says_what_would() {
        for (text, expected) in [
            ("5", "NAME:SHARE"),
            ("canary:101", "0 to 100"),
            ("canary:5,soak", "soak=10s"),
            ("canary:5,soak=1.5s", "whole seconds"),
            ("canary:5,patience=3", "no `patience`"),
            ("canary:5,judgement=kind", "confident"),
            ("canary:group=", "must not be empty"),
            ("canary:count=few", "count=10"),
            ("canary:5,approval=maybe", "neither yes nor no"),
            ("canary:5,max-failure=all", "percentage"),
        ] {
            let error = text.parse::<PhaseArg>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
