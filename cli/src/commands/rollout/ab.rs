//! `otter rollout ab`: two releases at once, each on one half of the devices.

use clap::Args;
use otter_protocol::admin::Abort;
use otter_protocol::release::Release;
use otter_protocol::rollout::{Audience, Rollout, RolloutSpec};
use otter_protocol::{RolloutId, Share};
use serde_json::{Value, json};

use super::audience_args::ExclusionArgs;
use super::plan_args::{PlanArgs, json as to_json};
use crate::api::Client;
use crate::commands::release::resolve;
use crate::{Context, Failure};

/// Creates two rollouts of two releases, each to one half of the devices, to compare them.
#[derive(Debug, Args)]
pub struct Ab {
    /// Release for the first half: its version, or its number as #12.
    #[arg(long, value_name = "VERSION|#ID")]
    a: String,
    /// Release for the second half.
    #[arg(long, value_name = "VERSION|#ID")]
    b: String,
    /// Names the split: the same name always splits alike, others differently.
    #[arg(long, value_name = "NAME")]
    salt: String,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    exclude: ExclusionArgs,
    /// Leaves both drafts, which offer nothing until `otter rollout start`.
    #[arg(long)]
    draft: bool,
}

impl Ab {
    /// Runs the command. Both are made as drafts before either begins, so that there is never one half alone.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let a = resolve(client, &self.a).await?;
        let b = resolve(client, &self.b).await?;
        if a.id == b.id {
            let why = "--a and --b are the same release; there is nothing to compare";
            return Err(Failure::Usage(why.to_owned()));
        }
        let [half, all] = halves();
        let first = self.spec(&a, "a", Share::NONE, half)?;
        let second = self.spec(&b, "b", half, all)?;
        let mut first = make_draft(client, &first).await?;
        let mut second = match make_draft(client, &second).await {
            Ok(second) => second,
            Err(failure) => {
                take_back(client, first.id).await?;
                return Err(failure);
            }
        };
        if !self.draft {
            first = start(client, first.id).await?;
            second = start(client, second.id).await?;
        }
        let both = json!({"a": first, "b": second});
        context.output.value(&both, |output| {
            for (rollout, release) in [(&first, &a), (&second, &b)] {
                output.line(format!(
                    "Rollout {} ({}) is {}: {} for {}.",
                    rollout.id,
                    rollout.spec.name,
                    rollout.state,
                    release.version,
                    rollout.spec.audience
                ))?;
            }
            output.line(format!(
                "Compare them with: otter release compare '#{}' '#{}' --rollouts {},{}",
                a.id, b.id, first.id, second.id
            ))
        })
    }

    fn spec(
        &self,
        release: &Release,
        letter: &str,
        from: Share,
        until: Share,
    ) -> Result<RolloutSpec, Failure> {
        let audience = Audience::Split {
            salt: self.salt.clone(),
            from,
            until,
        };
        let mut fields = self.plan.fields()?;
        for (field, value) in [
            (
                "name",
                json!(format!("{} {letter}: {}", self.salt, release.version)),
            ),
            ("release", to_json(&release.id)?),
            ("audience", to_json(&audience)?),
            ("exclude", to_json(&self.exclude.exclusions()?)?),
        ] {
            if !value.is_null() {
                fields.insert(field.to_owned(), value);
            }
        }
        if !fields.contains_key("phases") {
            let why = "the rollouts need --phases 5,25,100 or --phase canary:5";
            return Err(Failure::Usage(why.to_owned()));
        }
        let spec: RolloutSpec = serde_json::from_value(Value::Object(fields)).map_err(|error| {
            Failure::Refused(format!("{}: {error}", self.plan.source().display()))
        })?;
        spec.check()?;
        Ok(spec)
    }
}

/// Returns where the first half ends, and where the second.
fn halves() -> [Share; 2] {
    let half = Share::from_parts_per_million(Share::ALL.parts_per_million() / 2);
    [half.unwrap_or(Share::ALL), Share::ALL]
}

async fn make_draft(client: &Client, spec: &RolloutSpec) -> Result<Rollout, Failure> {
    let draft = [("draft", true)];
    client.post_with(&["rollouts"], &draft, spec).await
}

async fn start(client: &Client, id: RolloutId) -> Result<Rollout, Failure> {
    let id = id.to_string();
    client.post(&["rollouts", &id, "start"], &json!({})).await
}

async fn take_back(client: &Client, id: RolloutId) -> Result<Rollout, Failure> {
    let id = id.to_string();
    let body = Abort {
        reason: "its other half couldn't be made".to_owned(),
        ..Abort::default()
    };
    client.post(&["rollouts", &id, "abort"], &body).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_meet_in_the_middle() {
        let [half, all] = halves();
        assert_eq!((half.as_percent(), all.as_percent()), (50.0, 100.0));
    }
}
