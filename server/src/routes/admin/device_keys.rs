//! Keys of devices that wait for an operator.

use axum::Json as Answer;
use otter_protocol::DeviceId;
use otter_protocol::admin::{DeviceSummary, KeyDecision, KeyDecisions, KeysDecided, WaitingKey};

use crate::extract::{Json, Operator, Optional, Path, Scoped, Viewer};
use crate::failure::Result;

/// Most keys in a list.
const MOST: u64 = 1000;

/// Lists the keys that wait for an operator, by device, at most 1000.
#[utoipa::path(get, path = "/api/v1/devices/waiting-keys", tag = "Devices", operation_id = "list_waiting_keys",
    responses((status = 200, description = "The keys", body = Vec<WaitingKey>)))]
pub(crate) async fn waiting(Scoped(_, fleet): Scoped<Viewer>) -> Result<Answer<Vec<WaitingKey>>> {
    Ok(Answer(fleet.waiting_keys(MOST).await?))
}

/// Lets a pending device take part, or takes the key that is held in place of the device's own.
#[utoipa::path(post, path = "/api/v1/devices/{id}/accept", tag = "Devices", operation_id = "accept_device",
    params(("id" = DeviceId, Path, description = "The device")),
    request_body = Option<KeyDecision>,
    responses((status = 200, description = "The device as it is now", body = DeviceSummary)))]
pub(crate) async fn accept(
    Scoped(caller, fleet): Scoped<Operator>,
    Path(id): Path<DeviceId>,
    Optional(decision): Optional<KeyDecision>,
) -> Result<Answer<DeviceSummary>> {
    Ok(Answer(
        fleet.accept_device(&caller.actor, &id, &decision).await?,
    ))
}

/// Turns away the key that waits: a held one is forgotten, a pending device is revoked.
#[utoipa::path(post, path = "/api/v1/devices/{id}/reject", tag = "Devices", operation_id = "reject_device",
    params(("id" = DeviceId, Path, description = "The device")),
    request_body = Option<KeyDecision>,
    responses((status = 200, description = "The device as it is now", body = DeviceSummary)))]
pub(crate) async fn reject(
    Scoped(caller, fleet): Scoped<Operator>,
    Path(id): Path<DeviceId>,
    Optional(decision): Optional<KeyDecision>,
) -> Result<Answer<DeviceSummary>> {
    Ok(Answer(
        fleet.reject_device(&caller.actor, &id, &decision).await?,
    ))
}

/// Accepts many keys, each for itself.
#[utoipa::path(post, path = "/api/v1/devices/accept", tag = "Devices", operation_id = "accept_devices",
    request_body = KeyDecisions,
    responses((status = 200, description = "What came of each", body = KeysDecided)))]
pub(crate) async fn accept_many(
    Scoped(caller, fleet): Scoped<Operator>,
    Json(decisions): Json<KeyDecisions>,
) -> Result<Answer<KeysDecided>> {
    Ok(Answer(
        fleet.accept_devices(&caller.actor, &decisions).await?,
    ))
}

/// Rejects many keys, each for itself.
#[utoipa::path(post, path = "/api/v1/devices/reject", tag = "Devices", operation_id = "reject_devices",
    request_body = KeyDecisions,
    responses((status = 200, description = "What came of each", body = KeysDecided)))]
pub(crate) async fn reject_many(
    Scoped(caller, fleet): Scoped<Operator>,
    Json(decisions): Json<KeyDecisions>,
) -> Result<Answer<KeysDecided>> {
    Ok(Answer(
        fleet.reject_devices(&caller.actor, &decisions).await?,
    ))
}
