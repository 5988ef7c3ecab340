//! Devices registered in bulk.

use axum::http::Method;
use otter_protocol::ProblemCode;
use otter_protocol::admin::{DeviceSummary, Imported, Page};
use otter_protocol::check_in::EnrollReply;
use otter_trust::SecretKey;
use serde_json::{Value, json};

use crate::common::{Answer, Caller, enroll_request, on_each_database};

const PATH: &str = "/api/v1/devices/import";

async fn lines(caller: &Caller, path: &str, text: &str) -> Answer {
    let request = caller.request(Method::POST, path);
    let request = request.header("content-type", "application/x-ndjson");
    Answer::of(request.body(text.to_owned()).send().await.unwrap()).await
}

on_each_database! {
    async fn lines_and_arrays_register_devices(app: TestApp) {
        let text = "{\"id\":\"a\",\"model\":\"rpi4\"}\n\n{\"id\":\"b\",\"model\":\"rpi4\",\"group\":\"pilot\"}\n";
        let imported: Imported = lines(&app.operator(), PATH, text).await.expect(200);
        assert_eq!((imported.created, imported.known), (2, 0));
        let array = json!([{"id": "b", "model": "rpi4"}, {"id": "c", "model": "rpi4"}]);
        let imported: Imported = app.operator().post(PATH, &array).await.expect(200);
        assert_eq!((imported.created, imported.known), (1, 1));
        let page: Page<DeviceSummary> = app.viewer().get("/api/v1/devices?group=pilot").await.expect(200);
        assert_eq!(page.items.len(), 1);
        let log: Value = app.viewer().get("/api/v1/audit?action=device.import").await.expect(200);
        assert_eq!(log["items"][0]["actor"], "key:operator");
        assert_eq!(log["items"].as_array().unwrap().len(), 2);
    }
}

on_each_database! {
    async fn a_device_with_its_registered_key_gets_its_token_at_once(app: TestApp) {
        let key = SecretKey::generate().unwrap();
        let request = enroll_request("gw-1", &key, None);
        let device = json!([{"id": "gw-1", "model": "rpi4", "public_key": request.public_key}]);
        app.operator().post(PATH, &device).await.expect::<Imported>(200);
        let stranger = enroll_request("gw-1", &SecretKey::generate().unwrap(), None);
        let body = serde_json::to_value(stranger).unwrap();
        app.stranger().post("/device/v1/enroll", &body).await.expect_status(202);
        let body = serde_json::to_value(request).unwrap();
        let reply: EnrollReply = app.stranger().post("/device/v1/enroll", &body).await.expect(201);
        assert!(matches!(reply, EnrollReply::Accepted { .. }));
    }
}

on_each_database! {
    async fn what_is_wrong_is_named_by_line_and_field(app: TestApp) {
        let good = "{\"id\":\"a\",\"model\":\"rpi4\"}\n";
        for (bad, field) in [
            ("{\"id\":\"b\"}", "line 12: model"),
            ("{\"id\":\"b\",\"model\":\"m\",\"group\":\"nowhere\"}", "line 12: group"),
            ("{\"id\":\"a\",\"model\":\"m\"}", "line 12: id"),
            ("{\"id\":", "line 12"),
        ] {
            let path = format!("{PATH}?first_line=11");
            let answer = lines(&app.operator(), &path, &format!("{good}{bad}\n")).await;
            let problem = answer.problem(ProblemCode::InvalidRequest);
            assert_eq!(problem.field.as_deref(), Some(field), "{problem:?}");
        }
        let array = json!([{"id": "a", "model": "rpi4"}, {"id": "b", "model": ""}]);
        let problem = app.operator().post(PATH, &array).await.problem(ProblemCode::InvalidRequest);
        assert_eq!(problem.field.as_deref(), Some("[1].model"));
        let plain = app.operator().request(Method::POST, PATH).body(good);
        let answer = Answer::of(plain.send().await.unwrap()).await;
        answer.problem(ProblemCode::UnsupportedMediaType);
        let long = good.repeat(400_000);
        lines(&app.operator(), PATH, &long).await.problem(ProblemCode::TooLarge);
        let page: Page<DeviceSummary> = app.viewer().get("/api/v1/devices").await.expect(200);
        assert!(page.items.is_empty());
    }
}
