//! Names and numbers in a request's path.

use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Result};

/// What a path names.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(named)) => Ok(Self(named)),
            Err(rejection) => Err(explain(rejection)),
        }
    }
}

fn explain(rejection: PathRejection) -> Failure {
    let PathRejection::FailedToDeserializePathParams(error) = rejection else {
        return Failure::body(rejection.body_text());
    };
    let kind = error.into_kind();
    let detail = format!("The address doesn't fit: {kind}.");
    match kind {
        ErrorKind::ParseErrorAtKey { key, .. } | ErrorKind::DeserializeError { key, .. } => {
            Failure::invalid(key, detail)
        }
        _ => Failure::body(detail),
    }
}
