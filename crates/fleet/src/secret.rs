//! Secrets that are shown once and kept as a hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use otter_protocol::Sha256Digest;

use crate::error::{Error, Result};

/// A fresh secret: a prefix that scanners know, and 256 random bits.
pub(crate) fn generate(prefix: &str) -> Result<String> {
    Ok(format!(
        "{prefix}{}",
        URL_SAFE_NO_PAD.encode(random::<32>()?)
    ))
}

/// Random bytes of the operating system's.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Store(std::io::Error::other(error.to_string())))?;
    Ok(bytes)
}

/// What is kept of a secret. A plain hash will do: there are 256 bits to guess. Comparing hashes leaks nothing of use.
pub(crate) fn hash(secret: &str) -> String {
    Sha256Digest::of(secret.as_bytes()).to_string()
}
