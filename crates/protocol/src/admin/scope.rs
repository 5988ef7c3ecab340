//! What of a fleet a key reaches.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::group::Group;
use crate::id::{GroupName, Model};

/// What of a fleet a key reaches: of each kind that is named, nothing else; a kind of which none is named isn't limited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Scope {
    /// Groups whose members it reaches; none means devices of every group and of no group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupName>,
    /// Models that it reaches; none means every model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Model>,
}

impl Scope {
    /// Most groups, and most models, that a scope names.
    pub const MOST: usize = 100;

    /// Tells whether nothing is out of reach.
    pub fn is_everything(&self) -> bool {
        self.groups.is_empty() && self.models.is_empty()
    }

    /// Tells whether a model is in reach.
    pub fn has_model(&self, model: &Model) -> bool {
        self.models.is_empty() || self.models.contains(model)
    }

    /// Tells whether what fits these models, and no others, is in reach.
    ///
    /// What names no model may be for any: that is in reach of what reaches all models alone.
    pub fn has_models<'a>(&self, models: impl IntoIterator<Item = &'a Model>) -> bool {
        if self.models.is_empty() {
            return true;
        }
        let mut models = models.into_iter().peekable();
        models.peek().is_some() && models.all(|model| self.models.contains(model))
    }

    /// Tells whether what goes to this group alone is in reach; `None` goes to no group in particular.
    pub fn has_group(&self, group: Option<&GroupName>) -> bool {
        self.groups.is_empty() || group.is_some_and(|group| self.groups.contains(group))
    }

    /// Tells whether a device is in reach, by the groups as they are now: one that isn't there any more has no members.
    pub fn has_device(&self, device: &Device, groups: &[Group]) -> bool {
        let is_member = |group: &Group| self.groups.contains(&group.name) && group.has(device);
        self.has_model(&device.model) && (self.groups.is_empty() || groups.iter().any(is_member))
    }
}

impl fmt::Display for Scope {
    /// Writes it as people read it: `groups canary, pilot and models rpi4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |kind: &str, names: Vec<&str>| match names.as_slice() {
            [] => None,
            [one] => Some(format!("{kind} {one}")),
            more => Some(format!("{kind}s {}", more.join(", "))),
        };
        let groups = listed("group", self.groups.iter().map(GroupName::as_str).collect());
        let models = listed("model", self.models.iter().map(Model::as_str).collect());
        match (groups, models) {
            (None, None) => f.write_str("everything"),
            (Some(one), None) | (None, Some(one)) => f.write_str(&one),
            (Some(groups), Some(models)) => write!(f, "{groups} and {models}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::device::{Conditions, DeviceState};
    use crate::id::DeviceId;
    use crate::time::Timestamp;

    fn device(model: &str, group: Option<&str>, site: &str) -> Device {
        Device {
            id: DeviceId::new("gw-1").unwrap(),
            model: Model::new(model).unwrap(),
            version: "1.0.0".into(),
            bootloader_version: None,
            state: DeviceState::Accepted,
            enrolled_at: Timestamp(0),
            hold: None,
            group: group.map(|name| GroupName::new(name).unwrap()),
            labels: BTreeMap::from([("site".to_owned(), site.to_owned())]),
            metadata: BTreeMap::new(),
            conditions: Conditions::default(),
            attempt: None,
            dialect: Default::default(),
            past: BTreeMap::new(),
        }
    }

    fn group(name: &str, selector: Option<&str>) -> Group {
        Group {
            name: GroupName::new(name).unwrap(),
            description: String::new(),
            selector: selector.map(|text| text.parse().unwrap()),
            window: None,
        }
    }

    fn scope(groups: &[&str], models: &[&str]) -> Scope {
        Scope {
            groups: groups
                .iter()
                .map(|it| GroupName::new(*it).unwrap())
                .collect(),
            models: models.iter().map(|it| Model::new(*it).unwrap()).collect(),
        }
    }

    #[test]
    fn a_device_is_in_reach_by_its_model_and_one_of_its_groups() {
        let groups = [group("canary", None), group("lab", Some("site=lab"))];
        let reached = |scope: &Scope, device: &Device| scope.has_device(device, &groups);
        let by_hand = device("rpi4", Some("canary"), "field");
        let by_selector = device("rpi4", None, "lab");
        let nowhere = device("rpi4", None, "field");
        for one in [&by_hand, &by_selector, &nowhere] {
            assert!(reached(&Scope::default(), one));
            assert!(reached(&scope(&[], &["rpi4"]), one));
            assert!(!reached(&scope(&[], &["esp32"]), one));
            assert!(
                !reached(&scope(&["gone"], &[]), one),
                "a group that isn't there"
            );
        }
        assert!(reached(&scope(&["canary"], &[]), &by_hand));
        assert!(!reached(&scope(&["canary"], &[]), &by_selector));
        assert!(reached(&scope(&["canary", "lab"], &["rpi4"]), &by_selector));
        assert!(
            !reached(&scope(&["canary", "lab"], &["esp32"]), &by_selector),
            "both must hold"
        );
        assert!(!reached(&scope(&["canary", "lab"], &[]), &nowhere));
    }

    #[test]
    fn what_fits_another_model_too_is_out_of_reach() {
        let models = |names: &[&str]| -> Vec<Model> {
            names.iter().map(|it| Model::new(*it).unwrap()).collect()
        };
        let scope = scope(&[], &["rpi4", "rpi5"]);
        assert!(scope.has_models(&models(&["rpi4"])));
        assert!(scope.has_models(&models(&["rpi4", "rpi5"])));
        assert!(!scope.has_models(&models(&["rpi4", "esp32"])));
        assert!(!scope.has_models(&models(&[])), "any model");
        assert!(Scope::default().has_models(&models(&[])));
    }

    #[test]
    fn a_scope_reads_as_people_say_it() {
        assert_eq!(Scope::default().to_string(), "everything");
        assert_eq!(scope(&["a", "b"], &[]).to_string(), "groups a, b");
        assert_eq!(scope(&["a"], &["m"]).to_string(), "group a and model m");
    }
}
