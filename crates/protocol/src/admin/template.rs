//! Ways of going about a rollout, saved under a name.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::TemplateName;
use crate::time::Timestamp;

/// The template that is there from the start: 1 %, 5 %, 10 % and 100 %.
pub const RINGS_TEMPLATE: &str = "rings";

/// Fields of a rollout that are its own, so that no template has them.
pub const NOT_IN_TEMPLATES: [&str; 5] = ["name", "release", "audience", "exclude", "starts_at"];

/// A way of going about a rollout, to save.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewTemplate {
    /// What it is for, to people.
    #[serde(default)]
    pub description: String,
    /// Fields of a rollout, all but `name`, `release`, `audience`, `exclude` and `starts_at`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub plan: Map<String, Value>,
}

/// A way of going about a rollout, as it is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Template {
    /// Its name.
    pub name: TemplateName,
    /// What it is and does.
    #[serde(flatten)]
    pub spec: NewTemplate,
    /// When it was first saved.
    pub created_at: Timestamp,
    /// Who first saved it.
    pub created_by: String,
}

impl NewTemplate {
    /// Returns a rollout's fields with the template's below them: a field that the rollout has goes over the template's
    /// whole.
    pub fn under(self, rollout: Map<String, Value>) -> Map<String, Value> {
        let mut fields = self.plan;
        fields.extend(rollout);
        fields
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollouts_fields_go_over_its_templates() {
        let template: NewTemplate = serde_json::from_value(json!({
            "plan": {"phases": [1, 2], "priority": 3, "window": {"zone": "UTC", "spans": []}},
        }))
        .unwrap();
        let Value::Object(own) = json!({"name": "n", "priority": 4, "window": {}}) else {
            unreachable!("it is an object")
        };
        let merged = Value::Object(template.under(own));
        let expected = json!({"name": "n", "phases": [1, 2], "priority": 4, "window": {}});
        assert_eq!(merged, expected);
    }
}
