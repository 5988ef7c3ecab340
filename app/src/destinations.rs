//! Every screen and action that one can jump to, in one place: the palette lists them, and keys lead to them.

use otter_protocol::admin::Role;

/// What going somewhere does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Does {
    /// Opens an address of the dashboard.
    Go(String),
    /// Presses a control that every page has, by its selector.
    Press(&'static str),
    /// Shows the keys.
    ShowKeys,
}

/// A screen or an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    /// `Screen` or `Action`.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// Other words that find it.
    pub(crate) words: &'static str,
    /// Keys that lead to it, one after another; empty for none.
    pub(crate) keys: &'static str,
    /// The least role that may.
    pub(crate) least: Role,
    target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Address(&'static str),
    Control(&'static str),
    Keys,
}

const fn screen(
    name: &'static str,
    keys: &'static str,
    least: Role,
    path: &'static str,
) -> Destination {
    Destination {
        kind: "Screen",
        name,
        words: "",
        keys,
        least,
        target: Target::Address(path),
    }
}

const fn action(
    name: &'static str,
    words: &'static str,
    keys: &'static str,
    least: Role,
    target: Target,
) -> Destination {
    Destination {
        kind: "Action",
        name,
        words,
        keys,
        least,
        target,
    }
}

/// All of them, screens first.
pub(crate) const DESTINATIONS: [Destination; 18] = [
    screen("Overview", "go", Role::Viewer, "/"),
    screen("Devices", "gd", Role::Viewer, "/devices"),
    screen("Releases", "ge", Role::Viewer, "/releases"),
    screen("Rollouts", "gr", Role::Viewer, "/rollouts"),
    screen("Audit", "ga", Role::Viewer, "/audit"),
    screen("Settings", "gs", Role::Admin, "/settings"),
    screen("Your account", "gy", Role::Viewer, "/account"),
    action(
        "New rollout",
        "create start",
        "nr",
        Role::Operator,
        Target::Address("/rollouts/new"),
    ),
    action(
        "Upload a release",
        "new create",
        "ne",
        Role::Operator,
        Target::Address("/releases#upload"),
    ),
    action(
        "Devices that wait to be accepted",
        "pending enrollment",
        "gp",
        Role::Operator,
        Target::Address("/devices?state=pending"),
    ),
    action(
        "Make an enrollment token",
        "new create add device",
        "nt",
        Role::Admin,
        Target::Address("/settings#tokens"),
    ),
    action(
        "Add a person",
        "new create account user invite",
        "np",
        Role::Admin,
        Target::Address("/settings#people"),
    ),
    action(
        "Verify the audit chain",
        "check log",
        "",
        Role::Viewer,
        Target::Address("/audit"),
    ),
    action(
        "Light theme",
        "colours",
        "",
        Role::Viewer,
        Target::Control(".theme-switch [value=light]"),
    ),
    action(
        "Dark theme",
        "colours",
        "",
        Role::Viewer,
        Target::Control(".theme-switch [value=dark]"),
    ),
    action(
        "System theme",
        "colours",
        "",
        Role::Viewer,
        Target::Control(".theme-switch [value='']"),
    ),
    action(
        "Show all keys",
        "help shortcuts keyboard",
        "?",
        Role::Viewer,
        Target::Keys,
    ),
    action(
        "Log out",
        "sign out leave end session",
        "",
        Role::Viewer,
        Target::Control(".person button"),
    ),
];

impl Destination {
    /// Returns what going there does.
    pub(crate) fn does(&self) -> Does {
        match self.target {
            Target::Address(path) => Does::Go(path.to_owned()),
            Target::Control(selector) => Does::Press(selector),
            Target::Keys => Does::ShowKeys,
        }
    }

    /// Tells whether it is meant by a text: each of its words begins a word of the name or of those that find it.
    pub(crate) fn is_meant_by(&self, text: &str) -> bool {
        let known = format!("{} {} {}", self.name, self.words, self.kind).to_lowercase();
        text.to_lowercase().split_whitespace().all(|word| {
            known
                .split_whitespace()
                .any(|known| known.starts_with(word))
        })
    }
}

/// Returns where keys lead somebody with a role.
pub(crate) fn by_keys(keys: &str, role: Role) -> Option<&'static Destination> {
    DESTINATIONS
        .iter()
        .find(|one| one.keys == keys && role >= one.least)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_leads_to_one_place_and_names_are_told_apart() {
        let keyed = DESTINATIONS.iter().filter(|one| !one.keys.is_empty());
        let keys: Vec<_> = keyed.map(|one| one.keys).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        let names: BTreeSet<_> = DESTINATIONS.iter().map(|one| one.name).collect();
        assert_eq!(names.len(), DESTINATIONS.len());
    }

    #[test]
    fn words_find_it_in_any_order_by_their_beginnings() {
        let meant = |text: &str| -> Vec<_> {
            DESTINATIONS
                .iter()
                .filter(|one| one.is_meant_by(text))
                .map(|one| one.name)
                .collect()
        };
        assert_eq!(meant("roll new"), ["New rollout"]);
        assert_eq!(meant("DARK"), ["Dark theme"]);
        assert_eq!(meant("ollout"), [""; 0]);
        assert_eq!(meant("").len(), DESTINATIONS.len());
    }

    #[test]
    fn keys_lead_nobody_where_he_may_not_go() {
        assert_eq!(by_keys("gs", Role::Operator), None);
        assert!(by_keys("gs", Role::Admin).is_some());
        assert_eq!(by_keys("nr", Role::Viewer), None);
    }
}
