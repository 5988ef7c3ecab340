//! What browsers get.

use axum::http::Method;
use otter_fleet::Actor;
use otter_protocol::ProblemCode;
use otter_protocol::admin::{Me, Role};
use otter_server::sessions::COOKIE;

use crate::common::{Answer, TestApp, TestDatabase};

async fn app() -> TestApp {
    TestApp::start(TestDatabase::sqlite()).await
}

#[tokio::test]
async fn scripts_of_a_page_need_its_nonce() {
    let app = app().await;
    let page = app.stranger().get("/login").await;
    let policy = page.header("content-security-policy").to_owned();
    let nonce = policy
        .split("'nonce-")
        .nth(1)
        .and_then(|rest| rest.split('\'').next())
        .unwrap();
    assert!(nonce.len() >= 20, "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("script-src 'self' 'unsafe"), "{policy}");
    let scripts = page.text().matches("<script").count();
    let with_nonce = page.text().matches(&format!("nonce=\"{nonce}\"")).count();
    assert!(scripts > 0 && with_nonce >= scripts, "{}", page.text());
    let other = app.stranger().get("/login").await;
    assert_ne!(other.header("content-security-policy"), policy);
}

#[tokio::test]
async fn every_answer_to_a_browser_is_guarded() {
    let app = app().await;
    for path in ["/login", "/nowhere", "/api/v1/me", "/favicon.svg"] {
        let answer = app.stranger().get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert!(
            answer
                .header("content-security-policy")
                .contains("frame-ancestors 'none'"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn unknown_pages_are_pages_that_say_so() {
    let app = app().await;
    let page = app.stranger().get("/nowhere").await;
    assert_eq!(page.status, 404);
    assert!(
        page.header("content-type").starts_with("text/html"),
        "{page:?}"
    );
}

/// Sends the login's form as a page of ours would, with this header beside it.
async fn log_in(app: &TestApp, password: &str, header: (&str, &str)) -> Answer {
    let request = app
        .stranger()
        .request(Method::POST, "/ui/log-in")
        .header(header.0, header.1);
    let form = format!("name=anna&password={password}");
    let request = request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn other_sites_can_not_log_anybody_in() {
    let app = app().await;
    for header in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
        ("x-nothing", "1"),
    ] {
        log_in(&app, "x", header)
            .await
            .problem(ProblemCode::Forbidden);
    }
    log_in(&app, "x", ("sec-fetch-site", "same-origin"))
        .await
        .expect_status(401);
}

#[tokio::test]
async fn who_logs_in_gets_a_cookie_that_no_script_reads() {
    let app = app().await;
    app.fleet
        .add_person(
            &Actor::Console,
            "anna",
            "correct-horse-battery",
            Role::Viewer,
        )
        .await
        .unwrap();
    let answer = log_in(
        &app,
        "correct-horse-battery",
        ("sec-fetch-site", "same-origin"),
    )
    .await;
    let cookie = answer.header("set-cookie").to_owned();
    assert!(cookie.starts_with(&format!("{COOKIE}=")), "{answer:?}");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    let me = app
        .stranger()
        .request(Method::GET, "/api/v1/me")
        .header("cookie", cookie);
    let me: Me = Answer::of(me.send().await.unwrap()).await.expect(200);
    assert_eq!(
        me,
        Me {
            name: "anna".into(),
            role: Role::Viewer
        }
    );
    let page = app
        .stranger()
        .request(Method::GET, "/")
        .header("cookie", cookie);
    let page = Answer::of(page.send().await.unwrap()).await;
    assert_eq!(page.status, 200, "{page:?}");
}

#[tokio::test]
async fn forms_have_an_end() {
    let app = app().await;
    let answer = log_in(
        &app,
        &"x".repeat(2 << 20),
        ("sec-fetch-site", "same-origin"),
    )
    .await;
    answer.expect_status(413);
}
