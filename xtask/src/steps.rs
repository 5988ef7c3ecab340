//! Named, timed steps, printed as they run and summed up in the end.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Result;

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did its work.
    Done,
    /// It failed; the reason was printed when it did.
    Failed,
}

struct Step {
    name: String,
    took: Duration,
    outcome: Outcome,
}

/// Steps in the order they ran, with their times.
pub(crate) struct Steps {
    started: Instant,
    finished: Vec<Step>,
    colour: bool,
}

impl Steps {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            finished: Vec::new(),
            colour: std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    /// Runs one step under its name and returns what it returned; the first error ends the caller's work through `?`.
    pub(crate) fn run<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("{}", self.paint("1;36", &format!("▸ {name}")));
        let start = Instant::now();
        let result = work();
        let took = start.elapsed();
        let outcome = if result.is_ok() {
            Outcome::Done
        } else {
            Outcome::Failed
        };
        let (colour, mark) = match outcome {
            Outcome::Done => ("32", "✓"),
            Outcome::Failed => ("31", "✗"),
        };
        eprintln!(
            "{}",
            self.paint(colour, &format!("{mark} {name} · {}", seconds(took)))
        );
        self.finished.push(Step {
            name: name.to_owned(),
            took,
            outcome,
        });
        result
    }

    /// Runs one step, prints its error and goes on: for test steps, which should all have their say.
    pub(crate) fn attempt(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        if let Err(error) = self.run(name, work) {
            eprintln!("  {error:#}");
        }
    }

    /// The number of steps that failed.
    pub(crate) fn failures(&self) -> usize {
        self.finished
            .iter()
            .filter(|step| step.outcome == Outcome::Failed)
            .count()
    }

    /// A line per step with its time, and a last one for all.
    pub(crate) fn table(&self) -> String {
        let width = self
            .finished
            .iter()
            .map(|step| step.name.chars().count())
            .max()
            .unwrap_or(0)
            .max(8);
        let mut table = String::new();
        for step in &self.finished {
            let mark = match step.outcome {
                Outcome::Done => "ok",
                Outcome::Failed => "FAILED",
            };
            let _ = writeln!(
                table,
                "  {:<width$}  {:>8}  {mark}",
                step.name,
                seconds(step.took)
            );
        }
        let _ = write!(
            table,
            "  {:<width$}  {:>8}",
            "all",
            seconds(self.started.elapsed())
        );
        table
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A duration as a person reads it: `0.4 s`, `12.3 s`, `3 min 07 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole >= 60 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(420)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(187)), "3 min 07 s");
    }

    #[test]
    fn table_names_failed_steps() {
        let mut steps = Steps::new();
        steps.attempt("good", || Ok(()));
        steps.attempt("bad", || anyhow::bail!("no"));
        assert_eq!(steps.failures(), 1);
        assert!(
            steps
                .table()
                .lines()
                .any(|line| line.contains("bad") && line.contains("FAILED"))
        );
    }
}
