//! Rollouts as publishers of firmware ask for them: ordinary ones of one phase, that go on until somebody ends them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use otter_protocol::gate::Gate;
use otter_protocol::rollout::{Audience, Exclusions, Phase, PhaseScope, RolloutSpec};
use otter_protocol::selector::Selector;
use otter_protocol::{DeviceId, Model, ProblemCode, Version};
use serde::Deserialize;
use serde_json::Value;

use super::caller::Publisher;
use super::failure::{Plain, SaidIn};
use super::{Answer, Done};
use crate::extract::{Raw, parse_json};
use crate::failure::Failure;
use crate::server::Server;

/// Most bytes of a rollout, which may list devices.
const BODY_LIMIT: usize = 1 << 20;
/// How often a device may fail before it is left alone.
const MAX_ATTEMPTS: u32 = 3;

/// Who a rollout is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum TargetType {
    /// Everybody, or a share.
    All,
    /// Whom a filter takes in by what is known of it.
    Group,
    /// A share.
    Canary,
    /// Those listed.
    Specific,
}

/// A rollout to make.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(crate) struct NewRollout {
    /// Its name, to people.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// The version that it brings.
    #[schema(value_type = String, min_length = 1, max_length = 100)]
    firmware_version: Version,
    /// The model that it is for.
    device_model: Model,
    /// Who it is for.
    target_type: TargetType,
    /// For `specific` `{"device_ids": […]}`, for `group` keys and values that a device's labels or metadata must have.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    target_filter: Option<BTreeMap<String, Value>>,
    /// How much of that, over 0 up to 100, by a fixed place of each device.
    #[serde(default = "everybody")]
    #[schema(exclusive_minimum = 0, maximum = 100)]
    rollout_percentage: f64,
    /// Whether it begins at once; else it is a draft.
    #[serde(default = "at_once")]
    is_active: bool,
}

fn everybody() -> f64 {
    100.0
}

fn at_once() -> bool {
    true
}

/// Makes a rollout of firmware.
#[utoipa::path(post, path = "/api/admin/rollout/create", tag = "Plain firmware API", operation_id = "firmware_rollout",
    request_body = NewRollout,
    responses((status = 200, description = "Made", body = Done)))]
pub(crate) async fn create(
    State(server): State<Server>,
    publisher: Publisher,
    SaidIn(raw): SaidIn<Raw<BODY_LIMIT>>,
) -> Answer<Done> {
    let new: NewRollout = parse_json(&raw.bytes)?;
    let fleet = server.fleet();
    let found = fleet
        .find_firmware(&new.firmware_version, Some(&new.device_model))
        .await?;
    let firmware = found.first().ok_or_else(|| {
        let detail = format!(
            "There is no firmware {} for {}; upload it first.",
            new.firmware_version, new.device_model
        );
        Plain::new(ProblemCode::NotFound, detail)
    })?;
    let mut spec = spec(&new)?;
    spec.release = firmware.release.id;
    // Other models' devices are none of this rollout's.
    if firmware.release.models().len() > 1 {
        spec.exclude = Exclusions {
            selector: Some(selector(&format!("model!={}", new.device_model))?),
            ..Exclusions::default()
        };
    }
    let made = fleet
        .create_rollout(&publisher.actor, &spec, !new.is_active)
        .await?;
    Ok(Json(Done {
        status: "ok",
        message: "Rollout created successfully",
        id: Some(made.id.0),
    }))
}

/// Says a rollout in Otter's own words.
fn spec(new: &NewRollout) -> Result<RolloutSpec, Failure> {
    let percent = match new.target_type {
        TargetType::Specific => everybody(),
        TargetType::All | TargetType::Canary | TargetType::Group => new.rollout_percentage,
    };
    let share = percent
        .try_into()
        .map_err(|error: otter_protocol::share::ShareError| {
            Failure::invalid("rollout_percentage", error.to_string())
        })?;
    let phase = Phase {
        name: format!("{share}"),
        scope: PhaseScope::Share { share },
        // Devices may be seen for the first time at any later moment: it goes on until a person says that it is over.
        gate: Gate {
            needs_approval: true,
            ..Gate::default()
        },
    };
    let release = otter_protocol::ReleaseId(0);
    Ok(RolloutSpec {
        audience: audience(new)?,
        max_attempts: MAX_ATTEMPTS,
        ..RolloutSpec::new(new.name.clone(), release, vec![phase])
    })
}

fn audience(new: &NewRollout) -> Result<Audience, Failure> {
    let wrong = |detail: &str| Failure::invalid("target_filter", detail);
    let filter = new.target_filter.as_ref();
    match new.target_type {
        TargetType::All | TargetType::Canary => Ok(Audience::All),
        TargetType::Specific => {
            let ids = filter.and_then(|filter| filter.get("device_ids"));
            let ids = ids.ok_or_else(|| {
                wrong("A rollout to specific devices lists them: {\"device_ids\": [\"…\"]}.")
            })?;
            let devices: Vec<DeviceId> = serde_json::from_value(ids.clone())
                .map_err(|error| Failure::invalid("target_filter.device_ids", error.to_string()))?;
            Ok(Audience::Devices { devices })
        }
        TargetType::Group => {
            let pairs = filter.filter(|filter| !filter.is_empty());
            let pairs = pairs.ok_or_else(|| {
                wrong("A rollout to a group says what its devices have in common: {\"location\": \"warehouse\"}.")
            })?;
            let terms: Result<Vec<String>, Failure> = pairs
                .iter()
                .map(|(key, value)| match value {
                    Value::String(value) => Ok(format!("{key}={value}")),
                    _ => Err(Failure::invalid(
                        format!("target_filter.{key}"),
                        "Give a text that the devices must have there.",
                    )),
                })
                .collect();
            let terms = terms?;
            let selector = selector(&terms.join(","))?;
            // Texts with commas would say something else than they read.
            if selector.terms() != terms.len() {
                return Err(wrong("Keys and values must have no commas."));
            }
            Ok(Audience::Selector { selector })
        }
    }
}

fn selector(text: &str) -> Result<Selector, Failure> {
    text.parse()
        .map_err(|error: otter_protocol::selector::SelectorError| {
            Failure::invalid("target_filter", error.to_string())
        })
}

#[cfg(test)]
mod tests {
    use otter_protocol::share::Share;
    use serde_json::json;

    use super::*;

    fn made(more: Value) -> Result<RolloutSpec, Failure> {
        let mut whole = json!({"name": "r", "firmware_version": "2", "device_model": "esp32"});
        let more = more.as_object().unwrap().clone();
        whole.as_object_mut().unwrap().extend(more);
        spec(&serde_json::from_value(whole).unwrap())
    }

    #[test]
    fn each_kind_of_target_is_an_audience_and_a_share() {
        let all = made(json!({"target_type": "all"})).unwrap();
        assert_eq!(all.audience, Audience::All);
        let scope = |share| PhaseScope::Share { share };
        assert_eq!(all.phases[0].scope, scope(Share::ALL));
        let canary = made(json!({"target_type": "canary", "rollout_percentage": 12.5})).unwrap();
        assert_eq!(canary.phases[0].scope, scope(Share::percent(12.5).unwrap()));
        let filter = json!({"location": "warehouse", "function": "sensor"});
        let group = made(json!({"target_type": "group", "target_filter": filter})).unwrap();
        assert_eq!(
            group.audience.to_string(),
            "function=sensor,location=warehouse"
        );
        let filter = json!({"device_ids": ["a", "b"]});
        let listed =
            json!({"target_type": "specific", "target_filter": filter, "rollout_percentage": 1});
        let listed = made(listed).unwrap();
        assert_eq!(listed.audience.to_string(), "2 listed devices");
        assert_eq!(listed.phases[0].scope, scope(Share::ALL));
    }

    #[test]
    fn filters_that_say_nothing_or_something_else_are_refused() {
        for filter in [
            json!(null),
            json!({}),
            json!({"location": 1}),
            json!({"a": "b,c=d"}),
            json!({"a": ""}),
            json!({"a b": "c"}),
        ] {
            let group = json!({"target_type": "group", "target_filter": filter});
            assert!(made(group).is_err(), "{filter}");
        }
        for filter in [json!(null), json!({}), json!({"device_ids": "a"})] {
            let listed = json!({"target_type": "specific", "target_filter": filter});
            assert!(made(listed).is_err(), "{filter}");
        }
        assert!(made(json!({"target_type": "all", "rollout_percentage": 101})).is_err());
    }
}
