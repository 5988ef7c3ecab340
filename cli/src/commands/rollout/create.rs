//! `otter rollout create`: a release, an audience and phases with gates.

use clap::Args;
use otter_protocol::rollout::{Rollout, RolloutSpec};
use otter_protocol::{ReleaseId, Timestamp};
use serde_json::{Map, Value};

use super::audience_args::{AudienceArgs, ExclusionArgs};
use super::plan_args::{PlanArgs, json};
use super::watch::{Watch, WatchArgs};
use crate::api::Client;
use crate::commands::release::resolve;
use crate::text::count;
use crate::{Context, Failure};

/// Creates a rollout of a published release; it begins at once, when it is scheduled, or once it is approved.
#[derive(Debug, Args)]
pub struct Create {
    /// Release to roll out: its version, or its number as #12.
    #[arg(long, value_name = "VERSION|#ID")]
    release: String,
    #[command(flatten)]
    spec: SpecArgs,
    /// Takes whatever isn't said here from a template; `otter template list` shows them.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Leaves it a draft, which offers nothing until `otter rollout start`.
    #[arg(long)]
    draft: bool,
    /// Follows it to its end.
    #[arg(long, conflicts_with = "draft")]
    watch: bool,
    #[command(flatten)]
    watching: WatchArgs,
}

/// A rollout but for its release.
#[derive(Debug, Args)]
pub(super) struct SpecArgs {
    /// Its name, to people.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    audience: AudienceArgs,
    #[command(flatten)]
    exclude: ExclusionArgs,
    /// When it begins, such as 2026-03-01T08:00:00Z; without it, at once.
    #[arg(long, value_name = "TIME")]
    starts_at: Option<Timestamp>,
}

/// How a rollout is made, as parameters of the address.
#[derive(Debug, serde::Serialize)]
pub(super) struct Making<'a> {
    draft: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<&'a str>,
}

impl<'a> Making<'a> {
    pub(super) fn new(draft: bool, template: Option<&'a str>) -> Self {
        Self { draft, template }
    }
}

impl Create {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let release = resolve(client, &self.release).await?;
        let template = self.template.as_deref();
        let fields = self.fields(release.id)?;
        let making = Making::new(self.draft, template);
        let rollout: Rollout = client.post_with(&["rollouts"], &making, &fields).await?;
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

    /// Returns what is sent. What a template completes is the server's to check.
    fn fields(&self, release: ReleaseId) -> Result<Map<String, Value>, Failure> {
        if self.template.is_none() {
            self.spec.spec(release)?.check()?;
        }
        let fields = self.spec.fields(release)?;
        need(&fields, "name", "--name")?;
        Ok(fields)
    }
}

impl SpecArgs {
    /// Returns the rollout whole.
    pub(super) fn spec(&self, release: ReleaseId) -> Result<RolloutSpec, Failure> {
        self.whole(self.fields(release)?)
    }

    /// Makes a rollout of its fields; without a template none may be missing.
    pub(super) fn whole(&self, fields: Map<String, Value>) -> Result<RolloutSpec, Failure> {
        need(&fields, "name", "--name")?;
        let phases = "--phases 5,25,100, --phase canary:5 or --template rings";
        need(&fields, "phases", phases)?;
        serde_json::from_value(Value::Object(fields)).map_err(|error| {
            let source = self.plan.source().display();
            Failure::Refused(format!("{source}: {error}"))
        })
    }

    /// Returns the fields: the file's, and over them what the command line says.
    pub(super) fn fields(&self, release: ReleaseId) -> Result<Map<String, Value>, Failure> {
        let mut fields = self.plan.fields()?;
        for (field, value) in [
            ("release", json(&release)?),
            ("name", json(&self.name)?),
            ("audience", json(&self.audience.audience()?)?),
            ("exclude", json(&self.exclude.exclusions()?)?),
            ("starts_at", json(&self.starts_at)?),
        ] {
            if !value.is_null() {
                fields.insert(field.to_owned(), value);
            }
        }
        Ok(fields)
    }
}

/// Says how to give a field that is missing.
fn need(fields: &Map<String, Value>, field: &str, argument: &str) -> Result<(), Failure> {
    if fields.contains_key(field) {
        return Ok(());
    }
    Err(Failure::Usage(format!("a rollout needs {argument}")))
}

#[cfg(test)]
mod tests;
