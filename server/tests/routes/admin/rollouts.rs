use otter_protocol::ProblemCode;
use otter_protocol::check_in::Instruction;
use otter_protocol::rollout::{Rollout, RolloutState};
use serde_json::{Value, json};

use crate::common::{Publisher, TestApp, TestDevice, on_each_database};

fn spec(release: impl serde::Serialize, phases: Value) -> Value {
    json!({"name": "r", "release": release, "phases": phases})
}

fn share(share: f64) -> Value {
    json!({"name": format!("{share} %"), "scope": {"kind": "share", "share": share}})
}

async fn create(app: &TestApp, spec: &Value) -> crate::common::Answer {
    app.operator().post("/api/v1/rollouts", spec).await
}

on_each_database! {
    async fn a_draft_can_not_be_rolled_out(app: TestApp) {
        let draft = Publisher::new(&app).await.draft(&app, "2.0.0", b"new").await;
        let events = app.events().await;
        let answer = create(&app, &spec(draft.id, json!([share(100.0)]))).await;
        assert!([409, 422].contains(&answer.status.as_u16()), "{answer:?}");
        assert!(answer.text().contains("sign") || answer.text().contains("draft"), "{}", answer.text());
        assert_eq!(app.events().await, events);
        let rollouts: Vec<Value> = app.viewer().get("/api/v1/rollouts").await.expect(200);
        assert!(rollouts.is_empty());
    }
}

on_each_database! {
    async fn what_can_not_work_names_its_field_and_changes_nothing(app: TestApp) {
        let release = Publisher::new(&app).await.publish(&app, "2.0.0", b"new").await;
        let group = json!({"name": "g", "scope": {"kind": "group", "group": "nobody"}});
        let with = |field: &str, value: Value| {
            let mut spec = spec(release, json!([share(100.0)]));
            spec[field] = value;
            spec
        };
        let cases = [
            (spec(release, json!([share(25.0), share(5.0)])), "phases[1].scope.share"),
            (spec(release, json!([share(25.0), share(25.0)])), "phases[1].scope.share"),
            (spec(release, json!([])), "phases"),
            (spec(release, json!([share(101.0)])), "phases[0].scope"),
            (spec(release, json!([share(-1.0)])), "phases[0].scope"),
            (spec(release, json!([group])), "phases[0].scope.group"),
            (with("audience", json!({"kind": "group", "group": "nobody"})), "audience.group"),
            (with("audience", json!({"kind": "percent", "share": 250})), "audience"),
            (with("audience", json!({"kind": "devices", "devices": []})), "audience.devices"),
            (with("max_in_flight", json!(0)), "max_in_flight"),
            (with("window", json!({"zone": "Nowhere/At"})), "window"),
            (spec(999_999, json!([share(100.0)])), "release"),
        ];
        let events = app.events().await;
        for (spec, field) in cases {
            let answer = create(&app, &spec).await;
            let status = answer.status.as_u16();
            assert!([404, 422].contains(&status), "{spec}: {answer:?}");
            if status == 422 {
                let problem = answer.problem(ProblemCode::InvalidRequest);
                let got = problem.field.clone().unwrap_or_default();
                assert!(got.starts_with(field), "{spec}: {problem:?}");
            }
        }
        assert_eq!(app.events().await, events);
    }
}

on_each_database! {
    async fn a_paused_rollout_offers_nothing_until_it_goes_on(app: TestApp) {
        let device = TestDevice::enroll(&app, "d").await;
        let id = Publisher::new(&app).await.roll_out(&app, "2.0.0", b"new").await;
        let path = |verb: &str| format!("/api/v1/rollouts/{id}/{verb}");
        let paused: Rollout = app.operator().post(&path("pause"), &json!({"reason": "lunch"})).await.expect(200);
        assert_eq!((paused.state, paused.state_reason.as_deref()), (RolloutState::Paused, Some("lunch")));
        let reply = device.check_in().await;
        assert_eq!(reply.instruction, Instruction::Wait);
        // A reason may be left out, and the body with it.
        let resume = app.operator().request(axum::http::Method::POST, &path("resume")).send().await.unwrap();
        assert_eq!(resume.status(), 200);
        device.offer().await;
        app.operator().post(&path("abort"), &json!({})).await.expect_status(200);
        app.operator().post(&path("resume"), &json!({})).await.problem(ProblemCode::Conflict);
    }
}
