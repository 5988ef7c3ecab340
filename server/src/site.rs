//! The dashboard's files, embedded: script, wasm, CSS and icons, as `cargo xtask build` left them in `target/site/`.
//!
//! How to use it:
//!
//! ```ignore
//! let options = site::leptos_options(listen);
//! let routes = leptos_axum::generate_route_list(otter_app::App);
//! let app = Router::new()
//!     .leptos_routes(&options, routes, { let options = options.clone(); move || otter_app::shell(options.clone()) })
//!     .merge(site::router())
//!     .with_state(options);
//! ```
//!
//! `cargo check` works without a site; a server built so renders pages that find no script, and [`is_built`] is false.

use std::net::SocketAddr;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use leptos::config::{Env, LeptosOptions};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "../target/site"]
#[allow_missing = true]
struct Site;

/// The folder of what changes with the dashboard, `pkg/<hash>`; plain `pkg` when no site was built.
static PACKAGE: LazyLock<String> = LazyLock::new(|| {
    let script = Site::iter().find_map(|path| path.strip_suffix("/otter.js").map(str::to_owned));
    script.unwrap_or_else(|| "pkg".to_owned())
});

/// The compressed forms beside a file, best first: ending and `Content-Encoding`.
const ENCODINGS: [(&str, &str); 2] = [("br", "br"), ("gz", "gzip")];

/// Whether this server has the dashboard's script and wasm inside.
pub fn is_built() -> bool {
    PACKAGE.as_str() != "pkg"
}

/// What Leptos must know to render pages that find their script, wasm and CSS here.
pub fn leptos_options(address: SocketAddr) -> LeptosOptions {
    LeptosOptions::builder()
        .output_name("otter")
        .site_pkg_dir(PACKAGE.as_str())
        .site_addr(address)
        .env(Env::PROD)
        .build()
}

/// Routes for the site's files: `/pkg/…`, and one for each file at its root, such as `/favicon.svg`.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let package = get(|Path(path): Path<String>, headers: HeaderMap| async move {
        file(&format!("pkg/{path}"), &headers)
    });
    let files = Site::iter().filter(|path| !path.contains('/') && original(path));
    files.fold(
        Router::new().route("/pkg/{*path}", package),
        |router, name| {
            let path = format!("/{name}");
            router.route(
                &path,
                get(move |headers: HeaderMap| async move { file(&name, &headers) }),
            )
        },
    )
}

/// Whether a path is a file of its own, and not the compressed form of another.
fn original(path: &str) -> bool {
    ENCODINGS
        .iter()
        .all(|(ending, _)| !path.ends_with(&format!(".{ending}")))
}

/// One embedded file in the best form that the client accepts; 304 when it has it, 404 when there is none.
fn file(path: &str, request: &HeaderMap) -> Response {
    let Some(plain) = Site::get(path).filter(|_| original(path)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut headers = HeaderMap::new();
    set(&mut headers, header::CACHE_CONTROL, cache_control(path));
    set(&mut headers, header::VARY, "accept-encoding");
    let (body, encoding) = best_form(path, plain, request);
    let tag = format!("\"{}\"", short_hash(&body));
    set(&mut headers, header::ETAG, &tag);
    if has_tag(request, &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    if let Some(encoding) = encoding {
        set(&mut headers, header::CONTENT_ENCODING, encoding);
    }
    set(&mut headers, header::CONTENT_TYPE, content_type(path));
    set(&mut headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    (headers, Body::from(body.data)).into_response()
}

/// The file itself, or its compressed form with the name of the encoding.
fn best_form(
    path: &str,
    plain: EmbeddedFile,
    request: &HeaderMap,
) -> (EmbeddedFile, Option<&'static str>) {
    for (ending, encoding) in ENCODINGS {
        if accepts(request, encoding)
            && let Some(compressed) = Site::get(&format!("{path}.{ending}"))
        {
            return (compressed, Some(encoding));
        }
    }
    (plain, None)
}

/// Whether `Accept-Encoding` names an encoding with a weight above zero (RFC 9110, section 12.5.3).
fn accepts(request: &HeaderMap, encoding: &str) -> bool {
    let values = request
        .get_all(header::ACCEPT_ENCODING)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let refused = parts
            .filter_map(|parameter| parameter.strip_prefix("q="))
            .any(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0));
        named && !refused
    })
}

fn has_tag(request: &HeaderMap, tag: &str) -> bool {
    let values = request
        .get_all(header::IF_NONE_MATCH)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|item| item == "*" || item.trim_start_matches("W/") == tag)
}

fn short_hash(file: &EmbeddedFile) -> String {
    file.metadata
        .sha256_hash()
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Files under a hash never change; the others are asked for again.
fn cache_control(path: &str) -> &'static str {
    if path.starts_with("pkg/") {
        "public, max-age=31536000, immutable"
    } else {
        "public, max-age=3600"
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("ico") => "image/x-icon",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json" | "webmanifest") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        set(&mut headers, name, value);
        headers
    }

    #[test]
    fn weights_of_zero_refuse_an_encoding() {
        let headers = request(header::ACCEPT_ENCODING, "gzip;q=0, deflate, br;q=0.5");
        assert!(accepts(&headers, "br"));
        assert!(!accepts(&headers, "gzip"));
        assert!(!accepts(&HeaderMap::new(), "br"));
    }

    #[test]
    fn tags_match_weak_ones_and_lists() {
        let headers = request(header::IF_NONE_MATCH, "\"a\", W/\"b\"");
        assert!(has_tag(&headers, "\"b\""));
        assert!(!has_tag(&headers, "\"c\""));
    }

    #[test]
    fn only_hashed_files_are_immutable() {
        assert!(cache_control("pkg/0123/otter.js").contains("immutable"));
        assert!(!cache_control("favicon.svg").contains("immutable"));
    }

    #[test]
    fn unknown_and_compressed_names_are_not_found() {
        for path in ["pkg/nothing.js", "favicon.svg.br", "../Cargo.toml"] {
            assert_eq!(
                file(path, &HeaderMap::new()).status(),
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
    }

    #[test]
    fn a_built_site_is_served_compressed_and_tagged() {
        if !is_built() {
            return;
        }
        let path = format!("{}/otter.js", PACKAGE.as_str());
        let response = file(&path, &request(header::ACCEPT_ENCODING, "br"));
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "br");
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/javascript; charset=utf-8"
        );
        let tag = response.headers()[header::ETAG]
            .to_str()
            .unwrap()
            .to_owned();
        let mut again = request(header::ACCEPT_ENCODING, "br");
        set(&mut again, header::IF_NONE_MATCH, &tag);
        assert_eq!(file(&path, &again).status(), StatusCode::NOT_MODIFIED);
    }
}
