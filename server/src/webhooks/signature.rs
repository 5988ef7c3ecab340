//! What proves to a receiver that a notice is this server's, and of now.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use otter_fleet::WebhookSecret;
use sha2::Sha256;

/// Returns the header's value, `t=<at>,v1=<hex>…`: for each secret, the HMAC-SHA-256 of `<at>.<body>` under the secret's own
/// characters; `at` in seconds since 1970.
pub(super) fn value(secrets: &[WebhookSecret], at: i64, body: &str) -> String {
    let mut value = format!("t={at}");
    for secret in secrets {
        // A key may have any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
            continue;
        };
        mac.update(format!("{at}.").as_bytes());
        mac.update(body.as_bytes());
        value.push_str(",v1=");
        for byte in mac.finalize().into_bytes() {
            // Writing to a text can't fail.
            let _ = write!(value, "{byte:02x}");
        }
    }
    value
}
