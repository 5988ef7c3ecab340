//! What the command line says is what is sent.

use std::fs;

use clap::Parser;
use otter_protocol::gate::Judgement;
use otter_protocol::rollout::{Audience, OnBreach, PhaseScope};
use otter_protocol::{GroupName, Share};
use serde_json::json;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    create: Create,
}

fn create(arguments: &[&str]) -> Result<Create, Failure> {
    let line = ["create", "--release", "1.1.0"].iter().chain(arguments);
    let line = Line::try_parse_from(line).map_err(|e| Failure::Usage(e.to_string()))?;
    Ok(line.create)
}

fn spec(arguments: &[&str]) -> Result<RolloutSpec, Failure> {
    create(arguments)?.spec.spec(ReleaseId(7))
}

fn named(arguments: &[&str]) -> RolloutSpec {
    spec(&[&["--name", "n", "--phases", "100"], arguments].concat()).unwrap()
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
fn how_quickly_and_how_often_is_said_plainly() {
    let spec = named(&[
        "--batch",
        "20",
        "--pace",
        "100/h",
        "--pace-growth",
        "2x/50,max=1000",
        "--retry-after",
        "10m",
        "--hold-after",
        "never",
        "--on-breach",
        "roll-back",
        "--needs-approval",
        "--frozen",
    ]);
    assert_eq!(spec.check(), Ok(()));
    assert_eq!(spec.batch_size, Some(20));
    assert_eq!(spec.pace.unwrap().per_hour_after(100), 400.0);
    assert_eq!((spec.retry_after_sec, spec.hold_after), (600, None));
    assert_eq!(spec.on_breach, OnBreach::RollBack);
    assert!(spec.needs_approval && spec.frozen);
    assert_eq!(named(&[]).hold_after, Some(5));
    assert_eq!(named(&["--hold-after", "2"]).hold_after, Some(2));
}

#[test]
fn some_are_left_out_and_times_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("devices");
    fs::write(&path, "pump-2\n").unwrap();
    let spec = named(&[
        "--exclude-device",
        "pump-1",
        "--exclude-devices-file",
        path.to_str().unwrap(),
        "--exclude-group",
        "canary",
        "--exclude-selector",
        "site=lab",
        "--window",
        "mon-fri 22:00-04:00 Europe/Helsinki",
        "--freeze",
        "2026-12-20..2027-01-03",
    ]);
    let devices: Vec<&str> = spec.exclude.devices.iter().map(|id| id.as_str()).collect();
    assert_eq!(devices, ["pump-1", "pump-2"]);
    assert_eq!(spec.exclude.groups, [GroupName::new("canary").unwrap()]);
    assert!(spec.exclude.selector.is_some());
    assert_eq!(spec.window.zone.as_deref(), Some("Europe/Helsinki"));
    assert_eq!((spec.window.spans.len(), spec.window.freezes.len()), (1, 1));
}

#[test]
fn a_phase_may_be_a_number_of_devices_and_an_audience_a_part_of_a_split() {
    let arguments = ["--name", "n", "--phase", "first:count=10", "--split"];
    let spec = spec(&[&arguments[..], &["trial:0-50"]].concat()).unwrap();
    assert_eq!(spec.phases[0].scope, PhaseScope::Count { devices: 10 });
    assert!(matches!(&spec.audience, Audience::Split { salt, .. } if salt == "trial"));
}

#[test]
fn a_template_needs_a_name_alone() {
    let sent = |arguments: &[&str]| create(arguments)?.fields(ReleaseId(7));
    let fields = sent(&["--template", "rings", "--name", "n", "--max-in-flight", "9"]);
    assert_eq!(
        Value::Object(fields.unwrap()),
        json!({"name": "n", "release": 7, "max_in_flight": 9})
    );
    assert_eq!(sent(&["--template", "rings"]).unwrap_err().exit_code(), 2);
}

#[test]
fn what_is_missing_or_contradicts_itself_is_named() {
    let error = spec(&["--phases", "100"]).unwrap_err();
    assert_eq!(
        (error.exit_code(), error.to_string().as_str()),
        (2, "a rollout needs --name")
    );
    for (arguments, expected) in [
        (&["--name", "n"][..], "--phases"),
        (
            &["--name", "n", "--template", "rings", "--gate", "soak=1m"],
            "here are none",
        ),
        (
            &[
                "--name",
                "n",
                "--phases",
                "5",
                "--group",
                "a",
                "--percent",
                "5",
            ],
            "cannot be used",
        ),
        (
            &[
                "--name",
                "n",
                "--phases",
                "5",
                "--pace-growth",
                "2x/5,max=9",
            ],
            "--pace",
        ),
    ] {
        let error = spec(arguments).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{arguments:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let falling = spec(&["--name", "n", "--phases", "50,5"]).unwrap();
    assert!(
        Failure::from(falling.check().unwrap_err())
            .to_string()
            .contains("must rise")
    );
}
