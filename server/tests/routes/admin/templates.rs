use otter_protocol::ProblemCode;
use otter_protocol::admin::Template;
use otter_protocol::rollout::{Rollout, RolloutState};
use serde_json::{Value, json};

use crate::common::{Publisher, on_each_database};

const TEMPLATES: &str = "/api/v1/rollout-templates";

fn careful() -> Value {
    let all = json!({"name": "all", "scope": {"kind": "share", "share": 100}});
    json!({"description": "One at a time", "plan": {"phases": [all], "max_in_flight": 1, "priority": 2}})
}

on_each_database! {
    async fn the_rings_are_there_from_the_start_and_can_be_changed_but_not_removed(app: TestApp) {
        let path = format!("{TEMPLATES}/rings");
        let rings: Template = app.viewer().get(&path).await.expect(200);
        let shares: Vec<&Value> = rings.spec.plan["phases"].as_array().unwrap().iter()
            .map(|phase| &phase["scope"]["share"]).collect();
        assert_eq!(shares, [&json!(1.0), &json!(5.0), &json!(10.0), &json!(100.0)]);
        app.operator().delete(&path).await.problem(ProblemCode::Conflict);
        let mut changed = rings.spec.clone();
        changed.plan.insert("priority".to_owned(), json!(9));
        let changed: Template = app.operator().put(&path, &json!(changed)).await.expect(200);
        assert_eq!(changed.spec.plan["priority"], json!(9));
        assert_eq!((changed.created_at, &changed.created_by), (rings.created_at, &rings.created_by));
    }
}

on_each_database! {
    async fn templates_come_and_go_and_each_change_is_an_event(app: TestApp) {
        let path = format!("{TEMPLATES}/careful");
        let events = app.events().await;
        app.operator().put(&path, &careful()).await.expect_status(200);
        assert_eq!(app.events().await, events + 1);
        // The same again changes nothing.
        app.operator().put(&path, &careful()).await.expect_status(200);
        assert_eq!(app.events().await, events + 1);
        let listed: Vec<Template> = app.viewer().get(TEMPLATES).await.expect(200);
        let names: Vec<&str> = listed.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["careful", "rings"]);
        app.operator().delete(&path).await.expect_status(204);
        assert_eq!(app.events().await, events + 2);
        app.viewer().get(&path).await.problem(ProblemCode::NotFound);
    }
}

on_each_database! {
    async fn a_rollouts_fields_go_over_its_templates(app: TestApp) {
        let release = Publisher::new(&app).await.publish(&app, "2.0.0", b"new").await;
        app.operator().put(&format!("{TEMPLATES}/careful"), &careful()).await.expect_status(200);
        let body = json!({"name": "n", "release": release, "priority": 7});
        let path = "/api/v1/rollouts?draft=true&template=careful";
        let made: Rollout = app.operator().post(path, &body).await.expect(201);
        assert_eq!(made.state, RolloutState::Draft);
        assert_eq!((made.spec.max_in_flight, made.spec.priority), (Some(1), 7));
        assert_eq!(made.spec.phases[0].name, "all");
        let rings: Rollout = app.operator().post("/api/v1/rollouts?template=rings", &body).await.expect(201);
        assert_eq!((rings.spec.phases.len(), rings.state), (4, RolloutState::Running));
        let nobody = app.operator().post("/api/v1/rollouts?template=nobody", &body).await;
        nobody.problem(ProblemCode::NotFound);
        let bad = json!({"name": "n", "release": release, "phases": [{"name": "a"}]});
        let problem = app.operator().post("/api/v1/rollouts?template=rings", &bad).await;
        let problem = problem.problem(ProblemCode::InvalidRequest);
        assert_eq!(problem.field.as_deref(), Some("phases[0].scope"));
    }
}

on_each_database! {
    async fn what_can_not_work_names_its_field(app: TestApp) {
        let with = |field: &str, value: Value| {
            let mut template = careful();
            template["plan"][field] = value;
            template
        };
        let falling = |share: f64| json!({"name": "n", "scope": {"kind": "share", "share": share}});
        let events = app.events().await;
        for (template, field) in [
            (json!({}), "plan"),
            (json!({"plan": {}}), "plan.phases"),
            (with("release", json!(1)), "plan.release"),
            (with("audience", json!({"kind": "all"})), "plan.audience"),
            (with("max_in_flight", json!(0)), "plan.max_in_flight"),
            (with("max_attempts", json!("many")), "plan.max_attempts"),
            (with("phases", json!([falling(9.0), falling(5.0)])), "plan.phases[1].scope.share"),
        ] {
            let answer = app.operator().put(&format!("{TEMPLATES}/careful"), &template).await;
            let problem = answer.problem(ProblemCode::InvalidRequest);
            assert_eq!(problem.field.as_deref(), Some(field), "{template}: {problem:?}");
        }
        assert_eq!(app.events().await, events);
    }
}
