//! One rollout, created and followed to its end.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::programs::{Api, Otter};

/// Characters of a phase's bar.
const BAR: u64 = 24;

/// A rollout that was created.
#[derive(Debug, Clone)]
pub(super) struct Rollout {
    id: i64,
}

/// What a rollout brings, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The release's version.
    pub(super) version: &'a str,
    /// Its phases, as `otter rollout create --phase` reads them.
    pub(super) phases: &'a [&'a str],
    /// The gate of all its phases.
    pub(super) gate: &'a str,
}

impl Rollout {
    /// Creates a rollout, which begins at once.
    pub(super) fn create(otter: &Otter, order: Order<'_>) -> Result<Self> {
        let mut arguments = vec![
            "rollout",
            "create",
            "--release",
            order.version,
            "--name",
            order.name,
            "--gate",
            order.gate,
        ];
        for phase in order.phases {
            arguments.extend(["--phase", phase]);
        }
        let made = otter.json(&arguments)?;
        Self::of(&made).context("the rollout has no number")
    }

    /// Finds the rollout with a name.
    pub(super) fn named(api: &Api, name: &str) -> Result<Option<Self>> {
        let all = api.get("rollouts")?;
        let found = all.as_array().into_iter().flatten();
        let mut found = found.filter(|one| text(one, "name") == name);
        Ok(found.next().and_then(Self::of))
    }

    fn of(value: &Value) -> Option<Self> {
        value.get("id")?.as_i64().map(|id| Self { id })
    }

    /// All that the server says of it.
    pub(super) fn detail(&self, api: &Api) -> Result<Value> {
        api.get(&format!("rollouts/{}", self.id))
    }
}

/// Prints a rollout's phases as they fill.
pub(super) struct View {
    began: Instant,
    printed: Instant,
    last: String,
}

impl View {
    /// Begins.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            printed: now,
            last: String::new(),
        }
    }

    /// Prints the open phase where something is new, twice a second at most.
    pub(super) fn show(&mut self, detail: &Value, is_last: bool) {
        if !is_last && self.printed.elapsed() < Duration::from_millis(500) {
            return;
        }
        let lines = lines(detail);
        let text = match is_last {
            true => lines.join("\n"),
            false => lines
                .get(usize::try_from(number(detail, "current_phase")).unwrap_or(0))
                .cloned()
                .unwrap_or_default(),
        };
        if text == self.last {
            return;
        }
        let time = format!("{:5.1} s", self.began.elapsed().as_secs_f64());
        for line in text.lines() {
            eprintln!("  {time}  {line}");
        }
        self.printed = Instant::now();
        self.last = text;
    }
}

/// A line a phase: a bar, and its attempts.
fn lines(detail: &Value) -> Vec<String> {
    let phases = detail.get("progress").and_then(Value::as_array);
    phases.into_iter().flatten().map(line).collect()
}

fn line(progress: &Value) -> String {
    let name = progress
        .pointer("/phase/name")
        .and_then(Value::as_str)
        .unwrap_or("?");
    let tally = progress.get("tally").unwrap_or(&Value::Null);
    let finished = finished(tally);
    let all = finished + number(tally, "under_way") + number(tally, "waiting");
    let filled = (finished * BAR).checked_div(all).unwrap_or(0);
    let bar: String = (0..BAR)
        .map(|place| if place < filled { '█' } else { '░' })
        .collect();
    let mut line = format!("{name:<10} {bar} {finished:>3} of {all:<3}")
        .trim_end()
        .to_owned();
    for (key, words) in [
        ("succeeded", "succeeded"),
        ("rolled_back", "rolled back"),
        ("failed", "failed"),
        ("timed_out", "timed out"),
        ("under_way", "under way"),
    ] {
        let count = number(tally, key);
        if count > 0 {
            line.push_str(&format!(" · {count} {words}"));
        }
    }
    line
}

/// Attempts that came to an end that counts.
pub(super) fn finished(tally: &Value) -> u64 {
    ["succeeded", "failed", "rolled_back", "timed_out"]
        .iter()
        .map(|key| number(tally, key))
        .sum()
}

/// A number of an object; 0 where it isn't there.
pub(super) fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// A text of an object; empty where it isn't there.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_phase_is_a_bar_and_its_attempts() {
        let tally = json!({"succeeded": 5, "failed": 0, "rolled_back": 1, "timed_out": 0, "under_way": 2, "waiting": 4});
        assert_eq!(finished(&tally), 6);
        let progress = json!({"phase": {"name": "canary"}, "tally": tally});
        assert_eq!(
            line(&progress),
            "canary     ████████████░░░░░░░░░░░░   6 of 12 · 5 succeeded · 1 rolled back · 2 under way"
        );
    }

    #[test]
    fn a_phase_that_nobody_counted_is_empty() {
        let progress = json!({"phase": {"name": "all"}, "tally": {"waiting": null}});
        assert!(
            line(&progress).ends_with("░   0 of 0"),
            "{}",
            line(&progress)
        );
    }
}
