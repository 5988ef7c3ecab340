//! The audit log as a file: for spreadsheets, or for programs.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse as _, Response};
use futures::stream::{self, Stream};
use otter_fleet::Fleet;
use otter_protocol::admin::{AuditEvent, AuditFilter, Download, FileFormat};

use crate::extract::{Query, Viewer};
use crate::failure::Result;
use crate::server::Server;

/// Events that are read at once.
const PART: u32 = 500;
/// Says where the log ended when the file was begun, in every format.
const HEAD: HeaderName = HeaderName::from_static("otter-audit-head");
const COLUMNS: &str = "sequence,at,actor,action,subject_kind,subject,before,after,hash\r\n";

/// Returns all events that a filter lets through, the newest first, as a file. The log's head stands in the header
/// `otter-audit-head`, and in JSON in the file, too.
#[utoipa::path(get, path = "/api/v1/audit/download", tag = "Audit", operation_id = "download_audit",
    params(AuditFilter, Download),
    responses((status = 200, description = "The events", content_type = "text/csv", body = String)))]
pub(crate) async fn download(
    _: Viewer,
    State(server): State<Server>,
    Query(mut filter): Query<AuditFilter>,
    Query(Download { format }): Query<Download>,
) -> Result<Response> {
    let fleet = server.fleet().clone();
    let head = fleet.audit_head().await?;
    filter.limit = Some(PART);
    // What is wrong with the filter is said while an answer can still say it.
    let first = fleet.audit_events(&filter).await?;
    let (kind, name) = match format {
        FileFormat::Json => ("application/json", "otter-audit.json"),
        FileFormat::Csv => ("text/csv; charset=utf-8", "otter-audit.csv"),
    };
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
        (HEAD, format!("{} {}", head.sequence, head.hash)),
    ];
    let opening = match format {
        FileFormat::Json => format!(
            "{{\"head\":{},\"events\":[",
            serde_json::to_string(&head).unwrap_or_default()
        ),
        FileFormat::Csv => COLUMNS.to_owned(),
    };
    let file = File {
        fleet,
        filter,
        format,
        next: Some(Next::Part(first)),
        is_first: true,
    };
    let body = Body::from_stream(parts(file, opening));
    Ok((headers, body).into_response())
}

type Page = otter_protocol::admin::Page<AuditEvent>;

/// What comes next in a file.
enum Next {
    /// Events that were read already.
    Part(Page),
    /// Those before a place.
    Before(String),
}

/// A file that is being written.
struct File {
    fleet: Fleet,
    filter: AuditFilter,
    format: FileFormat,
    next: Option<Next>,
    is_first: bool,
}

fn parts(
    file: File,
    opening: String,
) -> impl Stream<Item = std::result::Result<Bytes, otter_fleet::Error>> {
    let opening = stream::iter([Ok(Bytes::from(opening))]);
    let events = stream::try_unfold(file, |mut file| async move {
        let part = file.part().await?;
        Ok(part.map(|part| (Bytes::from(part), file)))
    });
    futures::StreamExt::chain(opening, events)
}

impl File {
    /// Writes the next part; `None` behind the end.
    async fn part(&mut self) -> std::result::Result<Option<String>, otter_fleet::Error> {
        let page = match self.next.take() {
            None => return Ok(None),
            Some(Next::Part(page)) => page,
            Some(Next::Before(cursor)) => {
                self.filter.cursor = Some(cursor);
                self.fleet.audit_events(&self.filter).await?
            }
        };
        let mut text = String::new();
        for event in &page.items {
            match self.format {
                FileFormat::Csv => text.push_str(&line(event)),
                FileFormat::Json => {
                    if !std::mem::take(&mut self.is_first) {
                        text.push(',');
                    }
                    text.push_str(&serde_json::to_string(event).unwrap_or_default());
                }
            }
        }
        self.next = page.next.map(Next::Before);
        if self.next.is_none() && self.format == FileFormat::Json {
            text.push_str("]}\n");
        }
        Ok(Some(text))
    }
}

/// Writes an event as a line, as RFC 4180 has it.
fn line(event: &AuditEvent) -> String {
    let json = |value: &Option<serde_json::Value>| {
        value.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    let cells = [
        event.sequence.to_string(),
        event.at.to_string(),
        event.actor.clone(),
        event.action.clone(),
        event.subject_kind.clone(),
        event.subject.clone(),
        json(&event.before),
        json(&event.after),
        event.hash.to_string(),
    ];
    let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
    format!("{}\r\n", cells.join(","))
}

/// Writes a cell. What a spreadsheet would take for a formula begins with an apostrophe: names come from devices, too.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let mark = if is_formula { "'" } else { "" };
    if is_formula || text.contains(['"', ',', '\n', '\r']) {
        format!("\"{mark}{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_to_themselves_and_are_no_formulas() {
        for (text, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"a\"", "\"say \"\"a\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "\"'=1+1\""),
            ("@x", "\"'@x\""),
            ("", ""),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
