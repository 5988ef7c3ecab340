//! Named sets of devices.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use otter_protocol::GroupName;
use otter_protocol::group::Group;

use crate::extract::{Json, Operator, Path, Scoped, Viewer};
use crate::failure::{Failure, Result};
use crate::server::Server;

/// Lists groups by name.
#[utoipa::path(get, path = "/api/v1/groups", tag = "Groups", operation_id = "list_groups",
    responses((status = 200, description = "Every group", body = Vec<Group>)))]
pub(crate) async fn list(Scoped(_, fleet): Scoped<Viewer>) -> Result<Answer<Vec<Group>>> {
    Ok(Answer(fleet.groups().await?))
}

/// Makes a group, or changes the one of that name.
#[utoipa::path(put, path = "/api/v1/groups/{name}", tag = "Groups", operation_id = "put_group",
    params(("name" = GroupName, Path, description = "The group")),
    request_body = Group,
    responses((status = 200, description = "The group as it is now", body = Group)))]
pub(crate) async fn put(
    caller: Operator,
    State(server): State<Server>,
    Path(name): Path<GroupName>,
    Json(group): Json<Group>,
) -> Result<Answer<Group>> {
    if group.name != name {
        let detail = format!(
            "The body names the group {}, the address {name}; they must be the same.",
            group.name
        );
        return Err(Failure::invalid("name", detail));
    }
    Ok(Answer(
        server.fleet().put_group(&caller.actor, &group).await?,
    ))
}

/// Removes a group; its members by hand are in none afterwards.
#[utoipa::path(delete, path = "/api/v1/groups/{name}", tag = "Groups", operation_id = "delete_group",
    params(("name" = GroupName, Path, description = "The group")),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn delete(
    caller: Operator,
    State(server): State<Server>,
    Path(name): Path<GroupName>,
) -> Result<StatusCode> {
    server.fleet().delete_group(&caller.actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
