use otter_protocol::ProblemCode;
use otter_protocol::group::{Group, RINGS};
use serde_json::json;

use crate::common::on_each_database;

on_each_database! {
    async fn rings_exist_from_the_start(app: TestApp) {
        let groups: Vec<Group> = app.viewer().get("/api/v1/groups").await.expect(200);
        for ring in RINGS {
            assert!(groups.iter().any(|group| group.name.as_str() == ring), "{ring}");
        }
    }
}

on_each_database! {
    async fn groups_come_and_go(app: TestApp) {
        let group = json!({"name": "north", "description": "The north", "selector": "site=north"});
        app.operator().put("/api/v1/groups/north", &group).await.expect_status(200);
        app.operator().delete("/api/v1/groups/north").await.expect_status(204);
        app.operator().delete("/api/v1/groups/north").await.problem(ProblemCode::NotFound);
    }
}

on_each_database! {
    async fn what_is_no_group_is_refused(app: TestApp) {
        let other = app.operator().put("/api/v1/groups/north", &json!({"name": "south"})).await;
        assert_eq!(other.problem(ProblemCode::InvalidRequest).field.as_deref(), Some("name"));
        let selector = app.operator().put("/api/v1/groups/north", &json!({"name": "north", "selector": "=="})).await;
        assert_eq!(selector.problem(ProblemCode::InvalidRequest).field.as_deref(), Some("selector"));
    }
}
