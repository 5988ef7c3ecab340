//! `otter template`: ways of going about a rollout, saved under a name.

use clap::{Args, Subcommand};
use otter_protocol::admin::{NOT_IN_TEMPLATES, NewTemplate, Template as Stored};
use otter_protocol::rollout::Phase;
use otter_protocol::{RolloutId, TemplateName};
use serde_json::{Map, Value};

use crate::api::Client;
use crate::commands::rollout::{PlanArgs, detail};
use crate::output::Table;
use crate::{Context, Failure, Output};

/// Where templates stand in the admin API.
const PATH: &str = "rollout-templates";

/// Ways of going about a rollout, saved under a name.
#[derive(Debug, Subcommand)]
pub enum Template {
    /// Lists templates.
    List,
    /// Shows a template.
    Show {
        /// Its name.
        name: TemplateName,
    },
    /// Saves a template, or writes the one of that name anew.
    Save(Box<Save>),
    /// Removes a template; rollouts made from it keep all they took.
    Delete {
        /// Its name.
        name: TemplateName,
    },
}

/// A template to save.
#[derive(Debug, Args)]
pub struct Save {
    /// Its name.
    name: TemplateName,
    /// What it is for, to people.
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// Takes what isn't said here from a rollout, by its number.
    #[arg(long, value_name = "ID", conflicts_with = "spec")]
    from_rollout: Option<RolloutId>,
    #[command(flatten)]
    plan: PlanArgs,
}

impl Template {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let output = context.output;
        match self {
            Self::List => {
                let templates: Vec<Stored> = client.get(&[PATH]).await?;
                output.value(&templates, |output| table(output, &templates))
            }
            Self::Show { name } => {
                let template: Stored = client.get(&[PATH, name.as_str()]).await?;
                output.value(&template, |output| show(output, &template))
            }
            Self::Save(save) => save.run(output, &client).await,
            Self::Delete { name } => {
                client.delete(&[PATH, name.as_str()]).await?;
                output.value(&(), |output| {
                    output.line(format!("Template {name} is gone."))
                })
            }
        }
    }
}

impl Save {
    async fn run(self, output: Output, client: &Client) -> Result<(), Failure> {
        let own = self.plan.fields()?;
        let below = NewTemplate {
            description: self.description,
            plan: match self.from_rollout {
                Some(id) => plan_of_rollout(client, id).await?,
                None => Map::new(),
            },
        };
        let template = NewTemplate {
            description: below.description.clone(),
            plan: below.under(own),
        };
        let path = [PATH, self.name.as_str()];
        let saved: Stored = client.put(&path, &template).await?;
        output.value(&saved, |output| show(output, &saved))
    }
}

/// Returns how a rollout goes about it, as the API writes it.
async fn plan_of_rollout(client: &Client, id: RolloutId) -> Result<Map<String, Value>, Failure> {
    let spec = detail(client, id).await?.summary.rollout.spec;
    match serde_json::to_value(spec) {
        Ok(Value::Object(mut plan)) => {
            plan.retain(|field, _| !NOT_IN_TEMPLATES.contains(&field.as_str()));
            Ok(plan)
        }
        _ => Err(Failure::Refused(format!("rollout {id} can't be read"))),
    }
}

/// Returns a template's phases; none where this program doesn't understand them.
fn phases(template: &Stored) -> Vec<Phase> {
    let phases = template.spec.plan.get("phases").cloned();
    phases
        .and_then(|phases| serde_json::from_value(phases).ok())
        .unwrap_or_default()
}

fn table(output: Output, templates: &[Stored]) -> Result<(), Failure> {
    let mut table = Table::new(["name", "phases", "description"]);
    for template in templates {
        let phases = phases(template);
        let names: Vec<&str> = phases.iter().map(|phase| phase.name.as_str()).collect();
        table.row([
            template.name.to_string(),
            names.join(", "),
            template.spec.description.clone(),
        ]);
    }
    output.table(table, "No templates. Save one with `otter template save`.")
}

fn show(output: Output, template: &Stored) -> Result<(), Failure> {
    output.line(format!("template     {}", template.name))?;
    if !template.spec.description.is_empty() {
        output.line(format!("description  {}", template.spec.description))?;
    }
    for (field, value) in &template.spec.plan {
        if field != "phases" && !value.is_null() {
            output.line(format!("{field:<20}  {value}"))?;
        }
    }
    let mut table = Table::new(["phase", "share", "finished", "soak", "failures at most"]);
    for phase in phases(template) {
        let gate = phase.gate;
        let rate = gate.max_failure_rate;
        table.row([
            phase.name,
            phase.scope.to_string(),
            gate.min_finished
                .map_or("all".to_owned(), |n| n.to_string()),
            format!("{} s", gate.soak_sec),
            rate.map_or("no limit".to_owned(), |rate| rate.to_string()),
        ]);
    }
    output.table(table, "No phases.")
}
