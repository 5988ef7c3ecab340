//! Parameters of a list; what doesn't fit is named.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::json::field;
use crate::failure::{Failure, Result};

/// A request's parameters.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    let pairs = url::form_urlencoded::parse(text.as_bytes());
    let reader = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let path = error.path().to_string();
        let text = error.into_inner().to_string();
        match field(&path, &text) {
            Some(field) => Failure::invalid(field, text),
            None => Failure::body(text),
        }
    })
}

#[cfg(test)]
mod tests {
    use otter_protocol::admin::DeviceFilter;

    use super::*;

    #[test]
    fn parameters_may_be_left_out_and_unknown_ones_are_passed_over() {
        let filter: DeviceFilter = parse("model=rpi4&limit=10&utm=x").unwrap();
        assert_eq!(filter.limit, Some(10));
        assert_eq!(parse::<DeviceFilter>("").unwrap(), DeviceFilter::default());
    }

    #[test]
    fn the_parameter_that_does_not_fit_is_named() {
        let failure = parse::<DeviceFilter>("limit=many").unwrap_err();
        assert!(
            format!("{failure:?}").contains("field: Some(\"limit\")"),
            "{failure:?}"
        );
    }
}
