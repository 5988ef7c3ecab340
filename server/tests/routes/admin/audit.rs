//! The audit log by when things were, and as a file.

use otter_protocol::ProblemCode;
use otter_protocol::admin::{AuditEvent, ChainCheck, Page};
use serde_json::{Value, json};

use crate::common::on_each_database;

on_each_database! {
    async fn events_of_a_stretch_of_time_are_listed(app: TestApp) {
        app.operator().put("/api/v1/groups/north", &json!({"name": "north"})).await.expect_status(200);
        let all: Page<AuditEvent> = app.viewer().get("/api/v1/audit?limit=500").await.expect(200);
        let (first, last) = (all.items.last().unwrap().at, all.items.first().unwrap().at);
        let of = async |query: String| -> usize {
            let page: Page<AuditEvent> = app.viewer().get(&format!("/api/v1/audit?limit=500&{query}")).await.expect(200);
            page.items.len()
        };
        assert_eq!(of(format!("from={first}&until={}", last.plus_sec(1))).await, all.items.len());
        assert_eq!(of(format!("until={first}")).await, 0);
        assert_eq!(of(format!("from={}", last.plus_sec(1))).await, 0);
        let before_last = all.items.iter().filter(|event| event.at < last).count();
        assert_eq!(of(format!("until={last}")).await, before_last);
        assert_eq!(of(format!("from={last}")).await, all.items.len() - before_last);
        let problem = app.viewer().get("/api/v1/audit?from=yesterday").await.problem(ProblemCode::InvalidRequest);
        assert_eq!(problem.field.as_deref(), Some("from"));
    }
}

on_each_database! {
    async fn a_file_has_every_event_that_the_filters_let_through(app: TestApp) {
        // More than are read at once.
        for number in 0..510 {
            let group = json!({"name": "north", "description": format!("=\"{number}\", north")});
            app.operator().put("/api/v1/groups/north", &group).await.expect_status(200);
        }
        let check: ChainCheck = app.viewer().post("/api/v1/audit/verify", &json!({})).await.expect(200);
        let answer = app.viewer().get("/api/v1/audit/download").await;
        let file: Value = answer.expect(200);
        let events: Vec<AuditEvent> = serde_json::from_value(file["events"].clone()).unwrap();
        assert_eq!(events.len() as u64, check.events);
        assert!(events.windows(2).all(|pair| pair[0].sequence == pair[1].sequence + 1));
        let head = format!("{} {}", events[0].sequence, events[0].hash);
        assert_eq!(answer.header("otter-audit-head"), head);
        assert_eq!(file["head"]["sequence"], events[0].sequence);
        assert!(answer.header("content-disposition").contains("otter-audit.json"));

        let answer = app.viewer().get("/api/v1/audit/download?format=csv&subject_kind=group&subject=north").await;
        assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
        let lines: Vec<&str> = answer.text().trim_end().split("\r\n").collect();
        assert_eq!(lines.len(), 511);
        assert!(lines[0].starts_with("sequence,at,actor,"));
        assert!(lines[1].contains(r#"\""509\"", north"#), "{}", lines[1]);
        let wrong = app.viewer().get("/api/v1/audit/download?format=pdf").await;
        wrong.problem(ProblemCode::InvalidRequest);
    }
}
