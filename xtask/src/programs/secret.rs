//! Secrets for one run.

use std::fs::File;
use std::io::Read as _;

use anyhow::{Context as _, Result};

/// Returns an API key of 256 random bits.
pub(crate) fn key() -> Result<String> {
    Ok(format!("otk_{}", hex::encode(random::<32>()?)))
}

/// Returns a password of 64 random bits that a person can type: `3f2a-91bc-07de-5a41`.
pub(crate) fn password() -> Result<String> {
    let groups: Vec<String> = random::<8>()?.chunks(2).map(hex::encode).collect();
    Ok(groups.join("-"))
}

/// Returns bytes from the system's random source.
fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_a_password_can_be_typed() {
        assert_ne!(key().unwrap(), key().unwrap());
        let password = password().unwrap();
        assert_eq!(password.len(), 19);
        assert!(password.split('-').all(|group| group.len() == 4));
    }
}
