//! How a rollout goes about it, as the command line writes it: everything but what it brings, and to whom.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use otter_protocol::Share;
use otter_protocol::gate::Gate;
use otter_protocol::rollout::{CohortKind, OnBreach, Pace, Phase};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Failure;
use crate::phases::{GateArg, PhaseArg, whole_seconds};
use crate::schedule::{GrowthArg, WindowArgs, per_hour};

/// Gate of phases that are given without one: failures still have a limit.
const USUAL_GATE: &str = "max-failure=10%";

/// How a rollout goes about it.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Shares that open one after another, in percent; each includes the ones before.
    #[arg(
        long = "phases",
        value_name = "5,25,100",
        value_delimiter = ',',
        conflicts_with = "phases"
    )]
    phases_of_share: Vec<Share>,
    /// A phase with its own gate, such as `canary:5,min-finished=3,soak=10s,max-failure=10%,judgement=point`,
    /// `first:count=10` or `ring:group=canary`; may be repeated, in order.
    #[arg(long = "phase", value_name = "NAME:SHARE,…")]
    phases: Vec<PhaseArg>,
    /// Gate of every phase, where the phase itself says nothing else: min-finished=N|all, soak=TIME, max-failure,
    /// max-rollback, max-silence, max-unhealthy=PERCENT|none, approval=yes|no, judgement=point|confident; without it,
    /// max-failure=10%.
    #[arg(long, value_name = "SETTING=VALUE,…")]
    gate: Option<GateArg>,
    /// File with the fields as the API takes them; what is said here goes over it.
    #[arg(long, value_name = "FILE.json")]
    spec: Option<PathBuf>,
    /// Only for devices that were enrolled when it began.
    #[arg(long)]
    frozen: bool,
    /// Somebody other than its author has to let it begin.
    #[arg(long)]
    needs_approval: bool,
    /// Most attempts under way at once.
    #[arg(long, value_name = "N")]
    max_in_flight: Option<u32>,
    /// Attempts that begin together; the next batch waits for the end of the one before.
    #[arg(long, value_name = "N")]
    batch: Option<u32>,
    /// Attempts that begin in an hour, such as 100/h.
    #[arg(long, value_name = "N/h", value_parser = per_hour)]
    pace: Option<u32>,
    /// How the pace grows: `2x/50,max=1000` doubles it each time that 50 attempts succeeded, up to 1000 an hour.
    #[arg(long, value_name = "FACTORx/SUCCESSES,max=N", requires = "pace")]
    pace_growth: Option<GrowthArg>,
    /// Most failed attempts of one device.
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// Time until a device that failed may try again, such as 10m; doubles with each failure.
    #[arg(long, value_name = "TIME", value_parser = whole_seconds)]
    retry_after: Option<u64>,
    /// Holds a device that failed so many times in a row, in whatever rollouts; or never.
    #[arg(long, value_name = "N|never")]
    hold_after: Option<HoldAfter>,
    /// Silence after which an attempt counts as failed, such as 30m.
    #[arg(long, value_name = "TIME", value_parser = whole_seconds)]
    deadline: Option<u64>,
    /// Where two rollouts want one device, the higher goes first.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Whether the same devices go first every time, or others in each rollout.
    #[arg(long, value_enum)]
    cohort: Option<Cohort>,
    /// What happens when a rate goes over its limit.
    #[arg(long, value_enum)]
    on_breach: Option<Breach>,
    /// Lets devices go back to a lower version.
    #[arg(long)]
    allow_downgrade: bool,
    #[command(flatten)]
    window: WindowArgs,
}

/// Which hash places devices.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Cohort {
    /// The same devices go first every time.
    Fixed,
    /// The risk moves around the fleet.
    Spread,
}

/// What happens on a breach.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Breach {
    /// Stops offering and waits for a person.
    Pause,
    /// Stops for good.
    Abort,
    /// Offers the devices that it updated their former version.
    RollBack,
}

/// After how many failures a device is held; none of them holds it where it is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HoldAfter(Option<u32>);

impl std::str::FromStr for HoldAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self(None)),
            number => number
                .parse()
                .map(|number| Self(Some(number)))
                .map_err(|_| format!("`{text}` is neither a number of failures nor `never`")),
        }
    }
}

impl PlanArgs {
    /// Returns the file that the fields are read from, to people.
    pub(crate) fn source(&self) -> &Path {
        self.spec.as_deref().unwrap_or(Path::new("the rollout"))
    }

    /// Returns the fields: the file's, and over them what the command line says.
    pub(crate) fn fields(&self) -> Result<Map<String, Value>, Failure> {
        let mut fields = match &self.spec {
            Some(path) => read_object(path)?,
            None => Map::new(),
        };
        for (field, value) in self.settings()? {
            if !value.is_null() {
                fields.insert(field.to_owned(), value);
            }
        }
        // Null is what it says where a device is never held, so it can't stand for nothing said.
        if let Some(HoldAfter(failures)) = self.hold_after {
            fields.insert("hold_after".to_owned(), json(&failures)?);
        }
        Ok(fields)
    }

    /// Returns each field with its value; null where nothing is said of it.
    fn settings(&self) -> Result<[(&'static str, Value); 14], Failure> {
        let phases = Some(self.phases()?).filter(|phases| !phases.is_empty());
        let flag = |is_set: bool| is_set.then_some(true);
        Ok([
            ("phases", json(&phases)?),
            ("frozen", json(&flag(self.frozen))?),
            ("needs_approval", json(&flag(self.needs_approval))?),
            ("allow_downgrade", json(&flag(self.allow_downgrade))?),
            ("max_in_flight", json(&self.max_in_flight)?),
            ("batch_size", json(&self.batch)?),
            ("pace", json(&self.pace())?),
            ("max_attempts", json(&self.max_attempts)?),
            ("retry_after_sec", json(&self.retry_after)?),
            ("attempt_deadline_sec", json(&self.deadline)?),
            ("priority", json(&self.priority)?),
            ("cohort", json(&self.cohort.map(CohortKind::from))?),
            ("on_breach", json(&self.on_breach.map(OnBreach::from))?),
            ("window", json(&self.window.window()?)?),
        ])
    }

    fn pace(&self) -> Option<Pace> {
        let per_hour = self.pace?;
        let constant = Pace {
            per_hour,
            growth: None,
        };
        Some(
            self.pace_growth
                .map_or(constant, |growth| growth.from(per_hour)),
        )
    }

    fn phases(&self) -> Result<Vec<Phase>, Failure> {
        let of_share = self.phases_of_share.iter().copied().map(PhaseArg::of_share);
        let phases: Vec<PhaseArg> = self.phases.iter().cloned().chain(of_share).collect();
        if phases.is_empty() && self.gate.is_some() {
            let why = "--gate is the gate of phases given with --phases or --phase; here are none";
            return Err(Failure::Usage(why.to_owned()));
        }
        let common = match &self.gate {
            Some(gate) => gate.clone(),
            None => USUAL_GATE.parse().map_err(Failure::Usage)?,
        };
        let common = common.over(Gate::default());
        Ok(phases.iter().map(|one| one.with_gate(common)).collect())
    }
}

impl From<Cohort> for CohortKind {
    fn from(cohort: Cohort) -> Self {
        match cohort {
            Cohort::Fixed => Self::Fixed,
            Cohort::Spread => Self::Spread,
        }
    }
}

impl From<Breach> for OnBreach {
    fn from(on_breach: Breach) -> Self {
        match on_breach {
            Breach::Pause => Self::Pause,
            Breach::Abort => Self::Abort,
            Breach::RollBack => Self::RollBack,
        }
    }
}

fn read_object(path: &Path) -> Result<Map<String, Value>, Failure> {
    let bytes = fs::read(path).map_err(Failure::file(path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
}

/// Returns a value as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value)
        .map_err(|error| Failure::Refused(format!("the rollout can't be written: {error}")))
}
