use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::{TestApp, TestDatabase};

async fn description() -> Value {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.stranger().get("/api/openapi.json").await.expect(200)
}

#[tokio::test]
async fn every_operation_names_itself_and_its_failures() {
    let api = description().await;
    let mut names = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} twice");
            assert!(
                operation["summary"].is_string(),
                "{method} {path} says nothing"
            );
            let failures = &operation["responses"]["default"]["content"];
            let is_plain = operation["tags"][0] == "Plain firmware API" || path == "/metrics";
            let kind = if is_plain {
                "application/json"
            } else {
                "application/problem+json"
            };
            assert!(failures[kind].is_object(), "{method} {path}");
        }
    }
    assert!(names.len() > 40, "only {}", names.len());
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let api = description().await;
    let mut references = BTreeSet::new();
    collect(&api, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        assert!(
            api["components"]["schemas"][name].is_object(),
            "{reference} leads nowhere"
        );
    }
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                references.insert(reference.clone());
            }
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[tokio::test]
async fn it_says_who_may_ask() {
    let api = description().await;
    let security = |path: &str, method: &str| api["paths"][path][method]["security"].to_string();
    assert!(security("/device/v1/check-in", "post").contains("device_token"));
    assert!(security("/api/v1/devices", "get").contains("api_key"));
    assert_eq!(security("/device/v1/enroll", "post"), "[]");
    for scheme in ["device_token", "api_key", "session"] {
        assert!(
            api["components"]["securitySchemes"][scheme].is_object(),
            "{scheme}"
        );
    }
}
