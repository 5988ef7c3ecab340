//! The name of a role that publishers delegate some models to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Role, TrustError};

/// Most characters of a role's name.
const LONGEST: usize = 64;

/// Names that files beside a role's have: those of the top-level roles, and one that earlier agents wrote.
const TAKEN: &str = "chain";

/// The name of a role that signs for some models alone, such as `team-a`.
///
/// Small letters, digits and `-`, beginning with a letter: it is part of a file's name on every kind of disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DelegatedRole(String);

impl DelegatedRole {
    /// Takes a text as a role's name.
    pub fn new(text: impl Into<String>) -> Result<Self, TrustError> {
        let text = text.into();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_free = text.parse::<Role>().is_err() && text != TAKEN;
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
        if begins && text.len() <= LONGEST && text.chars().all(is_plain) && is_free {
            return Ok(Self(text));
        }
        Err(TrustError::Refused(format!(
            "{text:?} can't be a delegated role's name. Take small letters, digits and `-`, beginning with a letter, \
             at most {LONGEST}, and none of root, targets, snapshot, timestamp and {TAKEN}"
        )))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of a version's file: `7.team-a.json`.
    #[must_use]
    pub fn file_name(&self, version: u64) -> String {
        format!("{version}.{self}.json")
    }

    /// Returns the name by which a snapshot names the role's file.
    #[must_use]
    pub(crate) fn meta_name(&self) -> String {
        format!("{self}.json")
    }
}

impl fmt::Display for DelegatedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for DelegatedRole {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<Self, TrustError> {
        Self::new(text)
    }
}

impl TryFrom<String> for DelegatedRole {
    type Error = TrustError;

    fn try_from(text: String) -> Result<Self, TrustError> {
        Self::new(text)
    }
}

impl From<DelegatedRole> for String {
    fn from(role: DelegatedRole) -> Self {
        role.0
    }
}

/// Writes a name so that it is safe in addresses, file names and path patterns: all but unreserved characters of
/// RFC 3986 in `%XX`.
pub(crate) fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Reads what [`encode`] wrote; `None` for anything else, so that a name has one form.
pub(crate) fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        };
        bytes.push(byte);
    }
    let name = String::from_utf8(bytes).ok()?;
    (encode(&name) == encoded).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_free() {
        for name in ["a", "team-a", "sensors2"] {
            assert_eq!(DelegatedRole::new(name).unwrap().as_str(), name);
        }
        let long = "a".repeat(65);
        for name in [
            "", "-a", "2a", "Team", "a.b", "a/b", "a b", "ä", "targets", "root", "chain", &long,
        ] {
            assert!(DelegatedRole::new(name).is_err(), "{name}");
        }
        assert_eq!(
            DelegatedRole::new("team-a").unwrap().file_name(7),
            "7.team-a.json"
        );
    }

    #[test]
    fn a_name_has_one_encoded_form() {
        for name in ["rpi4", "esp32/v2", "*", "a b", "größe", "100%", "[a-z]?"] {
            let encoded = encode(name);
            assert!(!encoded.contains(['/', '*', '?', '[', ' ']), "{encoded}");
            assert_eq!(decode(&encoded).as_deref(), Some(name));
        }
        for other in ["%61", "%2", "%zz", "%2f", "a*", "%FF"] {
            assert_eq!(decode(other), None, "{other}");
        }
    }
}
