//! Which version is newer.
//!
//! Versions are free text and never refused. Where two parse as semantic versions, that order holds; else the order of
//! publication. Both at once need not be an order (a back-port is published late but is old), so a version that doesn't
//! parse takes the place right after the highest semantic version published before it. That makes one total order.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A version of software, as its publisher writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Version(Arc<str>);

impl Version {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the semantic version, where this is one; a leading `v` is passed over.
    pub fn semantic(&self) -> Option<semver::Version> {
        semver::Version::parse(self.0.strip_prefix('v').unwrap_or(&self.0)).ok()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Version {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Version {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0.as_ref().to_owned()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Version {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Version {}

/// Where a version stands: semantic version, then whether it is one, then publication, then its text.
type Rank = (Option<semver::Version>, bool, usize, Version);

/// The total order of versions, given what was published and in which order.
#[derive(Debug, Clone, Default)]
pub struct VersionOrder {
    /// Versions that don't parse: the highest semantic version published before, and the place of publication from 1.
    published: HashMap<Version, (Option<semver::Version>, usize)>,
}

impl VersionOrder {
    /// Takes the published versions, the first published first.
    pub fn of_published<'a>(versions: impl IntoIterator<Item = &'a Version>) -> Self {
        let mut highest: Option<semver::Version> = None;
        let mut published = HashMap::new();
        for (place, version) in versions.into_iter().enumerate() {
            match version.semantic() {
                Some(semantic) => highest = highest.max(Some(semantic)),
                None => {
                    published
                        .entry(version.clone())
                        .or_insert((highest.clone(), place + 1));
                }
            }
        }
        Self { published }
    }

    /// Compares two versions; what neither parses nor was published is older than everything.
    pub fn compare(&self, a: &Version, b: &Version) -> Ordering {
        if a == b {
            Ordering::Equal
        } else {
            self.rank(a).cmp(&self.rank(b))
        }
    }

    /// Returns where a version stands.
    fn rank(&self, version: &Version) -> Rank {
        if let Some(semantic) = version.semantic() {
            return (Some(semantic), false, 0, version.clone());
        }
        let (base, place) = self.published.get(version).cloned().unwrap_or((None, 0));
        (base, true, place, version.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(published: &[&str]) -> VersionOrder {
        let versions: Vec<Version> = published.iter().map(|v| Version::from(*v)).collect();
        VersionOrder::of_published(&versions)
    }

    #[test]
    fn table() {
        let order = order(&["1.0.0", "summer", "2.0.0", "1.0.5", "autumn"]);
        let less = [
            ("1.9.0", "1.10.0"),
            ("1.0.0-rc.1", "1.0.0"),
            ("v1.2.0", "1.3.0"),
            ("1.0.0", "summer"),
            ("summer", "2.0.0"),
            ("2.0.0", "autumn"),
            ("summer", "autumn"),
            ("1.0.5", "autumn"),
            ("never published", "0.0.1"),
        ];
        for (a, b) in less {
            assert_eq!(
                order.compare(&a.into(), &b.into()),
                Ordering::Less,
                "{a} < {b}"
            );
            assert_eq!(
                order.compare(&b.into(), &a.into()),
                Ordering::Greater,
                "{b} > {a}"
            );
        }
        assert_eq!(
            order.compare(&"1.0.0".into(), &"1.0.0".into()),
            Ordering::Equal
        );
    }

    fn any_version() -> impl Strategy<Value = String> {
        prop_oneof![
            (0u8..3, 0u8..3, 0u8..3).prop_map(|(a, b, c)| format!("{a}.{b}.{c}")),
            (0u8..3, 0u8..3).prop_map(|(a, b)| format!("v{a}.{b}.0-rc.1")),
            "[a-d]{1,2}",
        ]
    }

    proptest! {
        #[test]
        fn total_order(published in prop::collection::vec(any_version(), 0..12), some in prop::collection::vec(any_version(), 3)) {
            let published: Vec<Version> = published.into_iter().map(Version::from).collect();
            let order = VersionOrder::of_published(&published);
            let some: Vec<Version> = some.into_iter().map(Version::from).collect();
            let (a, b, c) = (&some[0], &some[1], &some[2]);
            prop_assert_eq!(order.compare(a, b), order.compare(b, a).reverse());
            prop_assert_eq!(order.compare(a, b) == Ordering::Equal, a == b);
            if order.compare(a, b).is_le() && order.compare(b, c).is_le() {
                prop_assert!(order.compare(a, c).is_le());
            }
        }

        #[test]
        fn semantic_versions_ignore_publication(a in (0u8..9, 0u8..9, 0u8..9), b in (0u8..9, 0u8..9, 0u8..9)) {
            let text = |v: (u8, u8, u8)| Version::from(format!("{}.{}.{}", v.0, v.1, v.2));
            let order = VersionOrder::of_published(&[text(b), text(a)]);
            prop_assert_eq!(order.compare(&text(a), &text(b)), a.cmp(&b));
        }
    }
}
