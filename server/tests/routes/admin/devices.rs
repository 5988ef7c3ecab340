use otter_protocol::ProblemCode;
use otter_protocol::admin::{DeviceSummary, Page};
use serde_json::json;

use crate::common::{TestDevice, on_each_database};

on_each_database! {
    async fn a_list_pages_to_its_end(app: TestApp) {
        for number in 0..5 {
            TestDevice::enroll(&app, &format!("d{number}")).await;
        }
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/devices?limit=2&model=rpi4{cursor}");
            let page: Page<DeviceSummary> = app.viewer().get(&path).await.expect(200);
            ids.extend(page.items.into_iter().map(|device| device.id.to_string()));
            let Some(next) = page.next else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(ids, ["d0", "d1", "d2", "d3", "d4"]);
        let none: Page<DeviceSummary> = app.viewer().get("/api/v1/devices?search=nothing").await.expect(200);
        assert!(none.items.is_empty());
    }
}

on_each_database! {
    async fn changes_are_in_the_audit_log_under_who_made_them(app: TestApp) {
        TestDevice::enroll(&app, "d").await;
        let change = json!({"labels": {"site": "north"}, "group": "canary", "hold": "being repaired"});
        let device: DeviceSummary = app.operator().patch("/api/v1/devices/d", &change).await.expect(200);
        assert_eq!(device.hold.as_deref(), Some("being repaired"));
        assert_eq!(device.labels["site"], "north");
        let page: serde_json::Value = app.viewer().get("/api/v1/audit?subject=d&limit=1").await.expect(200);
        assert_eq!(page["items"][0]["actor"], "key:operator");
    }
}

on_each_database! {
    async fn what_does_not_exist_is_not_found(app: TestApp) {
        app.viewer().get("/api/v1/devices/nobody").await.problem(ProblemCode::NotFound);
        app.operator().patch("/api/v1/devices/nobody", &json!({})).await.problem(ProblemCode::NotFound);
        app.admin().post("/api/v1/devices/nobody/revoke", &json!({})).await.problem(ProblemCode::NotFound);
        TestDevice::enroll(&app, "d").await;
        let answer = app.operator().patch("/api/v1/devices/d", &json!({"group": "nobody"})).await;
        assert!([404, 422].contains(&answer.status.as_u16()), "{answer:?}");
    }
}
