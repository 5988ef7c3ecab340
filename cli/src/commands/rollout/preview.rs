//! `otter rollout preview`: what a rollout would do, or has yet to do.

use clap::Args;
use otter_protocol::Timestamp;
use otter_protocol::admin::{Held, PhasePreview, RolloutPreview};
use otter_protocol::{ReleaseId, RolloutId};

use super::create::{Making, SpecArgs};
use crate::api::Client;
use crate::commands::release::resolve;
use crate::output::Table;
use crate::text::count;
use crate::{Context, Failure, Output};

/// Shows what a rollout would do before it is made; or, given its number, what it has yet to do.
#[derive(Debug, Args)]
pub struct Preview {
    /// Number of a rollout that is made already.
    #[arg(conflicts_with_all = ["release", "template"])]
    id: Option<RolloutId>,
    /// Release that would be rolled out: its version, or its number as #12.
    #[arg(long, value_name = "VERSION|#ID", required_unless_present = "id")]
    release: Option<String>,
    #[command(flatten)]
    spec: SpecArgs,
    /// Takes whatever isn't said here from a template; `otter template list` shows them.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
}

impl Preview {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let preview = match (self.id, &self.release) {
            (Some(id), _) => {
                self.says_nothing_else()?;
                let id = id.to_string();
                client.get(&["rollouts", &id, "preview"]).await?
            }
            (None, Some(release)) => self.of_new(client, release).await?,
            (None, None) => {
                let how = "say what to preview: a rollout's number, or --release and whatever else `otter rollout create` takes";
                return Err(Failure::Usage(how.to_owned()));
            }
        };
        context
            .output
            .value(&preview, |output| show(output, &preview))
    }

    /// A rollout that is made is foreseen as it is.
    fn says_nothing_else(&self) -> Result<(), Failure> {
        let fields = self.spec.fields(ReleaseId(0))?;
        match fields.keys().find(|field| *field != "release") {
            None => Ok(()),
            Some(field) => Err(Failure::Usage(format!(
                "a rollout that is made is foreseen as it is, without another {field}; preview a new one with --release"
            ))),
        }
    }

    async fn of_new(&self, client: &Client, release: &str) -> Result<RolloutPreview, Failure> {
        let release = resolve(client, release).await?;
        let template = self.template.as_deref();
        let mut fields = self.spec.fields(release.id)?;
        // What isn't made needs no name.
        fields.entry("name").or_insert_with(|| "preview".into());
        if template.is_none() {
            self.spec.whole(fields.clone())?.check()?;
        }
        let making = Making::new(false, template);
        client
            .post_with(&["rollouts", "preview"], &making, &fields)
            .await
    }
}

fn show(output: Output, preview: &RolloutPreview) -> Result<(), Failure> {
    for line in head(preview) {
        output.line(line)?;
    }
    let mut table = Table::new([
        "phase",
        "share",
        "devices",
        "finished",
        "under way",
        "left",
        "held",
        "begins",
        "ends",
    ]);
    for phase in &preview.phases {
        table.row(phase_row(phase, preview.at));
    }
    output.table(table, "No phases.")?;
    for held in &preview.held {
        output.line(held_line(held))?;
    }
    for warning in &preview.warnings {
        output.line(format!("warning   {}", warning.text))?;
    }
    Ok(())
}

fn head(preview: &RolloutPreview) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(id), Some(state)) = (preview.rollout, preview.state) {
        lines.push(format!(
            "rollout   {id}, {}",
            state.as_str().replace('_', " ")
        ));
    }
    lines.push(format!(
        "devices   {} of the release's models, {} in the audience, {} on it already",
        preview.devices, preview.audience, preview.on_it
    ));
    lines.push(match (preview.ends_at, &preview.no_end) {
        (Some(end), _) => format!("ends      {}", moment(end, preview.at)),
        (None, Some(why)) => format!("ends      can't be told: {why}"),
        (None, None) => "ends      can't be told".to_owned(),
    });
    let assumed = &preview.assumptions;
    let source = match assumed.attempts_measured {
        0 => "a guess".to_owned(),
        number => format!("the median of {}", count(number, "attempt")),
    };
    lines.push(format!(
        "assumes   a check-in each {} s, {} s for an attempt ({source})",
        assumed.check_in_interval_sec, assumed.attempt_sec
    ));
    lines
}

fn phase_row(phase: &PhasePreview, now: Timestamp) -> [String; 9] {
    let at = |at: Option<Timestamp>| at.map_or_else(String::new, |at| moment(at, now));
    let scope = phase.scope.as_ref();
    [
        phase.name.clone(),
        scope.map_or_else(String::new, ToString::to_string),
        phase.devices.to_string(),
        phase.finished.to_string(),
        phase.under_way.to_string(),
        phase.left.to_string(),
        phase.held_devices.to_string(),
        at(phase.starts_at),
        at(phase.ends_at),
    ]
}

fn held_line(held: &Held) -> String {
    let lasting = match held.lasting {
        0 => String::new(),
        number if number == held.devices => ", until somebody changes that".to_owned(),
        number => format!(", {number} of them until somebody changes that"),
    };
    format!(
        "held      {}{lasting}: {} ({})",
        count(held.devices, "device"),
        held.example,
        held.device
    )
}

/// Returns a time with how far ahead it is.
fn moment(at: Timestamp, now: Timestamp) -> String {
    let ahead = match at.sec_since(now) {
        sec @ 0..=119 => format!("{sec} s"),
        sec @ 120..=7199 => format!("{} min", sec / 60),
        sec @ 7200..=172_799 => format!("{} h", sec / 3600),
        sec => format!("{} days", sec / 86_400),
    };
    // To the second: a forecast isn't better than that.
    let at = Timestamp(at.0 - at.0.rem_euclid(1000));
    format!("{at} (in {ahead})")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        preview: Preview,
    }

    fn parse(arguments: &[&str]) -> Result<Preview, clap::Error> {
        let line = std::iter::once(&"preview").chain(arguments);
        Ok(Line::try_parse_from(line)?.preview)
    }

    #[test]
    fn a_number_or_what_create_takes() {
        let made = parse(&["7"]).unwrap();
        assert_eq!((made.id, &made.release), (Some(RolloutId(7)), &None));
        let new = parse(&["--release", "1.1.0", "--phases", "5,100"]).unwrap();
        assert_eq!((new.id, new.release.as_deref()), (None, Some("1.1.0")));
        for bad in [
            vec![],
            vec!["7", "--release", "1.1.0"],
            vec!["7", "--template", "rings"],
            vec!["--template", "rings"],
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
        assert!(made.says_nothing_else().is_ok());
        for more in [["--name", "n"], ["--phases", "5,100"], ["--group", "pilot"]] {
            let both = parse(&["7", more[0], more[1]]).unwrap();
            assert_eq!(both.says_nothing_else().unwrap_err().exit_code(), 2);
        }
    }

    #[test]
    fn moments_say_how_far_ahead_they_are() {
        let now = Timestamp(1_767_225_600_000);
        assert_eq!(
            moment(Timestamp(now.0 + 3_600_500), now),
            "2026-01-01T01:00:00Z (in 60 min)"
        );
    }
}
