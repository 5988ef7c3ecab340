//! Ways of going about a rollout, saved under a name.

use otter_protocol::admin::{NOT_IN_TEMPLATES, NewTemplate, RINGS_TEMPLATE, Template};
use otter_protocol::gate::Gate;
use otter_protocol::rollout::{Phase, PhaseScope, RolloutSpec};
use otter_protocol::{Problem, ProblemCode, ReleaseId, Share, TemplateName, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{DatabaseTransaction, EntityTrait, QueryOrder};
use serde_json::{Map, Value};

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::rollout_template;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::text::check_text;

impl Fleet {
    /// Lists templates by name.
    pub async fn templates(&self) -> Result<Vec<Template>> {
        let rows = rollout_template::Entity::find()
            .order_by_asc(rollout_template::Column::Name)
            .all(self.db())
            .await?;
        rows.into_iter().map(template_of).collect()
    }

    /// Returns a template.
    pub async fn template(&self, name: &TemplateName) -> Result<Template> {
        let row = rollout_template::Entity::find_by_id(name.as_str())
            .one(self.db())
            .await?;
        template_of(row.ok_or_else(|| no_such(name))?)
    }

    /// Saves how `spec` goes about it, but nothing of what it brings, to whom and when; changes the template of that name.
    pub async fn put_template(
        &self,
        actor: &Actor,
        name: &TemplateName,
        description: &str,
        spec: &RolloutSpec,
    ) -> Result<Template> {
        check_text("description", description, 1000)?;
        spec.check()
            .map_err(|error| Problem::invalid(format!("plan.{}", error.field), error.why))?;
        let wanted = NewTemplate {
            description: description.to_owned(),
            plan: plan_of(spec)?,
        };
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        let row = locked(&tx, rollout_template::Entity::find_by_id(name.as_str()))
            .one(&tx)
            .await?;
        let before = row.map(template_of).transpose()?;
        if let Some(before) = before.as_ref().filter(|before| before.spec == wanted) {
            return Ok(before.clone());
        }
        let after = Template {
            name: name.clone(),
            spec: wanted,
            created_at: before.as_ref().map_or(now, |before| before.created_at),
            created_by: match &before {
                Some(before) => before.created_by.clone(),
                None => actor.to_string(),
            },
        };
        write(&tx, &after).await?;
        let mut happening = Happening::new(actor, "template.put", "template", name).after(&after);
        if let Some(before) = before {
            happening = happening.before(before);
        }
        audit::record(&tx, now, happening).await?;
        tx.commit().await?;
        Ok(after)
    }

    /// Removes a template; `conflict` for the one that is there from the start. Rollouts made from it keep all they took.
    pub async fn delete_template(&self, actor: &Actor, name: &TemplateName) -> Result<()> {
        if name.as_str() == RINGS_TEMPLATE {
            let detail = format!("`{name}` is there from the start and stays; change it instead.");
            return Err(Error::problem(ProblemCode::Conflict, detail));
        }
        let tx = database::begin(self.db()).await?;
        let row = locked(&tx, rollout_template::Entity::find_by_id(name.as_str()))
            .one(&tx)
            .await?;
        let before = template_of(row.ok_or_else(|| no_such(name))?)?;
        rollout_template::Entity::delete_by_id(name.as_str())
            .exec(&tx)
            .await?;
        let happening = Happening::new(actor, "template.delete", "template", name).before(before);
        audit::record(&tx, self.now(), happening).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes the template that exists from the start, where it doesn't yet: once, so that a change to it stays.
    pub(crate) async fn ensure_rings_template(&self) -> Result<()> {
        let known = rollout_template::Entity::find_by_id(RINGS_TEMPLATE);
        if known.one(self.db()).await?.is_some() {
            return Ok(());
        }
        let corrupt = |error: &dyn std::fmt::Display| Error::Corrupt(error.to_string());
        let name = TemplateName::new(RINGS_TEMPLATE).map_err(|error| corrupt(&error))?;
        let spec = rings().map_err(|error| corrupt(&error))?;
        let description = "Rings of 1, 5, 10 and 100 %, each with time to show what is wrong.";
        self.put_template(&Actor::Engine, &name, description, &spec)
            .await?;
        Ok(())
    }
}

/// Returns the rings: each waits for attempts enough to judge by, or all of its devices, and then for a while.
fn rings() -> std::result::Result<RolloutSpec, otter_protocol::share::ShareError> {
    const HOUR: u64 = 3600;
    let rings = [
        (1.0, Some(10), HOUR),
        (5.0, Some(50), 4 * HOUR),
        (10.0, Some(100), 24 * HOUR),
        (100.0, None, 0),
    ];
    let mut phases = Vec::new();
    for (percent, min_finished, soak_sec) in rings {
        let share = Share::percent(percent)?;
        phases.push(Phase {
            name: share.to_string(),
            scope: PhaseScope::Share { share },
            gate: Gate {
                min_finished,
                soak_sec,
                max_failure_rate: Some(Share::percent(5.0)?),
                max_rollback_rate: Some(Share::percent(2.0)?),
                max_unhealthy_rate: Some(Share::percent(2.0)?),
                ..Gate::default()
            },
        });
    }
    Ok(RolloutSpec::new(RINGS_TEMPLATE, ReleaseId(0), phases))
}

/// Returns a rollout's fields without those that are its own.
fn plan_of(spec: &RolloutSpec) -> Result<Map<String, Value>> {
    let json = serde_json::to_value(spec).map_err(|error| Error::Corrupt(error.to_string()))?;
    let Value::Object(mut plan) = json else {
        return Err(Error::Corrupt("a rollout that is no object".to_owned()));
    };
    plan.retain(|field, _| !NOT_IN_TEMPLATES.contains(&field.as_str()));
    Ok(plan)
}

async fn write(tx: &DatabaseTransaction, template: &Template) -> Result<()> {
    let body = serde_json::to_string(&template.spec.plan)
        .map_err(|error| Error::Corrupt(error.to_string()))?;
    let row = rollout_template::ActiveModel {
        name: Set(template.name.to_string()),
        description: Set(template.spec.description.clone()),
        body: Set(body),
        created_at: Set(template.created_at.0),
        created_by: Set(template.created_by.clone()),
    };
    let update = OnConflict::column(rollout_template::Column::Name)
        .update_columns([
            rollout_template::Column::Description,
            rollout_template::Column::Body,
        ])
        .to_owned();
    rollout_template::Entity::insert(row)
        .on_conflict(update)
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

fn no_such(name: &TemplateName) -> Error {
    Error::not_found(format!("template `{name}`"))
}

fn template_of(row: rollout_template::Model) -> Result<Template> {
    let corrupt = |error: String| Error::Corrupt(format!("template {}: {error}", row.name));
    Ok(Template {
        name: TemplateName::new(&row.name).map_err(|error| corrupt(error.to_string()))?,
        spec: NewTemplate {
            plan: serde_json::from_str(&row.body).map_err(|error| corrupt(error.to_string()))?,
            description: row.description,
        },
        created_at: Timestamp(row.created_at),
        created_by: row.created_by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rings_can_work() {
        let rings = rings().unwrap();
        assert_eq!(rings.check(), Ok(()));
        let names: Vec<&str> = rings
            .phases
            .iter()
            .map(|phase| phase.name.as_str())
            .collect();
        assert_eq!(names, ["1 %", "5 %", "10 %", "100 %"]);
    }

    #[test]
    fn a_template_has_nothing_that_is_a_rollouts_own() {
        let plan = plan_of(&rings().unwrap()).unwrap();
        assert!(plan.contains_key("phases") && plan.contains_key("window"));
        for own in NOT_IN_TEMPLATES {
            assert!(!plan.contains_key(own), "{own}");
        }
    }
}
