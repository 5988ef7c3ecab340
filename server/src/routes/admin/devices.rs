//! The registry of devices.

use axum::Json as Answer;
use otter_protocol::DeviceId;
use otter_protocol::admin::{
    DeviceDetail, DeviceFilter, DevicePatch, DeviceSummary, Page, WithReason,
};

use crate::extract::{Admin, Json, Operator, Optional, Path, Query, Scoped, Viewer};
use crate::failure::Result;

/// Lists devices by id, a page at a time.
#[utoipa::path(get, path = "/api/v1/devices", tag = "Devices", operation_id = "list_devices",
    params(DeviceFilter),
    responses((status = 200, description = "A page of devices", body = Page<DeviceSummary>)))]
pub(crate) async fn list(
    Scoped(_, fleet): Scoped<Viewer>,
    Query(filter): Query<DeviceFilter>,
) -> Result<Answer<Page<DeviceSummary>>> {
    Ok(Answer(fleet.devices(&filter).await?))
}

/// Returns a device with its story, and why it updates or doesn't.
#[utoipa::path(get, path = "/api/v1/devices/{id}", tag = "Devices", operation_id = "get_device",
    params(("id" = DeviceId, Path, description = "The device")),
    responses((status = 200, description = "The device", body = DeviceDetail)))]
pub(crate) async fn get(
    Scoped(_, fleet): Scoped<Viewer>,
    Path(id): Path<DeviceId>,
) -> Result<Answer<DeviceDetail>> {
    Ok(Answer(fleet.device(&id).await?))
}

/// Changes labels, group or hold; what is left out stays.
#[utoipa::path(patch, path = "/api/v1/devices/{id}", tag = "Devices", operation_id = "patch_device",
    params(("id" = DeviceId, Path, description = "The device")),
    request_body = DevicePatch,
    responses((status = 200, description = "The device as it is now", body = DeviceSummary)))]
pub(crate) async fn patch(
    Scoped(caller, fleet): Scoped<Operator>,
    Path(id): Path<DeviceId>,
    Json(patch): Json<DevicePatch>,
) -> Result<Answer<DeviceSummary>> {
    let device = fleet.patch_device(&caller.actor, &id, &patch).await?;
    Ok(Answer(device))
}

/// Ends a device's access; its token and key no longer count.
#[utoipa::path(post, path = "/api/v1/devices/{id}/revoke", tag = "Devices", operation_id = "revoke_device",
    params(("id" = DeviceId, Path, description = "The device")),
    request_body = Option<WithReason>,
    responses((status = 200, description = "The device as it is now", body = DeviceSummary)))]
pub(crate) async fn revoke(
    Scoped(caller, fleet): Scoped<Admin>,
    Path(id): Path<DeviceId>,
    Optional(with): Optional<WithReason>,
) -> Result<Answer<DeviceSummary>> {
    let device = fleet
        .revoke_device(&caller.actor, &id, &with.reason)
        .await?;
    Ok(Answer(device))
}

/// Ends a device's part for good; its story stays.
#[utoipa::path(post, path = "/api/v1/devices/{id}/decommission", tag = "Devices", operation_id = "decommission_device",
    params(("id" = DeviceId, Path, description = "The device")),
    request_body = Option<WithReason>,
    responses((status = 200, description = "The device as it is now", body = DeviceSummary)))]
pub(crate) async fn decommission(
    Scoped(caller, fleet): Scoped<Admin>,
    Path(id): Path<DeviceId>,
    Optional(with): Optional<WithReason>,
) -> Result<Answer<DeviceSummary>> {
    let device = fleet
        .decommission_device(&caller.actor, &id, &with.reason)
        .await?;
    Ok(Answer(device))
}
