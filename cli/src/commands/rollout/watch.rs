//! `otter rollout watch`: follows a rollout to its end, with a bar a phase on a terminal and a line a change elsewhere.

use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use otter_protocol::RolloutId;
use otter_protocol::admin::{AuditEvent, AuditFilter, Page, PhaseProgress, RolloutDetail};
use otter_protocol::rollout::{Rollout, RolloutState};

use super::{detail, state_text, tally_text};
use crate::api::Client;
use crate::text::{duration, now, one_line};
use crate::{Context, Failure};

/// How long the server may be away before watching gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Follows a rollout to its end.
#[derive(Debug, Args)]
pub struct Watch {
    /// Its number.
    id: RolloutId,
    #[command(flatten)]
    args: WatchArgs,
}

/// How it is watched.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct WatchArgs {
    /// Time between two looks.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    every: Duration,
    /// Gives up after this time, with exit code 3.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

impl Watch {
    /// Watches a rollout.
    pub(super) fn new(id: RolloutId, args: WatchArgs) -> Self {
        Self { id, args }
    }

    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let started = Instant::now();
        let mut view = View::new(context);
        loop {
            let detail = self.look(client).await?;
            view.show(&detail)?;
            let rollout = &detail.summary.rollout;
            let paused_by_engine = is_paused_by_engine(client, rollout).await?;
            if let Some(end) = end_of(rollout, paused_by_engine) {
                view.finish();
                return end;
            }
            if self
                .args
                .timeout
                .is_some_and(|most| started.elapsed() >= most)
            {
                view.finish();
                let state = state_text(rollout);
                return Err(Failure::Rollout(format!(
                    "rollout {} isn't at its end in time: it is {state}",
                    self.id
                )));
            }
            tokio::time::sleep(self.args.every.max(Duration::from_millis(100))).await;
        }
    }

    /// Fetches the rollout, and waits for a server that restarts.
    async fn look(&self, client: &Client) -> Result<RolloutDetail, Failure> {
        let began = Instant::now();
        loop {
            match detail(client, self.id).await {
                Err(Failure::Unreachable { .. }) if began.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                other => return other,
            }
        }
    }
}

/// Returns how the watching ends; `None` while the rollout goes on, or may once a person resumes it.
fn end_of(rollout: &Rollout, paused_by_engine: bool) -> Option<Result<(), Failure>> {
    let (id, state) = (rollout.id, state_text(rollout));
    match rollout.state {
        RolloutState::Completed => Some(Ok(())),
        RolloutState::Aborted | RolloutState::RolledBack => {
            let text = format!("rollout {id} was {state}");
            Some(Err(Failure::Rollout(text)))
        }
        RolloutState::Paused if paused_by_engine => Some(Err(Failure::Rollout(format!(
            "rollout {id} is {state}.\n\
             Look at its failures with `otter rollout show {id}`; then resume it, roll it back or abort it."
        )))),
        RolloutState::Paused
        | RolloutState::Draft
        | RolloutState::AwaitingApproval
        | RolloutState::RollingBack
        | RolloutState::Scheduled
        | RolloutState::Running => None,
    }
}

/// Tells whether it was the engine that paused a rollout, not a person: the audit log knows.
async fn is_paused_by_engine(client: &Client, rollout: &Rollout) -> Result<bool, Failure> {
    if rollout.state != RolloutState::Paused {
        return Ok(false);
    }
    let filter = AuditFilter {
        action: Some("rollout.pause".to_owned()),
        subject_kind: Some("rollout".to_owned()),
        subject: Some(rollout.id.to_string()),
        limit: Some(1),
        ..AuditFilter::default()
    };
    let newest: Page<AuditEvent> = client.get_with(&["audit"], &filter).await?;
    Ok(newest
        .items
        .first()
        .is_some_and(|event| event.actor == "engine"))
}

/// What is shown, by who looks.
enum View {
    /// Bars that fill.
    Bars {
        bars: MultiProgress,
        phases: Vec<ProgressBar>,
        head: ProgressBar,
    },
    /// A line, where something is new.
    Lines { context: Context, last: String },
}

impl View {
    fn new(context: &Context) -> Self {
        if !context.output.is_live() {
            return Self::Lines {
                context: context.clone(),
                last: String::new(),
            };
        }
        let bars = MultiProgress::new();
        let head = bars.add(ProgressBar::new_spinner());
        Self::Bars {
            bars,
            phases: Vec::new(),
            head,
        }
    }

    fn show(&mut self, detail: &RolloutDetail) -> Result<(), Failure> {
        match self {
            Self::Bars { bars, phases, head } => {
                draw(bars, phases, detail);
                let rollout = &detail.summary.rollout;
                head.set_message(one_line(&format!(
                    "{}: {}",
                    rollout.spec.name,
                    state_text(rollout)
                )));
                head.tick();
                Ok(())
            }
            Self::Lines { context, last } => {
                let text = line(detail);
                if *last == text {
                    return Ok(());
                }
                *last = text;
                context
                    .output
                    .value(detail, |output| output.line(format!("{} {last}", clock())))
            }
        }
    }

    /// Leaves what was shown last on the screen.
    fn finish(&self) {
        if let Self::Bars { phases, head, .. } = self {
            head.abandon();
            phases.iter().for_each(ProgressBar::abandon);
        }
    }
}

/// Draws a bar a phase: finished attempts against all devices that it will take.
fn draw(bars: &MultiProgress, phases: &mut Vec<ProgressBar>, detail: &RolloutDetail) {
    let progress = &detail.summary.progress;
    while phases.len() < progress.len() {
        let bar = ProgressBar::new(0);
        let template = "{prefix:>20} {bar:30} {pos:>6}/{len} {msg}";
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        phases.push(bars.add(bar));
    }
    for (bar, one) in phases.iter().zip(progress) {
        let tally = &one.tally;
        let all = tally.finished() + tally.under_way + tally.waiting.unwrap_or(0);
        bar.set_prefix(one_line(&one.phase.name));
        bar.set_length(all);
        bar.set_position(tally.finished());
        bar.set_message(phase_message(one));
    }
}

fn phase_message(progress: &PhaseProgress) -> String {
    let failures = match progress.tally.failures() {
        0 => String::new(),
        number => format!("{number} failed "),
    };
    let verdict = progress.verdict.map_or_else(String::new, |v| v.to_string());
    format!("{failures}{verdict}")
}

/// Returns the whole state in a line.
fn line(detail: &RolloutDetail) -> String {
    let rollout = &detail.summary.rollout;
    if let Some(way_back) = &detail.summary.way_back {
        return format!(
            "{}, way back: {}",
            state_text(rollout),
            tally_text(way_back)
        );
    }
    let place = rollout.current_phase as usize;
    let Some(open) = detail.summary.progress.get(place) else {
        return state_text(rollout);
    };
    let gate = open
        .verdict
        .map_or_else(String::new, |verdict| format!("; gate: {verdict}"));
    format!(
        "{}, phase {}/{} {}: {}{gate}",
        state_text(rollout),
        place + 1,
        detail.summary.progress.len(),
        open.phase.name,
        tally_text(&open.tally)
    )
}

/// Returns the time of day in UTC, as `12:34:56`.
fn clock() -> String {
    let now = now().to_string();
    now.chars().skip(11).take(8).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn detail_of(state: &str, verdict: Value) -> RolloutDetail {
        let phase = json!({"name": "canary", "scope": {"kind": "share", "share": 5}});
        let tally = json!({"succeeded": 3, "failed": 0, "rolled_back": 2, "timed_out": 0,
            "cancelled": 0, "under_way": 1, "waiting": 4});
        serde_json::from_value(json!({
            "id": 7, "name": "to 1.1.0", "release": 1, "phases": [phase], "state": state,
            "state_reason": "too many failed", "current_phase": 0, "sampled_at": null,
            "created_at": "2026-03-01T08:00:00Z", "created_by": "key:ci", "started_at": null,
            "finished_at": null, "version": "1.1.0", "models": ["rpi4"], "total": tally,
            "progress": [{"phase": phase, "tally": tally, "verdict": verdict}],
            "failures": [], "failure_reasons": [],
        }))
        .unwrap()
    }

    fn breached() -> Value {
        json!({"verdict": "breached", "rate": "failure", "count": 2, "finished": 5, "limit": 10})
    }

    #[test]
    fn only_completion_is_a_good_end() {
        let code = |state: &str, by_engine| {
            let detail = detail_of(state, Value::Null);
            end_of(&detail.summary.rollout, by_engine).map(|end| end.map_err(|e| e.exit_code()))
        };
        assert_eq!(code("completed", false), Some(Ok(())));
        assert_eq!(code("aborted", false), Some(Err(3)));
        assert_eq!(code("paused", true), Some(Err(3)));
        // A person pauses, and may resume.
        assert_eq!(code("paused", false), None);
        assert_eq!(code("running", false), None);
    }

    #[test]
    fn a_line_tells_the_whole_state() {
        assert_eq!(
            line(&detail_of("paused", breached())),
            "paused: too many failed, phase 1/1 canary: 3 succeeded, 2 rolled back, 1 under way, \
             4 waiting; gate: 2 of 5 failed, 40.0 %, limit 10 %"
        );
    }
}
