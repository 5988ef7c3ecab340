//! Ways of going about a rollout, saved under a name.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use otter_protocol::TemplateName;
use otter_protocol::admin::{NOT_IN_TEMPLATES, NewTemplate, Template};
use otter_protocol::rollout::RolloutSpec;
use serde_json::{Map, Value, json};

use crate::extract::{Json, Operator, Path, Scoped, Viewer, from_fields};
use crate::failure::{Failure, Result};
use crate::server::Server;

/// Lists templates by name.
#[utoipa::path(get, path = "/api/v1/rollout-templates", tag = "Rollouts", operation_id = "list_rollout_templates",
    responses((status = 200, description = "Every template", body = Vec<Template>)))]
pub(crate) async fn list(
    _: Scoped<Viewer>,
    State(server): State<Server>,
) -> Result<Answer<Vec<Template>>> {
    Ok(Answer(server.fleet().templates().await?))
}

/// Returns a template.
#[utoipa::path(get, path = "/api/v1/rollout-templates/{name}", tag = "Rollouts", operation_id = "get_rollout_template",
    params(("name" = TemplateName, Path, description = "The template")),
    responses((status = 200, description = "The template", body = Template)))]
pub(crate) async fn get(
    _: Scoped<Viewer>,
    State(server): State<Server>,
    Path(name): Path<TemplateName>,
) -> Result<Answer<Template>> {
    Ok(Answer(server.fleet().template(&name).await?))
}

/// Saves a template, or changes the one of that name; what its plan doesn't say is as a rollout's that doesn't say it.
#[utoipa::path(put, path = "/api/v1/rollout-templates/{name}", tag = "Rollouts", operation_id = "put_rollout_template",
    params(("name" = TemplateName, Path, description = "The template")),
    request_body = NewTemplate,
    responses((status = 200, description = "The template as it is now", body = Template)))]
pub(crate) async fn put(
    caller: Operator,
    State(server): State<Server>,
    Path(name): Path<TemplateName>,
    Json(template): Json<NewTemplate>,
) -> Result<Answer<Template>> {
    let spec = spec_of(&name, template.plan)?;
    let fleet = server.fleet();
    let saved = fleet
        .put_template(&caller.actor, &name, &template.description, &spec)
        .await?;
    Ok(Answer(saved))
}

/// Removes a template; rollouts made from it keep all they took. The one that is there from the start stays.
#[utoipa::path(delete, path = "/api/v1/rollout-templates/{name}", tag = "Rollouts", operation_id = "delete_rollout_template",
    params(("name" = TemplateName, Path, description = "The template")),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn delete(
    caller: Operator,
    State(server): State<Server>,
    Path(name): Path<TemplateName>,
) -> Result<StatusCode> {
    server.fleet().delete_template(&caller.actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads a plan as a rollout that has no release yet.
fn spec_of(name: &TemplateName, mut plan: Map<String, Value>) -> Result<RolloutSpec> {
    if let Some(own) = NOT_IN_TEMPLATES.iter().find(|own| plan.contains_key(**own)) {
        let detail = "This is each rollout's own; a template can't have it.";
        return Err(Failure::invalid(format!("plan.{own}"), detail));
    }
    plan.insert("name".to_owned(), json!(name));
    plan.insert("release".to_owned(), json!(0));
    from_fields(plan, "plan.")
}
