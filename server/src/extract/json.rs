//! Bodies that are JSON; what doesn't fit is named by its field.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use otter_protocol::ProblemCode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::body;
use crate::failure::{Failure, Result};
use crate::server::Server;

/// Most bytes of a body, unless a handler says otherwise.
const USUAL_LIMIT: usize = 1 << 20;

/// A body that is JSON, of at most `LIMIT` bytes.
pub(crate) struct Json<T, const LIMIT: usize = USUAL_LIMIT>(pub(crate) T);

impl<T: DeserializeOwned, const LIMIT: usize> FromRequest<Server> for Json<T, LIMIT> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Server) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let bytes = body::read(&parts.headers, body, LIMIT).await?;
        check_media_type(&parts.headers)?;
        parse(&bytes).map(Self)
    }
}

/// Refuses bodies that say they are something else.
pub(super) fn check_media_type(headers: &HeaderMap) -> Result<()> {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or("nothing");
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_json = essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json");
    if is_json {
        return Ok(());
    }
    let detail =
        format!("The body must be JSON (Content-Type: application/json); it says it is {text}.");
    Err(Failure::new(ProblemCode::UnsupportedMediaType, detail))
}

/// Reads JSON. Only where that fails is it read again, slowly, to find the field.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| explain::<T>(bytes, &error))
}

/// Reads fields that were put together; one that doesn't fit is named with `within` before it.
pub(crate) fn from_fields<T: DeserializeOwned>(
    fields: Map<String, Value>,
    within: &str,
) -> Result<T> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let path = error.path().to_string();
        let text = error.into_inner().to_string();
        match field(&path, &text) {
            Some(field) => Failure::invalid(format!("{within}{field}"), text),
            None => Failure::body(text),
        }
    })
}

fn explain<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> Failure {
    if error.classify() != Category::Data {
        return Failure::body(format!("The body is no valid JSON: {error}."));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let path = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(error) => error.path().to_string(),
        Ok(_) => ".".to_owned(),
    };
    let text = error.to_string();
    match field(&path, &text) {
        Some(field) => Failure::invalid(field, text),
        None => Failure::body(text),
    }
}

/// Returns the field that serde means; of one that is missing, serde says the name and the path of what it is missing in.
pub(crate) fn field(path: &str, text: &str) -> Option<String> {
    let within = Some(path).filter(|path| *path != "." && !path.is_empty());
    let missing = text
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next());
    match (within, missing) {
        (Some(path), Some(name)) => Some(format!("{path}.{name}")),
        (None, Some(name)) => Some(name.to_owned()),
        (path, None) => path.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use otter_protocol::Problem;
    use otter_protocol::rollout::RolloutSpec;

    use super::*;

    async fn problem(json: &str) -> Problem {
        let failure = parse::<RolloutSpec>(json.as_bytes()).err().unwrap();
        let body = failure.into_response().into_body();
        let bytes = axum::body::to_bytes(body, 10_000).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn the_field_that_does_not_fit_is_named() {
        let cases = [
            (r#"{"release":1,"phases":[]}"#, Some("name")),
            (r#"{"name":"r","release":"x","phases":[]}"#, Some("release")),
            (
                r#"{"name":"r","release":1,"phases":[{"name":"a"}]}"#,
                Some("phases[0].scope"),
            ),
            (r#"{"name":"#, None),
            ("[]]", None),
        ];
        for (json, field) in cases {
            let problem = problem(json).await;
            assert_eq!(problem.field.as_deref(), field, "{json}: {problem:?}");
            assert_eq!(problem.code, ProblemCode::InvalidRequest);
        }
    }

    #[test]
    fn only_json_counts_as_json() {
        let says = |text: &'static str| {
            let value = axum::http::HeaderValue::from_static(text);
            HeaderMap::from_iter([(header::CONTENT_TYPE, value)])
        };
        for good in [
            "application/json",
            "application/json; charset=utf-8",
            "application/merge-patch+json",
        ] {
            assert!(check_media_type(&says(good)).is_ok(), "{good}");
        }
        for bad in ["text/plain", "application/jsonp", ""] {
            assert!(check_media_type(&says(bad)).is_err(), "{bad}");
        }
        assert!(check_media_type(&HeaderMap::new()).is_err());
    }
}
