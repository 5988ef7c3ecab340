//! The secret in `Authorization: Bearer …`.

use axum::http::{HeaderMap, header};
use otter_protocol::ProblemCode;

use crate::failure::{Failure, Result};

/// Returns the secret that a request shows, where it shows one.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&str>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let secret = value.to_str().ok().and_then(secret);
    secret.map(Some).ok_or_else(|| {
        let detail = "The Authorization header must read `Bearer`, a space, and the secret.";
        Failure::new(ProblemCode::Unauthenticated, detail)
    })
}

fn secret(value: &str) -> Option<&str> {
    let (scheme, secret) = value.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty()).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_secrets_count() {
        assert_eq!(secret("Bearer otk_x"), Some("otk_x"));
        assert_eq!(secret("bearer  otk_x "), Some("otk_x"));
        for bad in ["Bearer", "Bearer ", "Basic abc", "otk_x"] {
            assert_eq!(secret(bad), None, "{bad}");
        }
    }
}
