//! Whole conversations of a device.

use std::collections::BTreeSet;

use axum::http::Method;
use otter_protocol::{Cohort, DeviceId, Sha256Digest};
use serde_json::{Value, json};

use super::esp::{ESP, Esp, list, roll_out, upload};
use crate::common::{Answer, eventually, on_each_database};
use crate::routes::device::check_in::serve_without_engine;

on_each_database! {
    async fn a_device_updates_from_its_first_word_to_its_last(app: TestApp) {
        let mut esp = Esp::new(&app, "esp32_001");
        let nothing = json!({
            "update_available": false, "current_version": "1.0.0", "latest_version": null, "download_url": null,
            "file_size": null, "checksum_sha256": null, "release_notes": null,
        });
        assert_eq!(esp.check().await, nothing);

        let bytes: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        let sha256 = Sha256Digest::of(&bytes).to_string();
        let uploaded = upload(&app, "1.1.0", &bytes).await;
        assert_eq!(uploaded["file_size"], 100_000);
        assert_eq!(uploaded["checksum_sha256"], sha256);
        let told = esp.check().await;
        assert_eq!((&told["update_available"], &told["latest_version"]), (&json!(false), &json!("1.1.0")));

        roll_out(&app, "1.1.0", json!({"rollout_percentage": 100, "is_active": true})).await;
        let offered = json!({
            "update_available": true, "current_version": "1.0.0", "latest_version": "1.1.0",
            "download_url": "/api/firmware/download/1.1.0", "file_size": 100_000, "checksum_sha256": sha256,
            "release_notes": "Fixes",
        });
        assert_eq!(esp.check().await, offered);
        assert_eq!(esp.check().await, offered, "asked again before anything is reported");

        let url = offered["download_url"].as_str().unwrap();
        esp.report("1.1.0", "pending", json!({})).await;
        esp.report("1.1.0", "downloading", json!({"progress_percent": 0})).await;
        let whole = esp.http.get(url).await;
        whole.expect_status(200);
        assert_eq!(whole.body, bytes);
        for (name, value) in [
            ("content-type", "application/octet-stream"), ("content-length", "100000"),
            ("x-firmware-version", "1.1.0"), ("x-checksum-sha256", &sha256), ("accept-ranges", "bytes"),
        ] {
            assert_eq!(whole.header(name), value, "{name}");
        }
        let part = ranged(&esp, url, "bytes=65536-").await;
        part.expect_status(206);
        assert_eq!(part.body, bytes[65536..]);
        assert_eq!(part.header("content-range"), "bytes 65536-99999/100000");
        ranged(&esp, url, "bytes=100000-").await.expect_status(416);
        for (status, percent) in [("downloading", 50), ("downloaded", 100), ("installing", 100), ("success", 100)] {
            esp.report("1.1.0", status, json!({"progress_percent": percent})).await;
        }
        // Repeated and late words change nothing.
        esp.report("1.1.0", "success", json!({})).await;
        esp.report("1.1.0", "downloading", json!({"progress_percent": 10})).await;

        let devices = list(&app, "/api/admin/devices?limit=100").await;
        assert_eq!(devices["devices"][0]["current_firmware_version"], "1.1.0");
        esp.version = "1.1.0".to_owned();
        let told = esp.check().await;
        assert_eq!((&told["update_available"], &told["latest_version"]), (&json!(false), &json!("1.1.0")));
        let updates = list(&app, "/api/admin/update-status?device_id=esp32_001").await;
        let updates = updates["updates"].as_array().unwrap();
        assert_eq!(updates.len(), 1, "{updates:?}");
        assert_eq!(updates[0]["status"], "success");
        assert_eq!(updates[0]["progress_percent"], 100);
        assert!(updates[0]["completed_at"].is_string(), "{updates:?}");

        // What the dashboard shows of it.
        let device: Value = app.viewer().get("/api/v1/devices/esp32_001").await.expect(200);
        assert_eq!((&device["dialect"], &device["fingerprint"]), (&json!("firmware"), &Value::Null));
        let states: Vec<&str> = device["attempts"][0]["steps"].as_array().unwrap().iter()
            .map(|step| step["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["downloading", "downloading", "downloaded", "installing", "succeeded"]);
        app.fleet.verify_audit().await.unwrap();
    }
}

async fn ranged(esp: &Esp, url: &str, range: &str) -> Answer {
    let request = esp.http.request(Method::GET, url).header("range", range);
    Answer::of(request.send().await.unwrap()).await
}

on_each_database! {
    async fn each_status_is_read_back(app: TestApp) {
        upload(&app, "2.0.0", b"two").await;
        roll_out(&app, "2.0.0", json!({})).await;
        for status in ["pending", "downloading", "downloaded", "installing", "success", "failed", "rolled_back"] {
            let esp = Esp::new(&app, status);
            assert!(esp.is_in().await);
            let why = ["failed", "rolled_back"].contains(&status).then_some("no room");
            esp.report("2.0.0", status, json!({"error_message": why})).await;
            let updates = list(&app, &format!("/api/admin/update-status?device_id={status}&firmware_version=2.0.0")).await;
            let update = &updates["updates"][0];
            assert_eq!(update["status"], status);
            assert_eq!(update["error_message"].as_str(), why);
            let is_over = ["success", "failed", "rolled_back"].contains(&status);
            assert_eq!(update["completed_at"].is_string(), is_over, "{status}");
        }
        let metrics: Value = app.viewer().get("/api/v1/overview").await.expect(200);
        assert_eq!(metrics["devices_by_state"]["accepted"], 7);
    }
}

on_each_database! {
    async fn a_device_that_says_nothing_but_its_new_version_has_arrived(app: TestApp) {
        upload(&app, "2.0.0", b"two").await;
        let rollout = roll_out(&app, "2.0.0", json!({})).await;
        let mut esp = Esp::new(&app, "taciturn");
        assert!(esp.is_in().await);
        esp.version = "2.0.0".to_owned();
        assert!(!esp.is_in().await);
        let updates = list(&app, "/api/admin/update-status").await;
        assert_eq!(updates["updates"][0]["status"], "success");
        let rollout: Value = app.viewer().get(&format!("/api/v1/rollouts/{rollout}")).await.expect(200);
        assert_eq!(rollout["progress"][0]["tally"]["succeeded"], 1, "{rollout}");
    }
}

on_each_database! {
    async fn words_beside_any_attempt_are_kept_and_move_the_version(app: TestApp) {
        let esp = Esp::new(&app, "by-cable");
        esp.check().await;
        for (status, percent) in [("downloading", 30), ("installing", 100), ("success", 100)] {
            esp.report("1.5.0", status, json!({"progress_percent": percent})).await;
        }
        let updates = list(&app, "/api/admin/update-status?device_id=by-cable").await;
        assert_eq!(updates["updates"].as_array().unwrap().len(), 1);
        assert_eq!(updates["updates"][0]["status"], "success");
        let devices = list(&app, "/api/admin/devices").await;
        assert_eq!(devices["devices"][0]["current_firmware_version"], "1.5.0");
    }
}

on_each_database! {
    async fn who_was_in_stays_in_as_the_share_grows(app: TestApp) {
        upload(&app, "2.0.0", b"two").await;
        let esps: Vec<Esp> = (0..60).map(|n| Esp::new(&app, &format!("esp-{n}"))).collect();
        let mut before = BTreeSet::new();
        for share in [10.0, 25.0, 50.0, 100.0] {
            let kind = if share < 100.0 { "canary" } else { "all" };
            roll_out(&app, "2.0.0", json!({"target_type": kind, "rollout_percentage": share})).await;
            let mut now = BTreeSet::new();
            for esp in &esps {
                if esp.is_in().await {
                    now.insert(esp.id.clone());
                }
            }
            let place = |esp: &&Esp| Cohort::fixed(&DeviceId::new(&esp.id).unwrap()).as_percent() < share;
            let expected: BTreeSet<_> = esps.iter().filter(place).map(|esp| esp.id.clone()).collect();
            assert_eq!(now, expected, "{share} %");
            assert!(before.is_subset(&now) && before.len() < now.len(), "{share} %");
            before = now;
        }
        assert_eq!(before.len(), esps.len());
    }
}

on_each_database! {
    async fn a_rollout_goes_on_for_devices_that_are_seen_later(app: TestApp) {
        upload(&app, "2.0.0", b"two").await;
        let rollout = roll_out(&app, "2.0.0", json!({})).await;
        let path = format!("/api/v1/rollouts/{rollout}");
        let viewer = app.viewer();
        eventually("the count of nobody", async || {
            let rollout: Value = viewer.get(&path).await.expect(200);
            (rollout["progress"][0]["tally"]["waiting"] == 0).then_some(())
        }).await;
        app.fleet.count_anew();
        assert!(Esp::new(&app, "late").is_in().await);
        // Until a person says that it is over.
        app.admin().post(&format!("{path}/pause"), &json!({"reason": "look"})).await.expect_status(200);
        assert!(!Esp::new(&app, "later").is_in().await);
    }
}

on_each_database! {
    async fn only_the_newest_release_is_offered(app: TestApp) {
        upload(&app, "2.0.0", b"two").await;
        roll_out(&app, "2.0.0", json!({})).await;
        upload(&app, "2.1.0", b"two one").await;
        let esp = Esp::new(&app, "esp");
        let told = esp.check().await;
        assert_eq!((&told["update_available"], &told["latest_version"]), (&json!(false), &json!("2.1.0")));
        let device: Value = app.viewer().get("/api/v1/devices/esp").await.expect(200);
        let why = device["decision"]["considered"][0].to_string();
        assert!(why.contains("not_newest"), "{why}");
    }
}

on_each_database! {
    async fn an_idle_check_makes_no_database_call(app: TestApp) {
        upload(&app, "1.0.0", b"one").await;
        roll_out(&app, "1.0.0", json!({})).await;
        let mut esp = Esp::new(&app, "idle");
        let quiet = serve_without_engine(&app).await;
        esp.http.url = quiet.0.clone();
        esp.check().await;
        esp.check().await;
        let before = quiet.1.database_statements();
        for _ in 0..100 {
            assert_eq!(esp.check().await["latest_version"], "1.0.0");
        }
        assert_eq!(quiet.1.database_statements() - before, 0);
    }
}

on_each_database! {
    async fn a_device_is_of_the_model_that_its_firmware_says(app: TestApp) {
        let esp = Esp::new(&app, "moved");
        esp.check().await;
        let path = "/api/firmware/check?device_id=moved&device_model=esp8266&current_version=1.0.0";
        app.stranger().get(path).await.expect_status(200);
        let devices = list(&app, "/api/admin/devices?device_model=esp8266").await;
        assert_eq!(devices["devices"][0]["device_id"], "moved");
        let of_esp32 = list(&app, &format!("/api/admin/devices?device_model={ESP}")).await;
        assert_eq!(of_esp32["devices"], json!([]));
    }
}
