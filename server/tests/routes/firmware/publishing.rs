//! What publishers do and look at.

use axum::http::Method;
use serde_json::{Value, json};

use super::esp::{ESP, Esp, list, refused, roll_out, try_upload, upload};
use crate::common::{Answer, on_each_database};

on_each_database! {
    async fn releases_are_listed_newest_first(app: TestApp) {
        upload(&app, "1.0.0", b"one").await;
        let key = app.operator().secret.unwrap();
        let query = format!("version=1.1.0&device_model={ESP}&is_signed=true&release_notes=Short&changelog=Long&min_version=1.0.0");
        let made: Value = try_upload(&app, &key, &query, b"one one").await.expect(200);
        assert_eq!((&made["status"], &made["version"]), (&json!("ok"), &json!("1.1.0")));
        try_upload(&app, &key, "version=1.1.0&device_model=esp8266", b"other").await.expect_status(200);

        let releases = list(&app, "/api/admin/firmware/releases").await;
        let names: Vec<String> = releases["releases"].as_array().unwrap().iter()
            .map(|one| format!("{} {}", one["version"], one["device_model"]).replace('"', "")).collect();
        assert_eq!(names, ["1.1.0 esp8266", "1.1.0 esp32", "1.0.0 esp32"]);
        let of_esp = list(&app, &format!("/api/admin/firmware/releases?device_model={ESP}&limit=1")).await;
        let one = &of_esp["releases"][0];
        assert_eq!(of_esp["releases"].as_array().unwrap().len(), 1);
        assert_eq!((&one["is_signed"], &one["file_size"]), (&json!(true), &json!(7)));
        assert_eq!(one["release_notes"], "Short\n\nLong");
        assert!(one["created_at"].is_string() && one["checksum_sha256"].as_str().unwrap().len() == 64);

        // Two models' bytes of one version: the offer says which, and so must whoever downloads.
        let url = "/api/firmware/download/1.1.0";
        let said = refused(&app.stranger().get(url).await, 409);
        assert!(said.contains("device_model"), "{said}");
        let of_esp32 = app.stranger().get(&format!("{url}?device_model={ESP}")).await;
        assert_eq!(of_esp32.body, "one one");
        roll_out(&app, "1.1.0", json!({})).await;
        let told = Esp::new(&app, "esp").check().await;
        let url = told["download_url"].as_str().unwrap();
        assert_eq!(app.stranger().get(url).await.body, "one one");
    }
}

on_each_database! {
    async fn a_rollout_is_for_a_group_or_for_those_listed(app: TestApp) {
        upload(&app, "2.0.0", b"two").await;
        let esps = ["in", "half", "out"].map(|id| Esp::new(&app, id));
        for esp in &esps {
            esp.check().await;
        }
        for (id, labels) in [
            ("in", json!({"location": "warehouse", "function": "sensor"})),
            ("half", json!({"location": "warehouse"})),
        ] {
            let path = format!("/api/v1/devices/{id}");
            app.operator().patch(&path, &json!({"labels": labels})).await.expect_status(200);
        }
        let filter = json!({"location": "warehouse", "function": "sensor"});
        let rollout = roll_out(&app, "2.0.0", json!({"target_type": "group", "target_filter": filter})).await;
        let mut is_in = Vec::new();
        for esp in &esps {
            is_in.push(esp.is_in().await);
        }
        assert_eq!(is_in, [true, false, false]);
        let listed = json!({"target_type": "specific", "target_filter": {"device_ids": ["out"]}});
        roll_out(&app, "2.0.0", listed).await;
        assert!(esps[2].is_in().await && !esps[1].is_in().await);
        // They are ordinary rollouts, by whoever has the key.
        let made: Value = app.viewer().get(&format!("/api/v1/rollouts/{rollout}")).await.expect(200);
        assert_eq!(made["created_by"], "key:operator");
        let draft = roll_out(&app, "2.0.0", json!({"is_active": false})).await;
        let made: Value = app.viewer().get(&format!("/api/v1/rollouts/{draft}")).await.expect(200);
        assert_eq!(made["state"], "draft");
        assert!(!esps[1].is_in().await);
    }
}

on_each_database! {
    async fn the_fleet_in_a_few_numbers(app: TestApp) {
        upload(&app, "2.0.0", b"two").await;
        roll_out(&app, "2.0.0", json!({})).await;
        for id in ["a", "b"] {
            assert!(Esp::new(&app, id).is_in().await);
        }
        Esp::new(&app, "b").report("2.0.0", "failed", json!({"error_message": "no room"})).await;
        let ask = async |accept: &str| {
            let request = app.stranger().request(Method::GET, "/metrics");
            let request = request.header("x-api-key", app.viewer().secret.unwrap());
            Answer::of(request.header("accept", accept).send().await.unwrap()).await
        };
        let numbers = crate::common::eventually("the report in the numbers", async || {
            let numbers: Value = ask("application/json").await.expect(200);
            (numbers["recent_updates_24h"]["failed"] == 1).then_some(numbers)
        }).await;
        let expected = json!({
            "total_devices": 2, "devices_by_model": {ESP: 2},
            "recent_updates_24h": {"pending": 1, "failed": 1}, "active_rollouts": 1,
        });
        assert_eq!(numbers, expected);
        let text = ask("*/*").await;
        text.expect_status(200);
        for line in ["otter_devices{model=\"esp32\"} 2", "otter_rollouts_running 1", "# EOF"] {
            assert!(text.text().lines().any(|one| one == line), "{line}: {}", text.text());
        }
    }
}

on_each_database! {
    async fn what_publishers_do_is_in_the_audit_log(app: TestApp) {
        let since = app.events().await;
        upload(&app, "2.0.0", b"two").await;
        roll_out(&app, "2.0.0", json!({})).await;
        Esp::new(&app, "esp").check().await;
        let page = app.fleet.audit_events(&Default::default()).await.unwrap();
        let mut actions: Vec<String> = page.items.iter().filter(|event| event.sequence > since)
            .map(|event| format!("{} {}", event.actor, event.action)).collect();
        actions.reverse();
        let expected = ["key:operator artifact.upload", "key:operator release.publish", "key:operator rollout.create",
            "device:esp device.enroll"];
        assert_eq!(actions, expected);
    }
}
