//! Whom the plain firmware API believes, how often, and what never comes by it.

use otter_protocol::DeviceId;
use otter_protocol::admin::Role;
use otter_protocol::check_in::Instruction;
use otter_protocol::device::DeviceState;
use otter_server::config::FirmwareAuth;
use serde_json::{Value, json};

use super::esp::{ESP, Esp, refused, roll_out, try_roll_out, try_upload, upload};
use crate::common::{
    Browser, MODEL, Publisher, TestApp, TestDatabase, TestDevice, on_each_database,
};

on_each_database! {
    async fn a_device_that_verifies_is_never_offered_what_nobody_signed(app: TestApp) {
        let native = TestDevice::enroll(&app, "native").await;
        let key = app.operator().secret.unwrap();
        let query = format!("version=2.0.0&device_model={MODEL}");
        try_upload(&app, &key, &query, b"two").await.expect_status(200);
        let rollout = try_roll_out(&app, "2.0.0", json!({"device_model": MODEL})).await;
        rollout.expect_status(200);
        assert_eq!(native.check_in().await.instruction, Instruction::Wait);
        let device: Value = app.viewer().get("/api/v1/devices/native").await.expect(200);
        assert!(device["decision"]["considered"][0].to_string().contains("unsigned"));
    }
}

on_each_database! {
    async fn nobody_speaks_for_a_device_that_has_a_token(app: TestApp) {
        let native = TestDevice::enroll(&app, "native").await;
        native.check_in().await;
        let mut esp = Esp::new(&app, "native");
        refused(&esp.try_check().await, 401);
        refused(&esp.try_report("9", "success", json!({})).await, 401);
        esp.http = app.stranger().with("otd_wrong");
        refused(&esp.try_check().await, 401);
        let device: Value = app.viewer().get("/api/v1/devices/native").await.expect(200);
        assert_eq!((&device["version"], &device["dialect"]), (&json!("1.0.0"), &json!("native")));
        // It may itself, by its token, and come back.
        esp.http = app.stranger().with(native.http.secret.clone().unwrap());
        esp.check().await;
        let dialect = async || -> Value {
            app.viewer().get("/api/v1/devices/native").await.expect::<Value>(200)["dialect"].clone()
        };
        assert_eq!(dialect().await, "firmware");
        native.check_in().await;
        assert_eq!(dialect().await, "native");
        let other = Esp { id: "other".to_owned(), ..esp };
        refused(&other.try_check().await, 403);
    }
}

on_each_database! {
    async fn signed_bundles_are_not_firmware(app: TestApp) {
        let mut publisher = Publisher::new(&app).await;
        publisher.roll_out(&app, "2.0.0", b"a bundle").await;
        let path = format!("/api/firmware/check?device_id=esp&device_model={MODEL}&current_version=1.0.0");
        let told: Value = app.stranger().get(&path).await.expect(200);
        assert_eq!(told["update_available"], false);
        refused(&app.stranger().get("/api/firmware/download/2.0.0").await, 404);
    }
}

on_each_database! {
    async fn who_was_let_go_gets_nothing(app: TestApp) {
        upload(&app, "2.0.0", b"two").await;
        let esp = Esp::new(&app, "stolen");
        esp.check().await;
        app.admin().post("/api/v1/devices/stolen/revoke", &json!({"reason": "stolen"})).await.expect_status(200);
        roll_out(&app, "2.0.0", json!({})).await;
        assert!(!esp.is_in().await);
        refused(&esp.try_report("2.0.0", "success", json!({})).await, 403);
    }
}

#[tokio::test]
async fn a_server_may_ask_for_tokens() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |settings| {
        settings.firmware_api_auth = Some(FirmwareAuth::Token);
    })
    .await;
    upload(&app, "2.0.0", b"two").await;
    let esp = Esp::new(&app, "esp");
    refused(&esp.try_check().await, 401);
    refused(&esp.http.get("/api/firmware/download/2.0.0").await, 401);
    let enrolled = TestDevice::enroll(&app, "esp").await;
    let esp = Esp {
        http: enrolled.http,
        ..esp
    };
    roll_out(&app, "2.0.0", json!({})).await;
    assert!(esp.is_in().await);
    let bytes = esp.http.get("/api/firmware/download/2.0.0").await;
    assert_eq!(bytes.body, "two");
    esp.report("2.0.0", "success", json!({})).await;
}

#[tokio::test]
async fn a_server_may_not_speak_it() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |settings| {
        settings.firmware_api_auth = Some(FirmwareAuth::Off);
    })
    .await;
    refused(&Esp::new(&app, "esp").try_check().await, 404);
    let key = app.operator().secret.unwrap();
    let query = format!("version=2&device_model={ESP}");
    refused(&try_upload(&app, &key, &query, b"x").await, 404);
}

#[tokio::test]
async fn limits_hold_for_each_device_and_for_strangers() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |settings| {
        settings.device_requests_per_min = Some(10);
        settings.enrollments_per_min = Some(20);
    })
    .await;
    let wild = Esp::new(&app, "wild");
    for _ in 0..10 {
        wild.check().await;
    }
    let answer = wild.try_check().await;
    refused(&answer, 429);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    let mut refusals = 0;
    for number in 0..30 {
        let answer = Esp::new(&app, &format!("new-{number}")).try_check().await;
        refusals += u32::from(answer.status == 429);
    }
    assert!(
        (9..=12).contains(&refusals),
        "{refusals} of 30 were refused"
    );
    let mut refusals = 0;
    for _ in 0..30 {
        let answer = app.stranger().get("/api/firmware/download/1").await;
        refusals += u32::from(answer.status == 429);
    }
    assert!(
        (9..=11).contains(&refusals),
        "{refusals} of 30 were refused"
    );
}

#[tokio::test]
async fn the_dashboard_says_where_there_is_no_tuf() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let mut publisher = Publisher::new(&app).await;
    let signed = publisher.publish(&app, "2.0.0", b"a bundle").await;
    TestDevice::enroll(&app, "native").await;
    upload(&app, "2.0.0", b"two").await;
    Esp::new(&app, "esp").check().await;
    let anna = Browser::of(&app, "anna", Role::Viewer).await;
    let says_so = async |path: &str| anna.page(path).await.text().contains("no TUF");
    assert!(says_so("/devices/esp").await && !says_so("/devices/native").await);
    let unsigned = signed.0 + 1;
    assert!(says_so(&format!("/releases/{unsigned}")).await);
    assert!(!says_so(&format!("/releases/{signed}")).await);
}

/// Who was let go is found by its name, and stays let go for who shows a certificate.
#[tokio::test]
async fn who_is_looked_up_by_name_is_let_in_nowhere() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    TestDevice::enroll(&app, "gw").await;
    let reason = json!({"reason": "stolen"});
    let revoked = app.admin().post("/api/v1/devices/gw/revoke", &reason).await;
    revoked.expect_status(200);
    let id = DeviceId::new("gw").unwrap();
    let found = app.fleet.device_by_name(&id).await.unwrap().unwrap();
    assert_eq!(found.device.state, DeviceState::Revoked);
    assert!(app.fleet.device_by_certificate(&id).await.is_err());
}
