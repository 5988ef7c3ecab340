//! Release 1.1.0 reaches everybody, release 1.2.0 is taken back.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::report::Report;
use super::rollout::{Order, Rollout, View, number, text};
use super::stage::{Content, FAILING, SIMULATED, Stage};
use crate::programs::Gateway;
use crate::steps::Steps;

/// How long a rollout may take.
const ROLLOUT: Duration = Duration::from_secs(300);
/// How long the last words of both sides may take to agree.
const AGREE: Duration = Duration::from_secs(20);
/// How long the sample program may be away while it is restarted.
const MOST_GAP: Duration = Duration::from_secs(3);

/// Plays the main job, and adds to the report what must hold after it.
pub(super) fn play(steps: &mut Steps, stage: &Stage, report: &mut Report) -> Result<()> {
    stage.pulse.take_longest_gap();
    steps.run("release 1.1.0, published and signed", || {
        stage.publish("1.1.0", "Greets in a new version.", Content::ForAll)
    })?;
    let detail = steps.run("rollout of 1.1.0: canary 5 % → 25 % → 100 %", || {
        let soak = format!("max-failure=10%,judgement=point,soak={}", stage.pace.soak);
        let order = Order {
            name: "1.1.0 for everybody",
            version: "1.1.0",
            phases: &[
                "canary:5,min-finished=5",
                "early:25,min-finished=30",
                "everybody:100",
            ],
            gate: &soak,
        };
        follow(stage, order, is_at_rest)
    })?;
    judge_update(stage, &detail, report)?;
    tell_failures(&detail);

    steps.run("release 1.2.0, which exits at its start", || {
        stage.publish(
            "1.2.0",
            "Greets nobody: it exits at its start.",
            Content::Broken,
        )
    })?;
    let detail = steps.run("rollout of 1.2.0 to the gateway", || {
        let order = Order {
            name: "1.2.0 for gateways",
            version: "1.2.0",
            phases: &["all:100"],
            gate: "max-failure=10%,judgement=point",
        };
        follow(stage, order, is_at_rest)
    })?;
    judge_rollback(stage, &detail, report)
}

/// Creates a rollout and follows it until `is_over`.
fn follow(stage: &Stage, order: Order<'_>, is_over: fn(&Value) -> bool) -> Result<Value> {
    let rollout = Rollout::create(&stage.otter, order)?;
    let (mut view, last) = (View::new(), RefCell::new(Value::Null));
    stage.wait_until("the rollout's end", ROLLOUT, || {
        let detail = rollout.detail(&stage.api)?;
        let over = is_over(&detail);
        view.show(&detail, over);
        *last.borrow_mut() = detail;
        Ok(over)
    })?;
    Ok(last.into_inner())
}

/// Tells whether a rollout goes no further by itself.
fn is_at_rest(detail: &Value) -> bool {
    matches!(text(detail, "state"), "completed" | "paused" | "aborted")
}

fn judge_update(stage: &Stage, detail: &Value, report: &mut Report) -> Result<()> {
    report.equal("rollout of 1.1.0", text(detail, "state"), "completed");
    let total = detail.get("total").unwrap_or(&Value::Null);
    let devices = u64::from(SIMULATED) + 1;
    let (succeeded, rolled_back) = (number(total, "succeeded"), number(total, "rolled_back"));
    report.equal("devices on 1.1.0", succeeded, devices - u64::from(FAILING));
    report.equal(
        "devices rolled back, by the server's count",
        rolled_back,
        u64::from(FAILING),
    );
    let failures = failures(detail);
    let explained = failures
        .iter()
        .filter(|one| !text(one, "message").is_empty());
    report.equal(
        "of them, those that said why",
        explained.count(),
        FAILING as usize,
    );
    // What devices print about themselves is a second old.
    let agreed = stage.wait_until("that server and devices agree", AGREE, || {
        let (simulated, gateway) = stage.succeeded()?;
        Ok(simulated + gateway == succeeded)
    });
    let (simulated, gateway) = stage.succeeded()?;
    report.check(
        agreed.is_ok(),
        format!(
            "attempts that succeeded: {succeeded} by the server's count, {} by the devices' own ({simulated} simulated, {gateway} real)",
            simulated + gateway
        ),
    );
    judge_pulse(stage, "1.1.0", report);
    Ok(())
}

fn judge_rollback(stage: &Stage, detail: &Value, report: &mut Report) -> Result<()> {
    let failures = failures(detail);
    let attempt = failures.first().copied().unwrap_or(&Value::Null);
    report.equal("attempt at 1.2.0", text(attempt, "state"), "rolled_back");
    report.equal(
        "rollout of 1.2.0, by its gate",
        text(detail, "state"),
        "paused",
    );
    let reason = text(attempt, "message");
    report.check(
        reason.contains("exited with status 3"),
        format!("the device's reason: {reason}"),
    );
    let shown = stage.otter.text(&["device", "show", Gateway::ID])?;
    report.check(
        !reason.is_empty() && shown.contains("exited with status 3"),
        "`otter device show` tells that reason",
    );
    for line in shown.lines() {
        eprintln!("  │ {line}");
    }
    // A failure here is the next line's to tell.
    let _ = stage.wait_until("the old version's answer", AGREE, || {
        Ok(stage.pulse.version() == "1.1.0")
    });
    judge_pulse(stage, "1.1.0", report);
    let rolled_back = stage.crew().gateway.ended("rolled_back")?;
    report.equal("rollbacks by the gateway's own count", rolled_back, 1);
    Ok(())
}

fn judge_pulse(stage: &Stage, version: &str, report: &mut Report) {
    report.equal(
        "the sample program answers with",
        stage.pulse.version().as_str(),
        version,
    );
    let (gap, answers) = stage.pulse.take_longest_gap();
    report.check(
        gap <= MOST_GAP,
        format!(
            "longest time that it didn't answer: {} ms, in {answers} answers (limit {} ms)",
            gap.as_millis(),
            MOST_GAP.as_millis()
        ),
    );
}

fn failures(detail: &Value) -> Vec<&Value> {
    let failures = detail.get("failures").and_then(Value::as_array);
    failures.into_iter().flatten().collect()
}

fn tell_failures(detail: &Value) {
    for failure in failures(detail) {
        let (device, state) = (text(failure, "device"), text(failure, "state"));
        eprintln!("  {device} {state}: {}", text(failure, "message"));
    }
}
