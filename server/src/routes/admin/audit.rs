//! The audit log.

use axum::Json as Answer;
use axum::extract::State;
use otter_protocol::admin::{AuditEvent, AuditExport, AuditFilter, ChainCheck, ExportFilter, Page};

use crate::extract::{Query, Scoped, Viewer};
use crate::failure::Result;
use crate::server::Server;

/// Lists events, the newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "Audit", operation_id = "list_events",
    params(AuditFilter),
    responses((status = 200, description = "A page of events", body = Page<AuditEvent>)))]
pub(crate) async fn list(
    Scoped(_, fleet): Scoped<Viewer>,
    Query(filter): Query<AuditFilter>,
) -> Result<Answer<Page<AuditEvent>>> {
    Ok(Answer(fleet.audit_events(&filter).await?))
}

/// Returns a part of the log as it is to be kept elsewhere, with the very texts that its hashes are made of.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "Audit", operation_id = "export_audit",
    params(ExportFilter),
    responses((status = 200, description = "At most 1000 events", body = AuditExport)))]
pub(crate) async fn export(
    _: Viewer,
    State(server): State<Server>,
    Query(filter): Query<ExportFilter>,
) -> Result<Answer<AuditExport>> {
    Ok(Answer(server.fleet().export_audit(filter.after).await?))
}

/// Checks that each event holds the hash of the one before it, and that none is missing.
#[utoipa::path(post, path = "/api/v1/audit/verify", tag = "Audit", operation_id = "verify_audit",
    responses((status = 200, description = "What was found", body = ChainCheck)))]
pub(crate) async fn verify(_: Viewer, State(server): State<Server>) -> Result<Answer<ChainCheck>> {
    Ok(Answer(server.fleet().verify_audit().await?))
}
