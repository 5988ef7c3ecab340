//! Ed25519 keys: the secret that signs, and the public part that metadata names.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::TrustError;
use crate::document::canonical;

/// An Ed25519 secret key, wiped from memory when dropped.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Makes a key from the system's randomness; fails where the system has none.
    pub fn generate() -> Result<Self, TrustError> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(seed.as_mut()).map_err(|error| {
            TrustError::Key(format!(
                "the system gave no randomness for a key: {error}. Try again later"
            ))
        })?;
        Ok(Self::from_seed(&seed))
    }

    /// Takes a key from its 32 byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Takes a key from text, as an environment variable holds it: 64 hex digits, or base64 of 32 bytes.
    pub fn from_text(text: &str) -> Result<Self, TrustError> {
        let text = text.trim();
        let decoded = if text.len() == 64 {
            hex::decode(text).ok()
        } else {
            let unpadded = text.trim_end_matches('=');
            URL_SAFE_NO_PAD
                .decode(unpadded.replace('+', "-").replace('/', "_"))
                .ok()
        };
        let bytes = Zeroizing::new(decoded.unwrap_or_default());
        let seed: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| {
            TrustError::Key(
                "the key is neither 64 hex digits nor base64 of 32 bytes. \
                 Copy it whole, as it was exported"
                    .to_owned(),
            )
        })?;
        Ok(Self::from_seed(seed))
    }

    /// Writes the key as base64, readable by [`SecretKey::from_text`]. The text is a secret.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_bytes()))
    }

    /// Returns the public part.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public().key_id())
    }
}

/// An Ed25519 public key; serialises as a TUF key object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "TufKey", try_from = "TufKey")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes a key from its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the key's 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the key's TUF id: the SHA-256, in hex, of its canonical key object.
    #[must_use]
    pub fn key_id(&self) -> String {
        // Strings only, so that canonical JSON cannot fail; the hash of nothing would name no key.
        let bytes = canonical(&self.to_tuf()).unwrap_or_default();
        hex::encode(Sha256::digest(bytes))
    }

    /// Returns whether `signature`, in hex, is this key's over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let mut bytes = [0_u8; 64];
        if hex::decode_to_slice(signature, &mut bytes).is_err() {
            return false;
        }
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &bytes.into()).is_ok())
    }

    pub(crate) fn to_tuf(self) -> serde_json::Value {
        json!({
            "keytype": "ed25519",
            "scheme": "ed25519",
            "keyval": { "public": hex::encode(self.0) },
        })
    }
}

/// The key object of the TUF specification, section 4.2.
#[derive(Serialize, Deserialize)]
struct TufKey {
    keytype: String,
    scheme: String,
    keyval: KeyVal,
}

#[derive(Serialize, Deserialize)]
struct KeyVal {
    public: String,
}

impl From<PublicKey> for TufKey {
    fn from(key: PublicKey) -> Self {
        Self {
            keytype: "ed25519".to_owned(),
            scheme: "ed25519".to_owned(),
            keyval: KeyVal {
                public: hex::encode(key.0),
            },
        }
    }
}

impl TryFrom<TufKey> for PublicKey {
    type Error = String;

    fn try_from(key: TufKey) -> Result<Self, String> {
        if key.keytype != "ed25519" || key.scheme != "ed25519" {
            return Err(format!("key type {} is not ed25519", key.keytype));
        }
        let mut bytes = [0_u8; 32];
        hex::decode_to_slice(&key.keyval.public, &mut bytes)
            .map_err(|error| format!("the public key is not 32 bytes in hex: {error}"))?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_in_every_form() {
        let key = SecretKey::generate().unwrap();
        let hex = hex::encode(key.seed());
        let base64 = key.to_text();
        let url_safe = URL_SAFE_NO_PAD.encode(key.seed());
        for text in [hex.as_str(), base64.as_str(), &format!(" {url_safe}\n")] {
            assert_eq!(SecretKey::from_text(text).unwrap().public(), key.public());
        }
    }

    #[test]
    fn broken_text_is_refused_without_repeating_it() {
        for text in ["", "secret", &"g".repeat(64), &"ab".repeat(31)] {
            let error = SecretKey::from_text(text).unwrap_err().to_string();
            assert!(error.contains("64 hex digits"), "{error}");
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = SecretKey::from_seed(&[7; 32]);
        assert_eq!(
            format!("{key:?}"),
            format!("SecretKey({})", key.public().key_id())
        );
    }

    #[test]
    fn public_key_is_a_tuf_key_object() {
        let key = SecretKey::from_seed(&[1; 32]).public();
        let value = serde_json::to_value(key).unwrap();
        assert_eq!(value, key.to_tuf());
        assert_eq!(serde_json::from_value::<PublicKey>(value).unwrap(), key);
        // Hashed once by hand: sha256 of {"keytype":"ed25519","keyval":{"public":…},"scheme":"ed25519"}.
        let by_hand = format!(
            r#"{{"keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}}"#,
            hex::encode(key.as_bytes())
        );
        assert_eq!(key.key_id(), hex::encode(Sha256::digest(by_hand)));
    }

    #[test]
    fn other_key_types_are_refused() {
        let value =
            json!({"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": "00"}});
        assert!(serde_json::from_value::<PublicKey>(value).is_err());
    }
}
