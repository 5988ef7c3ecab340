//! The part of a fleet that a key reaches.
//!
//! Who calls with a key of a limited scope gets a [`Reach`] and no [`Fleet`]: what isn't here, such a key can't do. Whatever
//! is out of reach is for a reader as if it weren't there (`not_found`); a change that would go beyond it is `forbidden`, and
//! says what does. Where nothing is out of reach, each call is the fleet's own.

mod devices;
mod events;
mod releases;
mod rollouts;
mod tokens;

use otter_protocol::admin::Scope;
use otter_protocol::device::Device;
use otter_protocol::group::Group;
use otter_protocol::{Model, ProblemCode, TemplateName};

use crate::error::{Error, Result};
use crate::fleet::Fleet;

/// A fleet as far as a caller reaches it.
#[derive(Debug, Clone)]
pub struct Reach {
    fleet: Fleet,
    scope: Scope,
}

impl Fleet {
    /// Returns the part of the fleet that is within a scope.
    pub fn within(&self, scope: Scope) -> Reach {
        Reach {
            fleet: self.clone(),
            scope,
        }
    }
}

impl Reach {
    /// Lists the groups in reach by name.
    pub async fn groups(&self) -> Result<Vec<Group>> {
        let mut groups = self.fleet.groups().await?;
        groups.retain(|group| self.scope.has_group(Some(&group.name)));
        Ok(groups)
    }

    /// Returns a template: a way of going about a rollout, for whomever.
    pub async fn template(&self, name: &TemplateName) -> Result<otter_protocol::admin::Template> {
        self.fleet.template(name).await
    }

    /// Returns what tells of any device whether it is in reach, by the groups as they are now.
    async fn bounds(&self) -> Result<Bounds<'_>> {
        let groups = match self.scope.groups.as_slice() {
            [] => Vec::new(),
            _ => self.groups().await?,
        };
        Ok(Bounds {
            scope: &self.scope,
            groups,
        })
    }

    /// Refuses what fits a model out of reach.
    fn check_models<'a>(&self, models: impl IntoIterator<Item = &'a Model>) -> Result<()> {
        let models: Vec<&Model> = models.into_iter().collect();
        if self.scope.has_models(models.iter().copied()) {
            return Ok(());
        }
        let names: Vec<&str> = models.iter().map(|model| model.as_str()).collect();
        let names = match names.as_slice() {
            [] => "any model".to_owned(),
            names => names.join(", "),
        };
        Err(self.beyond(&format!("this is for {names}")))
    }

    /// Says that something goes beyond the scope.
    fn beyond(&self, what: &str) -> Error {
        let detail = format!(
            "The key reaches {} only, and {what}. Nothing was changed.",
            self.scope
        );
        Error::problem(ProblemCode::Forbidden, detail)
    }
}

/// What tells whether a device is in reach.
struct Bounds<'a> {
    scope: &'a Scope,
    groups: Vec<Group>,
}

impl Bounds<'_> {
    fn has(&self, device: &Device) -> bool {
        self.scope.has_device(device, &self.groups)
    }
}
