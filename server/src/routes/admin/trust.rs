//! Signed metadata that publishers bring, and the server's own keys that they sign for.

use axum::Json as Answer;
use axum::extract::State;
use otter_protocol::admin::{OnlineKeys, TrustStatus};

use crate::extract::{Admin, Operator, Raw, Recent, Scoped, Viewer};
use crate::failure::Result;
use crate::server::Server;

/// Most bytes of a root; verifiers take no more either.
const ROOT_LIMIT: usize = 512 << 10;

/// Most bytes of targets, some ten thousand artifacts.
const TARGETS_LIMIT: usize = 8 << 20;

/// Returns how the fleet's trust stands.
#[utoipa::path(get, path = "/api/v1/trust", tag = "Trust", operation_id = "trust_status",
    responses((status = 200, description = "Versions and ends of the signed metadata", body = TrustStatus)))]
pub(crate) async fn status(
    _: Scoped<Viewer>,
    State(server): State<Server>,
) -> Result<Answer<TrustStatus>> {
    Ok(Answer(server.fleet().trust_status().await?))
}

/// Returns the public halves of the server's own keys, which a root has to name.
#[utoipa::path(get, path = "/api/v1/trust/online-keys", tag = "Trust", operation_id = "online_keys",
    responses((status = 200, description = "TUF key objects", body = OnlineKeys)))]
pub(crate) async fn online_keys(
    _: Scoped<Viewer>,
    State(server): State<Server>,
) -> Result<Answer<OnlineKeys>> {
    Ok(Answer(server.fleet().online_keys().await?))
}

/// Takes the first root, or the next version signed by old and new keys.
#[utoipa::path(put, path = "/api/v1/trust/root", tag = "Trust", operation_id = "put_root",
    request_body(content = Object, description = "Signed TUF root metadata", content_type = "application/json"),
    responses((status = 200, description = "How the trust stands now", body = TrustStatus)))]
pub(crate) async fn put_root(
    Recent(caller): Recent<Admin>,
    State(server): State<Server>,
    raw: Raw<ROOT_LIMIT>,
) -> Result<Answer<TrustStatus>> {
    let fleet = server.fleet();
    Ok(Answer(fleet.put_root(&caller.actor, &raw.bytes).await?))
}

/// Takes a signed list of artifacts, the publishers' own or a delegated role's: verifies it, and publishes the drafts that it
/// completes.
#[utoipa::path(put, path = "/api/v1/trust/targets", tag = "Trust", operation_id = "put_targets",
    request_body(content = Object, description = "Signed TUF targets metadata", content_type = "application/json"),
    responses((status = 200, description = "How the trust stands now", body = TrustStatus)))]
pub(crate) async fn put_targets(
    Recent(Scoped(caller, fleet)): Recent<Scoped<Operator>>,
    raw: Raw<TARGETS_LIMIT>,
) -> Result<Answer<TrustStatus>> {
    Ok(Answer(fleet.put_targets(&caller.actor, &raw.bytes).await?))
}
