//! A metadata file with its signatures, at whatever stage of being signed.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{DelegatedRole, PublicKey, Role, SecretKey, TrustError};

/// Version of the TUF specification that this crate writes.
pub(crate) const SPEC_VERSION: &str = "1.0.31";

/// Says on a delegated role's list whose it is: TUF itself has no word for it, and files travel.
pub(crate) const DELEGATED_ROLE: &str = "x-otter-role";

/// Any TUF metadata file: unsigned, partly signed or ready.
///
/// Several people sign one after another ([`Document::sign`]) or side by side ([`Document::merge`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    signatures: Vec<Signature>,
    signed: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "_type")]
    role: Role,
    version: u64,
    expires: Timestamp,
}

impl Document {
    /// Reads a metadata file; checks its form, not its signatures.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let document: Self =
            serde_json::from_slice(bytes).map_err(|error| malformed("the metadata file", error))?;
        document.head()?;
        Ok(document)
    }

    /// Wraps what is to be signed, with no signature yet.
    pub(crate) fn unsigned(signed: Value) -> Self {
        Self {
            signatures: Vec::new(),
            signed,
        }
    }

    fn head(&self) -> Result<Head, TrustError> {
        Head::deserialize(&self.signed).map_err(|error| malformed("the metadata file", error))
    }

    /// Returns the role that the document speaks for.
    pub fn role(&self) -> Result<Role, TrustError> {
        Ok(self.head()?.role)
    }

    /// Returns the delegated role that a list of artifacts is for; `None` for the publishers' own, and for other roles.
    pub fn delegated_role(&self) -> Result<Option<DelegatedRole>, TrustError> {
        match self.signed.get(DELEGATED_ROLE) {
            None => Ok(None),
            Some(role) => DelegatedRole::deserialize(role)
                .map(Some)
                .map_err(|error| malformed("the metadata file", error)),
        }
    }

    /// Returns the document's version.
    pub fn version(&self) -> Result<u64, TrustError> {
        Ok(self.head()?.version)
    }

    /// Returns the end of the document's life.
    pub fn expires(&self) -> Result<Timestamp, TrustError> {
        Ok(self.head()?.expires)
    }

    /// Signs with one more key; a signature of the same key is replaced.
    ///
    /// Whether the key may sign for the role is the root's word, not the document's: see
    /// [`signing_status`](crate::signing_status).
    pub fn sign(&mut self, key: &SecretKey) -> Result<(), TrustError> {
        let keyid = key.public().key_id();
        let sig = hex::encode(key.sign(&canonical(&self.signed)?));
        self.signatures.retain(|signature| signature.keyid != keyid);
        self.signatures.push(Signature { keyid, sig });
        Ok(())
    }

    /// Adds the signatures that another copy of the same document carries.
    ///
    /// Refuses a copy that says anything else.
    pub fn merge(&mut self, other: &Self) -> Result<(), TrustError> {
        if self.signed != other.signed {
            return Err(TrustError::Refused(
                "the two files say different things, so that their signatures cannot be joined. \
                 Have everybody sign the same file"
                    .to_owned(),
            ));
        }
        for signature in &other.signatures {
            if !self.signers().any(|id| id == signature.keyid) {
                self.signatures.push(signature.clone());
            }
        }
        Ok(())
    }

    /// Returns the ids of the keys that signed, valid or not, in the order of signing.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.signatures
            .iter()
            .map(|signature| signature.keyid.as_str())
    }

    /// Returns whether this key has signed, and validly.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let id = key.key_id();
        let Ok(message) = canonical(&self.signed) else {
            return false;
        };
        self.signatures
            .iter()
            .any(|signature| signature.keyid == id && key.verifies(&message, &signature.sig))
    }

    /// Writes the file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TrustError> {
        serde_json::to_vec(self).map_err(|error| malformed("the metadata", error))
    }

    pub(crate) const fn signed(&self) -> &Value {
        &self.signed
    }
}

/// Writes canonical JSON as securesystemslib does: the bytes that signatures cover.
pub(crate) fn canonical(value: &Value) -> Result<Vec<u8>, TrustError> {
    sigstore_tuf::canonical_json::to_canonical_bytes(value)
        .map_err(|error| malformed("the metadata", error))
}

/// Returns the time `life` after `now` in whole seconds, as TUF writes times.
pub(crate) fn expiry(now: Timestamp, life: SignedDuration) -> Result<Timestamp, TrustError> {
    now.checked_add(life)
        .map(whole_seconds)
        .map_err(|error| TrustError::Refused(format!("the expiry is out of range: {error}")))
}

/// Drops what is below a second: TUF's date format has none.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Returns the version after this one; fails at the largest integer that JSON holds everywhere.
pub(crate) fn next_version(version: u64, role: Role) -> Result<u64, TrustError> {
    const LARGEST: u64 = (1 << 53) - 1;
    if version >= LARGEST {
        return Err(TrustError::Refused(format!(
            "{role} version {version} is the last there can be. \
             Rotate the {role} key in a new root, and start again at version 1"
        )));
    }
    Ok(version + 1)
}

pub(crate) fn malformed(what: &str, reason: impl std::fmt::Display) -> TrustError {
    TrustError::Malformed {
        what: what.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(note: &str) -> Document {
        Document::unsigned(json!({
            "_type": "targets", "spec_version": SPEC_VERSION, "version": 3,
            "expires": "2030-01-01T00:00:00Z", "targets": {}, "note": note,
        }))
    }

    #[test]
    fn signatures_add_up_and_replace_their_own() {
        let (one, two) = (
            SecretKey::from_seed(&[1; 32]),
            SecretKey::from_seed(&[2; 32]),
        );
        let mut document = document("a");
        document.sign(&one).unwrap();
        let mut document = Document::parse(&document.to_bytes().unwrap()).unwrap();
        document.sign(&two).unwrap();
        document.sign(&one).unwrap();
        let signers: Vec<_> = document.signers().collect();
        assert_eq!(signers, [two.public().key_id(), one.public().key_id()]);
    }

    #[test]
    fn copies_merge_unless_they_differ() {
        let (one, two) = (
            SecretKey::from_seed(&[1; 32]),
            SecretKey::from_seed(&[2; 32]),
        );
        let (mut left, mut right) = (document("a"), document("a"));
        left.sign(&one).unwrap();
        right.sign(&one).unwrap();
        right.sign(&two).unwrap();
        left.merge(&right).unwrap();
        assert_eq!(left.signers().count(), 2);

        let before = left.clone();
        let error = left.merge(&document("b")).unwrap_err();
        assert!(error.to_string().contains("different things"), "{error}");
        assert_eq!(left, before);
    }

    #[test]
    fn versions_end_where_json_does() {
        assert_eq!(next_version(1, Role::Targets).unwrap(), 2);
        assert!(next_version((1 << 53) - 1, Role::Targets).is_err());
    }

    #[test]
    fn what_is_no_metadata_is_malformed() {
        for bytes in [
            &b"{"[..],
            b"{}",
            br#"{"signed":{"_type":"mirrors"},"signatures":[]}"#,
        ] {
            let error = Document::parse(bytes).unwrap_err();
            assert!(matches!(error, TrustError::Malformed { .. }), "{error}");
        }
    }
}
