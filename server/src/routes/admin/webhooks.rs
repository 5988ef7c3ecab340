//! Webhooks.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use otter_protocol::admin::{
    DeliveryFilter, NewWebhook, Page, Webhook, WebhookDelivery, WebhookPatch, WithSecret,
};

use crate::extract::{Admin, Json, Path, Query};
use crate::failure::Result;
use crate::server::Server;

/// Lists webhooks, the newest first.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "Webhooks", operation_id = "list_webhooks",
    responses((status = 200, description = "Every webhook, without its secret", body = Vec<Webhook>)))]
pub(crate) async fn list(_: Admin, State(server): State<Server>) -> Result<Answer<Vec<Webhook>>> {
    Ok(Answer(server.fleet().webhooks().await?))
}

/// Makes a webhook; the secret that signs is shown only in the answer.
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "Webhooks", operation_id = "create_webhook",
    request_body = NewWebhook,
    responses((status = 201, description = "The webhook and its secret", body = WithSecret<Webhook>)))]
pub(crate) async fn create(
    caller: Admin,
    State(server): State<Server>,
    Json(new): Json<NewWebhook>,
) -> Result<(StatusCode, Answer<WithSecret<Webhook>>)> {
    let made = server.fleet().create_webhook(&caller.actor, &new).await?;
    Ok((StatusCode::CREATED, Answer(made)))
}

/// Changes a webhook; what waits for it is kept.
#[utoipa::path(patch, path = "/api/v1/webhooks/{id}", tag = "Webhooks", operation_id = "change_webhook",
    params(("id" = i64, Path, description = "The webhook's number")),
    request_body = WebhookPatch,
    responses((status = 200, description = "The webhook as it is now", body = Webhook)))]
pub(crate) async fn change(
    caller: Admin,
    State(server): State<Server>,
    Path(id): Path<i64>,
    Json(patch): Json<WebhookPatch>,
) -> Result<Answer<Webhook>> {
    let fleet = server.fleet();
    Ok(Answer(
        fleet.change_webhook(&caller.actor, id, &patch).await?,
    ))
}

/// Takes a webhook away, with what waits for it and its log.
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", tag = "Webhooks", operation_id = "delete_webhook",
    params(("id" = i64, Path, description = "The webhook's number")),
    responses((status = 204, description = "Taken away")))]
pub(crate) async fn delete(
    caller: Admin,
    State(server): State<Server>,
    Path(id): Path<i64>,
) -> Result<StatusCode> {
    server.fleet().delete_webhook(&caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a webhook another secret; for 24 hours the one before signs, too.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/rotate", tag = "Webhooks", operation_id = "rotate_webhook",
    params(("id" = i64, Path, description = "The webhook's number")),
    responses((status = 200, description = "The webhook and its new secret", body = WithSecret<Webhook>)))]
pub(crate) async fn rotate(
    caller: Admin,
    State(server): State<Server>,
    Path(id): Path<i64>,
) -> Result<Answer<WithSecret<Webhook>>> {
    Ok(Answer(
        server.fleet().rotate_webhook(&caller.actor, id).await?,
    ))
}

/// Sends a webhook a `ping`; how it goes is in its deliveries.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/test", tag = "Webhooks", operation_id = "test_webhook",
    params(("id" = i64, Path, description = "The webhook's number")),
    responses((status = 202, description = "The delivery to look at", body = WebhookDelivery)))]
pub(crate) async fn test(
    caller: Admin,
    State(server): State<Server>,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Answer<WebhookDelivery>)> {
    let delivery = server.fleet().ping_webhook(&caller.actor, id).await?;
    Ok((StatusCode::ACCEPTED, Answer(delivery)))
}

/// Lists a webhook's deliveries of the last seven days, the newest first.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", tag = "Webhooks", operation_id = "list_webhook_deliveries",
    params(("id" = i64, Path, description = "The webhook's number"), DeliveryFilter),
    responses((status = 200, description = "A page of deliveries", body = Page<WebhookDelivery>)))]
pub(crate) async fn deliveries(
    _: Admin,
    State(server): State<Server>,
    Path(id): Path<i64>,
    Query(filter): Query<DeliveryFilter>,
) -> Result<Answer<Page<WebhookDelivery>>> {
    Ok(Answer(
        server.fleet().webhook_deliveries(id, &filter).await?,
    ))
}

/// Has a delivery tried again at once, and for another 24 hours.
#[utoipa::path(post, path = "/api/v1/webhooks/deliveries/{id}/redeliver", tag = "Webhooks", operation_id = "redeliver",
    params(("id" = i64, Path, description = "The delivery's number")),
    responses((status = 202, description = "The delivery, waiting", body = WebhookDelivery)))]
pub(crate) async fn redeliver(
    caller: Admin,
    State(server): State<Server>,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Answer<WebhookDelivery>)> {
    let delivery = server.fleet().redeliver(&caller.actor, id).await?;
    Ok((StatusCode::ACCEPTED, Answer(delivery)))
}
