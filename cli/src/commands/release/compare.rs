//! `otter release compare` and `recommended`: which release does better.

use std::collections::BTreeMap;

use clap::Args;
use otter_protocol::comparison::{Comparison, Difference, Pair, Recommendation, ReleaseRecord};
use otter_protocol::{Model, ReleaseId, RolloutId};
use serde::Serialize;

use super::resolve;
use crate::api::Client;
use crate::output::Table;
use crate::{Context, Failure, Output};

/// Compares releases by what became of the attempts at them.
#[derive(Debug, Args)]
pub struct Compare {
    /// Releases, each by its version, or by its number as #12.
    #[arg(required = true, num_args = 1..=10, value_name = "VERSION|#ID")]
    releases: Vec<String>,
    /// Only on this model.
    #[arg(long)]
    model: Option<Model>,
    /// Only attempts in these rollouts.
    #[arg(long, value_name = "7,8", value_delimiter = ',')]
    rollouts: Vec<RolloutId>,
}

/// Names for each model the published release that does best.
#[derive(Debug, Args)]
pub struct Recommended {
    /// Only for this model.
    #[arg(long)]
    model: Option<Model>,
}

#[derive(Debug, Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "String::is_empty")]
    releases: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a Model>,
    #[serde(skip_serializing_if = "String::is_empty")]
    rollouts: String,
}

impl Compare {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let mut ids = Vec::new();
        let mut names = BTreeMap::new();
        for named in &self.releases {
            let release = resolve(client, named).await?;
            ids.push(release.id.to_string());
            names.insert(release.id, release.version.to_string());
        }
        let rollouts: Vec<String> = self.rollouts.iter().map(ToString::to_string).collect();
        let asked = Asked {
            releases: ids.join(","),
            model: self.model.as_ref(),
            rollouts: rollouts.join(","),
        };
        let comparison: Comparison = client.get_with(&["releases", "compare"], &asked).await?;
        context.output.value(&comparison, |output| {
            show(output, &comparison.records)?;
            for pair in &comparison.pairs {
                output.line(pair_text(pair, &names))?;
            }
            Ok(())
        })
    }
}

impl Recommended {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let asked = Asked {
            releases: String::new(),
            model: self.model.as_ref(),
            rollouts: String::new(),
        };
        let all: Vec<Recommendation> = client.get_with(&["recommended"], &asked).await?;
        context.output.value(&all, |output| {
            if all.is_empty() {
                return output.line("No release is published.");
            }
            for one in &all {
                let record = one.recommended.as_ref();
                let version = record.map_or("none".to_owned(), |one| one.version.to_string());
                output.line(format!("{}: {version} — {}", one.model, one.reason))?;
            }
            Ok(())
        })
    }
}

fn show(output: Output, records: &[ReleaseRecord]) -> Result<(), Failure> {
    let mut table = Table::new([
        "model",
        "release",
        "finished",
        "success",
        "failed",
        "rolled back",
        "timed out",
        "unhealthy",
        "median",
        "90 %",
        "rollouts",
    ]);
    for record in records {
        let time = record.time_to_update;
        let seconds = |sec: Option<u64>| sec.map_or(String::new(), |sec| format!("{sec} s"));
        let rollouts: Vec<String> = record.rollouts.iter().map(ToString::to_string).collect();
        table.row([
            record.model.to_string(),
            record.version.to_string(),
            record.finished.to_string(),
            rate_text(record),
            record.ends.failed.to_string(),
            record.ends.rolled_back.to_string(),
            record.ends.timed_out.to_string(),
            record.ends.unhealthy.to_string(),
            seconds(time.map(|time| time.median_sec)),
            seconds(time.map(|time| time.p90_sec)),
            rollouts.join(", "),
        ]);
    }
    output.table(table, "No attempt at these releases has finished.")?;
    for record in records {
        for reason in &record.rollback_reasons {
            output.line(format!(
                "{} on {} rolled back {} ×: {}",
                record.version, record.model, reason.count, reason.reason
            ))?;
        }
    }
    Ok(())
}

/// Returns the success rate with its interval, as `97.5 % (91.3 to 99.3)`.
fn rate_text(record: &ReleaseRecord) -> String {
    record.success_rate.map_or(String::new(), |rate| {
        let [value, low, high] = [rate.value, rate.low, rate.high].map(|part| part * 100.0);
        format!("{value:.1} % ({low:.1} to {high:.1})")
    })
}

/// Returns in a sentence whether two releases differ.
fn pair_text(pair: &Pair, names: &BTreeMap<ReleaseId, String>) -> String {
    let name = |id: ReleaseId| names.get(&id).cloned().unwrap_or_else(|| format!("#{id}"));
    let (first, second) = (name(pair.first), name(pair.second));
    let Some(Difference { by, is_certain }) = pair.difference else {
        return format!("{}: {first} and {second} can't be compared yet", pair.model);
    };
    let [value, low, high] = [by.value, by.low, by.high].map(|part| part * 100.0);
    let said = match is_certain {
        true if value > 0.0 => format!("{first} does better than {second}"),
        true => format!("{second} does better than {first}"),
        false => format!("{first} and {second} don't differ for certain"),
    };
    format!(
        "{}: {said}: {value:+.1} points (95 %: {low:+.1} to {high:+.1})",
        pair.model
    )
}

#[cfg(test)]
mod tests {
    use otter_protocol::comparison::{Ends, difference};

    use super::*;

    #[test]
    fn who_does_better_is_said_in_a_sentence() {
        let ends = |succeeded, failed| Ends {
            succeeded,
            failed,
            ..Ends::default()
        };
        let text = |first, second| {
            let pair = Pair {
                model: Model::new("rpi4").unwrap(),
                first: ReleaseId(1),
                second: ReleaseId(2),
                difference: difference(&first, &second),
            };
            let names = BTreeMap::from([(ReleaseId(1), "1.1.0".to_owned())]);
            pair_text(&pair, &names)
        };
        let better = text(ends(990, 10), ends(900, 100));
        assert!(
            better.starts_with("rpi4: 1.1.0 does better than #2: +9.0 points"),
            "{better}"
        );
        assert!(text(ends(900, 100), ends(990, 10)).contains("#2 does better than 1.1.0"));
        assert!(text(ends(3, 0), ends(2, 1)).contains("don't differ for certain"));
        assert!(text(ends(3, 0), ends(0, 0)).contains("can't be compared yet"));
    }
}
