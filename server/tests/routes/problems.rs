//! Whatever is wrong with a request, an API answers with a problem document.

use axum::http::Method;
use otter_protocol::ProblemCode;
use serde_json::json;

use crate::common::{Answer, TestApp, TestDatabase, TestDevice};

async fn app() -> TestApp {
    TestApp::start(TestDatabase::sqlite()).await
}

#[tokio::test]
async fn unknown_addresses_of_apis_are_not_found() {
    let app = app().await;
    for path in [
        "/api",
        "/api/",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v2/me",
        "/device",
        "/device/v1/nothing",
    ] {
        let answer = app.admin().get(path).await;
        let problem = answer.problem(ProblemCode::NotFound);
        assert!(problem.detail.contains(path), "{problem:?}");
    }
    let answer = app.admin().post("/api/v1/nothing", &json!({})).await;
    answer.problem(ProblemCode::NotFound);
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_ones() {
    let app = app().await;
    let cases = [
        (Method::DELETE, "/device/v1/check-in", "POST"),
        (Method::GET, "/device/v1/enroll", "POST"),
        (Method::POST, "/device/v1/trust/timestamp.json", "GET,HEAD"),
        (Method::PATCH, "/api/v1/rollouts", "GET,HEAD,POST"),
        (Method::POST, "/api/v1/devices/d", "GET,HEAD,PATCH"),
        (Method::POST, "/health", "GET,HEAD"),
        (Method::POST, "/api/openapi.json", "GET,HEAD"),
    ];
    for (method, path, allowed) in cases {
        let response = app.admin().request(method, path).send().await.unwrap();
        let answer = Answer::of(response).await;
        answer.problem(ProblemCode::MethodNotAllowed);
        let mut allow: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "{path}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let app = app().await;
    let device = TestDevice::enroll(&app, "device").await;
    for (caller, path) in [
        (&device.http, "/device/v1/check-in"),
        (&app.admin(), "/api/v1/rollouts"),
        (&app.admin(), "/api/v1/api-keys"),
    ] {
        let text = caller.request(Method::POST, path).body("version=1");
        Answer::of(text.send().await.unwrap())
            .await
            .problem(ProblemCode::UnsupportedMediaType);
        for body in ["", "{", "{\"version\": 1,}", "nonsense"] {
            let request = caller
                .request(Method::POST, path)
                .header("content-type", "application/json");
            let answer = Answer::of(request.body(body).send().await.unwrap()).await;
            answer.problem(ProblemCode::InvalidRequest);
        }
    }
}

#[tokio::test]
async fn fields_that_do_not_fit_are_named() {
    let app = app().await;
    let device = TestDevice::enroll(&app, "device").await;
    let phase = |share: f64| json!({"name": "p", "scope": {"kind": "share", "share": share}});
    let cases = [
        (&device.http, "/device/v1/check-in", json!({}), "version"),
        (
            &device.http,
            "/device/v1/check-in",
            json!({"version": "1", "attempt": "x"}),
            "attempt",
        ),
        (
            &app.admin(),
            "/api/v1/api-keys",
            json!({"name": "k", "role": "king"}),
            "role",
        ),
        (
            &app.admin(),
            "/api/v1/rollouts",
            json!({"name": "r", "release": 1}),
            "phases",
        ),
        (
            &app.admin(),
            "/api/v1/rollouts",
            json!({"name": "r", "release": 1, "phases": [phase(5.0), phase(120.0)]}),
            "phases[1].scope",
        ),
    ];
    for (caller, path, body, field) in cases {
        let problem = caller
            .post(path, &body)
            .await
            .problem(ProblemCode::InvalidRequest);
        let got = problem.field.clone().unwrap_or_default();
        assert!(got.starts_with(field), "{path} {body}: {problem:?}");
    }
    let problem = app
        .viewer()
        .get("/api/v1/devices?limit=many")
        .await
        .problem(ProblemCode::InvalidRequest);
    assert_eq!(problem.field.as_deref(), Some("limit"));
}

#[tokio::test]
async fn names_in_addresses_that_can_not_be_are_refused() {
    let app = app().await;
    for path in [
        "/api/v1/rollouts/first",
        "/api/v1/releases/-",
        "/api/v1/artifacts/abc",
        "/api/v1/devices/%20",
    ] {
        app.viewer()
            .get(path)
            .await
            .problem(ProblemCode::InvalidRequest);
    }
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_and_the_answer_arrives() {
    let app = app().await;
    let large = "x".repeat(2 << 20);
    let answer = app
        .admin()
        .post("/api/v1/rollouts", &json!({"name": large}))
        .await;
    answer.problem(ProblemCode::TooLarge);
    let chunks =
        futures::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 << 10])));
    let request = app
        .admin()
        .request(Method::POST, "/api/v1/rollouts")
        .header("content-type", "application/json");
    let response = request
        .body(reqwest::Body::wrap_stream(chunks))
        .send()
        .await
        .unwrap();
    Answer::of(response).await.problem(ProblemCode::TooLarge);
}

#[tokio::test]
async fn who_shows_nothing_or_nonsense_is_told_how_to_say_who_he_is() {
    let app = app().await;
    let callers = [
        app.stranger(),
        app.stranger().with("otk_made-up"),
        app.stranger().with("otd_made-up"),
    ];
    for caller in callers {
        for path in [
            "/api/v1/me",
            "/device/v1/artifacts/0000000000000000000000000000000000000000000000000000000000000000",
        ] {
            let answer = caller.get(path).await;
            answer.problem(ProblemCode::Unauthenticated);
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
    let request = app
        .stranger()
        .request(Method::GET, "/api/v1/me")
        .basic_auth("admin", Some("admin"));
    Answer::of(request.send().await.unwrap())
        .await
        .problem(ProblemCode::Unauthenticated);
}

#[tokio::test]
async fn a_device_is_no_program_and_a_program_no_device() {
    let app = app().await;
    let device = TestDevice::enroll(&app, "device").await;
    device
        .http
        .get("/api/v1/me")
        .await
        .problem(ProblemCode::Unauthenticated);
    let answer = app
        .admin()
        .post("/device/v1/check-in", &json!({"version": "1"}))
        .await;
    answer.problem(ProblemCode::Unauthenticated);
}
