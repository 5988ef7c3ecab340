//! Filters as they stand in a page's address: texts, of which an empty one asks for nothing.

use serde::{Deserialize, Serialize};

/// Which devices a page asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DeviceQuery {
    /// Part of the id.
    pub(crate) search: String,
    /// The model.
    pub(crate) model: String,
    /// What it runs.
    pub(crate) version: String,
    /// Whether it takes part.
    pub(crate) state: String,
    /// The group that it was put in by hand.
    pub(crate) group: String,
    /// Where the page begins.
    pub(crate) cursor: String,
}

impl DeviceQuery {
    /// Tells whether the query leaves some devices out.
    pub(crate) fn is_filtered(&self) -> bool {
        [
            &self.search,
            &self.model,
            &self.version,
            &self.state,
            &self.group,
        ]
        .iter()
        .any(|text| !text.trim().is_empty())
    }

    /// Returns the query's fields as they stand in an address.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("search", self.search.as_str()),
            ("model", self.model.as_str()),
            ("version", self.version.as_str()),
            ("state", self.state.as_str()),
            ("group", self.group.as_str()),
        ]
    }
}

/// Which events a page asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct AuditQuery {
    /// Who.
    pub(crate) actor: String,
    /// What; a trailing `*` takes all that begin so.
    pub(crate) action: String,
    /// To what kind of thing.
    pub(crate) kind: String,
    /// To which.
    pub(crate) subject: String,
    /// Not before this minute, in UTC.
    pub(crate) from: String,
    /// Before this minute, in UTC.
    pub(crate) until: String,
    /// Where the page begins.
    pub(crate) cursor: String,
}

impl AuditQuery {
    /// Tells whether the query leaves some events out.
    pub(crate) fn is_filtered(&self) -> bool {
        self.pairs().iter().any(|(_, text)| !text.trim().is_empty())
    }

    /// Returns the query's fields as they stand in an address.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("actor", self.actor.as_str()),
            ("action", self.action.as_str()),
            ("kind", self.kind.as_str()),
            ("subject", self.subject.as_str()),
            ("from", self.from.as_str()),
            ("until", self.until.as_str()),
        ]
    }
}
