//! `otter rollout create`: a release, an audience and phases with gates.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use otter_protocol::gate::Gate;
use otter_protocol::rollout::{Audience, CohortKind, OnBreach, Phase, Rollout, RolloutSpec};
use otter_protocol::selector::Selector;
use otter_protocol::{DeviceId, GroupName, ReleaseId, Share, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use super::watch::{Watch, WatchArgs};
use crate::api::Client;
use crate::commands::release::resolve;
use crate::phases::{GateArg, PhaseArg, whole_seconds};
use crate::text::count;
use crate::{Context, Failure};

/// Creates a rollout of a published release; it begins at once, or when it is scheduled.
#[derive(Debug, Args)]
pub struct Create {
    /// Release to roll out: its version, or its number as #12.
    #[arg(long, value_name = "VERSION|#ID")]
    release: String,
    /// Its name, to people.
    #[arg(long)]
    name: Option<String>,
    /// Shares that open one after another, in percent; each includes the ones before.
    #[arg(
        long = "phases",
        value_name = "5,25,100",
        value_delimiter = ',',
        conflicts_with = "phases"
    )]
    phases_of_share: Vec<Share>,
    /// A phase with its own gate, such as `canary:5,min-finished=3,soak=10s,max-failure=10%,judgement=point`
    /// or `first:group=canary`; may be repeated, in order.
    #[arg(long = "phase", value_name = "NAME:SHARE,…")]
    phases: Vec<PhaseArg>,
    /// Gate of every phase, where the phase itself says nothing else: min-finished=N|all, soak=TIME,
    /// max-failure=PERCENT|none, max-rollback=PERCENT|none, judgement=point|confident.
    #[arg(
        long,
        value_name = "SETTING=VALUE,…",
        default_value = "max-failure=10%"
    )]
    gate: GateArg,
    /// File with a rollout as the API takes it; what is said here goes over it.
    #[arg(long, value_name = "FILE.json")]
    spec: Option<PathBuf>,
    #[command(flatten)]
    audience: AudienceArgs,
    /// Most attempts under way at once.
    #[arg(long, value_name = "N")]
    max_in_flight: Option<u32>,
    /// Most failed attempts of one device.
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
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
    /// When it begins, such as 2026-03-01T08:00:00Z; without it, at once.
    #[arg(long, value_name = "TIME")]
    starts_at: Option<Timestamp>,
    /// Follows it to its end.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    watching: WatchArgs,
}

/// Who it is for, among the devices of the release's models.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct AudienceArgs {
    /// Only members of this group.
    #[arg(long)]
    group: Option<GroupName>,
    /// Only devices that a selector takes in, such as `location=warehouse,function!=sensor`.
    #[arg(long)]
    selector: Option<Selector>,
    /// Only devices in this file, an id a line; `#` begins a comment.
    #[arg(long, value_name = "FILE")]
    devices_file: Option<PathBuf>,
    /// Only this share of devices.
    #[arg(long, value_name = "PERCENT")]
    percent: Option<Share>,
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
}

impl Create {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let release = resolve(client, &self.release).await?;
        let spec = self.spec(release.id)?;
        spec.check()?;
        let rollout: Rollout = client.post(&["rollouts"], &spec).await?;
        context.output.value(&rollout, |output| {
            output.line(format!(
                "Rollout {} ({}) is {}: {} for {}, in {}.",
                rollout.id,
                rollout.spec.name,
                rollout.state,
                release.version,
                rollout.spec.audience,
                count(rollout.spec.phases.len() as u64, "phase"),
            ))
        })?;
        if !self.watch {
            return Ok(());
        }
        let watch = Watch::new(rollout.id, self.watching);
        watch.run(context, client).await
    }

    /// Returns the rollout: the file's, and over it what the command line says.
    fn spec(&self, release: ReleaseId) -> Result<RolloutSpec, Failure> {
        let mut spec = match &self.spec {
            Some(path) => read_object(path)?,
            None => Map::new(),
        };
        let mut set = |field: &str, value: Value| drop(spec.insert(field.to_owned(), value));
        set("release", json(&release)?);
        if let Some(name) = &self.name {
            set("name", json(name)?);
        }
        let phases = self.phases();
        if !phases.is_empty() {
            set("phases", json(&phases)?);
        }
        if let Some(audience) = self.audience.audience()? {
            set("audience", json(&audience)?);
        }
        let on_breach = self.on_breach.map(|on_breach| match on_breach {
            Breach::Pause => OnBreach::Pause,
            Breach::Abort => OnBreach::Abort,
        });
        let cohort = self.cohort.map(|cohort| match cohort {
            Cohort::Fixed => CohortKind::Fixed,
            Cohort::Spread => CohortKind::Spread,
        });
        for (field, value) in [
            ("max_in_flight", json(&self.max_in_flight)?),
            ("max_attempts", json(&self.max_attempts)?),
            ("attempt_deadline_sec", json(&self.deadline)?),
            ("priority", json(&self.priority)?),
            ("cohort", json(&cohort)?),
            ("on_breach", json(&on_breach)?),
            ("starts_at", json(&self.starts_at)?),
        ] {
            if !value.is_null() {
                set(field, value);
            }
        }
        if self.allow_downgrade {
            set("allow_downgrade", Value::Bool(true));
        }
        self.complete(spec)
    }

    /// Reads the fields as a rollout; says how to give those that are missing.
    fn complete(&self, spec: Map<String, Value>) -> Result<RolloutSpec, Failure> {
        for (field, argument) in [
            ("name", "--name"),
            ("phases", "--phases 5,25,100 or --phase canary:5"),
        ] {
            if !spec.contains_key(field) {
                return Err(Failure::Usage(format!("a rollout needs {argument}")));
            }
        }
        serde_json::from_value(Value::Object(spec)).map_err(|error| {
            let file = self.spec.as_deref().unwrap_or(Path::new("the rollout"));
            Failure::Refused(format!("{}: {error}", file.display()))
        })
    }

    fn phases(&self) -> Vec<Phase> {
        let common = self.gate.over(Gate::default());
        let of_share = self.phases_of_share.iter().copied().map(PhaseArg::of_share);
        let phases = self.phases.iter().cloned().chain(of_share);
        phases.map(|phase| phase.with_gate(common)).collect()
    }
}

impl AudienceArgs {
    fn audience(&self) -> Result<Option<Audience>, Failure> {
        Ok(if let Some(group) = self.group.clone() {
            Some(Audience::Group { group })
        } else if let Some(selector) = self.selector.clone() {
            Some(Audience::Selector { selector })
        } else if let Some(share) = self.percent {
            Some(Audience::Percent { share })
        } else if let Some(path) = &self.devices_file {
            let devices = read_devices(path)?;
            Some(Audience::Devices { devices })
        } else {
            None
        })
    }
}

fn read_devices(path: &Path) -> Result<Vec<DeviceId>, Failure> {
    let text = fs::read_to_string(path).map_err(Failure::file(path))?;
    let ids = text.lines().enumerate().filter_map(|(place, line)| {
        let id = line.split('#').next().unwrap_or_default().trim();
        (!id.is_empty()).then(|| {
            DeviceId::from_str(id).map_err(|error| {
                Failure::Refused(format!("{}:{}: {error}", path.display(), place + 1))
            })
        })
    });
    ids.collect()
}

fn read_object(path: &Path) -> Result<Map<String, Value>, Failure> {
    let bytes = fs::read(path).map_err(Failure::file(path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
}

fn json(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value)
        .map_err(|error| Failure::Refused(format!("the rollout can't be written: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use otter_protocol::gate::Judgement;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        create: Create,
    }

    fn spec(arguments: &[&str]) -> Result<RolloutSpec, Failure> {
        let line = ["create", "--release", "1.1.0"].iter().chain(arguments);
        let line = Line::try_parse_from(line).map_err(|e| Failure::Usage(e.to_string()))?;
        line.create.spec(ReleaseId(7))
    }

    #[test]
    fn shares_become_phases_with_the_common_gate() {
        let spec = spec(&["--name", "n", "--phases", "5,25,100", "--gate", "soak=1m"]).unwrap();
        assert_eq!(spec.release, ReleaseId(7));
        let names: Vec<&str> = spec.phases.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["5 %", "25 %", "100 %"]);
        assert!(spec.phases.iter().all(|one| one.gate.soak_sec == 60));
        assert!(spec.check().is_ok());
    }

    #[test]
    fn without_a_gate_failures_still_have_a_limit() {
        let spec = spec(&["--name", "n", "--phase", "canary:5,judgement=point"]).unwrap();
        let gate = spec.phases[0].gate;
        assert_eq!(gate.max_failure_rate, Some(Share::percent(10.0).unwrap()));
        assert_eq!(gate.judgement, Judgement::Point);
    }

    #[test]
    fn the_command_line_goes_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollout.json");
        let file = r#"{"name": "from the file", "release": 1, "max_attempts": 3, "priority": 4,
            "phases": [{"name": "all", "scope": {"kind": "share", "share": 100}}]}"#;
        fs::write(&path, file).unwrap();
        let path = path.to_str().unwrap();
        let spec = spec(&["--spec", path, "--priority", "-2", "--percent", "50"]).unwrap();
        assert_eq!(
            (spec.name.as_str(), spec.max_attempts, spec.priority),
            ("from the file", 3, -2)
        );
        assert_eq!(spec.release, ReleaseId(7));
        assert_eq!(
            spec.audience,
            Audience::Percent {
                share: Share::percent(50.0).unwrap()
            }
        );
    }

    #[test]
    fn listed_devices_are_read_and_bad_lines_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices");
        fs::write(&path, "pump-1 # by the door\n\n# all others\npump-2\n").unwrap();
        let ids = read_devices(&path).unwrap();
        assert_eq!(
            ids,
            ["pump-1", "pump-2"].map(|id| DeviceId::new(id).unwrap())
        );

        fs::write(&path, format!("pump-1\n{}\n", "x".repeat(200))).unwrap();
        let error = read_devices(&path).unwrap_err().to_string();
        assert!(error.contains("devices:2:"), "{error}");
    }

    #[test]
    fn what_is_missing_or_contradicts_itself_is_named() {
        let error = spec(&["--phases", "100"]).unwrap_err();
        assert_eq!(
            (error.exit_code(), error.to_string().as_str()),
            (2, "a rollout needs --name")
        );
        assert!(
            spec(&["--name", "n"])
                .unwrap_err()
                .to_string()
                .contains("--phases")
        );
        let both = [
            "--name",
            "n",
            "--phases",
            "5",
            "--group",
            "a",
            "--percent",
            "5",
        ];
        assert_eq!(spec(&both).unwrap_err().exit_code(), 2);
        let falling = spec(&["--name", "n", "--phases", "50,5"]).unwrap();
        assert!(
            Failure::from(falling.check().unwrap_err())
                .to_string()
                .contains("must rise")
        );
    }
}
