//! The audit log.

use leptos::prelude::*;
use otter_protocol::admin::{AuditEvent, ChainCheck, Page};

use super::{ApiError, AuditQuery};

/// Lists events, the newest first.
#[server(prefix = "/ui", endpoint = "audit", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn list_events(
    #[server(default)] query: AuditQuery,
) -> Result<Page<AuditEvent>, ApiError> {
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let filter = otter_protocol::admin::AuditFilter {
        actor: given(&query.actor),
        action: given(&query.action),
        subject_kind: given(&query.kind),
        subject: given(&query.subject),
        cursor: given(&query.cursor),
        limit: Some(50),
    };
    Ok(super::auth::viewer()
        .await?
        .fleet
        .audit_events(&filter)
        .await?)
}

/// Walks the whole chain of events.
#[server(prefix = "/ui", endpoint = "verify-audit")]
pub(crate) async fn verify_audit() -> Result<ChainCheck, ApiError> {
    Ok(super::auth::viewer().await?.fleet.verify_audit().await?)
}
