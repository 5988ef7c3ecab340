//! The bytes of releases, whole or in parts, never encoded otherwise: devices resume by offsets into these very bytes.

use std::ops::Range;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, LOCATION, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use otter_protocol::{ProblemCode, Sha256Digest};

use crate::extract::{Device, Path};
use crate::failure::{Failure, Result};
use crate::range::Wanted;
use crate::server::Server;

/// Sends an artifact of a published release, or a part of it.
#[utoipa::path(get, path = "/device/v1/artifacts/{sha256}", tag = "Device", operation_id = "get_artifact",
    params(
        ("sha256" = Sha256Digest, Path, description = "Names the bytes"),
        ("Range" = Option<String>, Header, description = "One range of bytes, such as `bytes=1048576-`"),
        ("If-Range" = Option<String>, Header, description = "The ETag that the range belongs to"),
        ("If-None-Match" = Option<String>, Header, description = "ETags that the client has"),
    ),
    responses(
        (status = 200, description = "The bytes", content_type = "application/octet-stream"),
        (status = 206, description = "The part asked for", content_type = "application/octet-stream"),
        (status = 304, description = "The client has them"),
        (status = 307, description = "They are elsewhere; `Location` says where, for a while"),
    ))]
pub(crate) async fn get_artifact(
    State(server): State<Server>,
    Device(_): Device,
    Path(sha256): Path<Sha256Digest>,
    method: Method,
    request: HeaderMap,
) -> Result<Response> {
    if method == Method::GET
        && let Some(elsewhere) = server.fleet().artifact_address(sha256).await?
    {
        return Ok(sent_to(elsewhere.as_str()));
    }
    send(&server, sha256, &method, &request).await
}

/// Sends an artifact of a published release, or the part of it that a request asks for.
pub(crate) async fn send(
    server: &Server,
    sha256: Sha256Digest,
    method: &Method,
    request: &HeaderMap,
) -> Result<Response> {
    let reader = server.fleet().open_artifact(sha256).await?;
    let size = reader.size();
    let tag = format!("\"{sha256}\"");
    let mut headers = fixed_headers();
    insert(&mut headers, ETAG, &tag);
    if names_tag(request, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    let (status, range) = match wanted(request, &tag, size) {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => return Ok(unsatisfiable(size)),
    };
    if status == StatusCode::PARTIAL_CONTENT {
        insert(&mut headers, CONTENT_RANGE, &content_range(&range, size));
    }
    headers.insert(
        CONTENT_LENGTH,
        HeaderValue::from(range.end.saturating_sub(range.start)),
    );
    let body = if *method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(reader.stream(range).await?)
    };
    Ok((status, headers, body).into_response())
}

/// Sends a device on. What it asked for, a range among it, it asks for there.
fn sent_to(address: &str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    insert(&mut headers, LOCATION, address);
    (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
}

/// What holds for every answer about an artifact: its bytes never change.
fn fixed_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (
            CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        ),
    ])
}

/// A range counts only while it speaks of these bytes.
fn wanted(request: &HeaderMap, tag: &str, size: u64) -> Wanted {
    let text = |name| {
        request
            .get(name)
            .map(|value: &HeaderValue| value.to_str().unwrap_or_default())
    };
    let is_other = text(IF_RANGE).is_some_and(|has| has.trim() != tag);
    match text(RANGE) {
        Some(range) if !is_other => Wanted::parse(range, size),
        _ => Wanted::Whole,
    }
}

fn names_tag(request: &HeaderMap, tag: &str) -> bool {
    let values = request
        .get_all(IF_NONE_MATCH)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|has| has == "*" || has.trim_start_matches("W/") == tag)
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!(
        "bytes {}-{}/{size}",
        range.start,
        range.end.saturating_sub(1)
    )
}

fn unsatisfiable(size: u64) -> Response {
    let detail = format!("The artifact has {size} bytes; the range begins after them.");
    let mut response = Failure::new(ProblemCode::RangeNotSatisfiable, detail).into_response();
    insert(
        response.headers_mut(),
        CONTENT_RANGE,
        &format!("bytes */{size}"),
    );
    response
}

fn insert(headers: &mut HeaderMap, name: axum::http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
