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
        from: minute("from", &query.from)?,
        until: minute("until", &query.until)?,
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

/// Reads a minute as a form's field writes it, in UTC.
#[cfg(any(feature = "ssr", test))]
fn minute(field: &'static str, text: &str) -> Result<Option<otter_protocol::Timestamp>, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    // Browsers leave seconds out where they are none.
    let seconds = if text.len() == "2030-01-01T00:00".len() {
        ":00Z"
    } else {
        "Z"
    };
    let read = text.parse().or_else(|_| format!("{text}{seconds}").parse());
    read.map(Some).map_err(|_| {
        let detail = format!("`{text}` is no time; write it as 2030-01-31T08:00.");
        ApiError::invalid(field, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_browsers_write_them() {
        let read = |text: &str| minute("from", text).unwrap().map(|at| at.to_string());
        assert_eq!(read(" "), None);
        let eight = Some("2030-01-31T08:00:00Z".to_owned());
        assert_eq!(read("2030-01-31T08:00"), eight);
        assert_eq!(read("2030-01-31T08:00:00"), eight);
        assert_eq!(read("2030-01-31T08:00:00Z"), eight);
        let error = minute("until", "yesterday").unwrap_err();
        assert_eq!(error.0.field.as_deref(), Some("until"));
    }
}
