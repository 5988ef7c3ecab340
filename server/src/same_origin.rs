//! Changes that a browser's cookie would allow must come from our own pages.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use otter_protocol::ProblemCode;
use url::Url;

use crate::failure::Failure;
use crate::server::Server;

/// Lets state changes through only from our own pages.
pub(crate) async fn pages(State(server): State<Server>, request: Request, next: Next) -> Response {
    if is_safe(request.method()) || is_ours(request.headers(), server.public_url()) {
        return next.run(request).await;
    }
    refuse()
}

/// The same, for calls that stand on a cookie; with a key of its own, a call can't be another site's doing.
pub(crate) async fn api(State(server): State<Server>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_by_cookie =
        headers.contains_key(header::COOKIE) && !headers.contains_key(header::AUTHORIZATION);
    if !is_by_cookie || is_safe(request.method()) || is_ours(headers, server.public_url()) {
        return next.run(request).await;
    }
    refuse()
}

fn refuse() -> Response {
    let detail = "Another site's page asked for this change, so it wasn't made. A program must send an API key, or the \
                  Origin header of this server.";
    Failure::new(ProblemCode::Forbidden, detail).into_response()
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Browsers say where a request comes from: all by `Origin`, and over TLS or on the machine itself by `Sec-Fetch-Site`.
fn is_ours(headers: &HeaderMap, public_url: &Url) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else {
        return false;
    };
    if origin == public_url.origin().ascii_serialization() {
        return true;
    }
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some() && authority == text(header::HOST)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn ours(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let public_url = Url::parse("https://otter.example").unwrap();
        is_ours(&headers.collect(), &public_url)
    }

    #[test]
    fn only_our_own_pages_count() {
        assert!(ours(&[("sec-fetch-site", "same-origin")]));
        assert!(ours(&[("sec-fetch-site", "none")]));
        assert!(ours(&[("origin", "https://otter.example")]));
        assert!(ours(&[
            ("origin", "http://10.0.0.7:8080"),
            ("host", "10.0.0.7:8080")
        ]));
        assert!(!ours(&[]));
        assert!(!ours(&[("origin", "null")]));
        assert!(!ours(&[
            ("origin", "https://evil.example"),
            ("host", "10.0.0.7:8080")
        ]));
        assert!(!ours(&[("origin", "https://otter.example.evil.example")]));
    }

    #[test]
    fn what_a_browser_says_of_the_site_counts_before_the_origin() {
        for site in ["cross-site", "same-site", ""] {
            assert!(
                !ours(&[
                    ("sec-fetch-site", site),
                    ("origin", "https://otter.example")
                ]),
                "{site}"
            );
        }
    }
}
