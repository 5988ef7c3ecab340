//! People in browsers: a session instead of a key.

use std::sync::Arc;

use axum::http::Method;
use otter_fleet::{Actor, Fleet};
use otter_protocol::ProblemCode;
use otter_protocol::admin::{Me, Role};
use otter_server::sessions::{COOKIE, Sessions, USER_ID};
use tower_sessions::{Expiry, Session};

use crate::common::{Answer, TestApp, on_each_database};

/// Logs a person in as the dashboard does: by his number in a session.
async fn logged_in(fleet: &Fleet, role: Role) -> (String, Session) {
    let person = fleet
        .add_person(&Actor::Console, "anna", "correct horse battery", role)
        .await
        .unwrap();
    let session = Session::new(
        None,
        Arc::new(Sessions::new(fleet.clone())),
        Some(Expiry::OnSessionEnd),
    );
    session.insert(USER_ID, person.id).await.unwrap();
    session.save().await.unwrap();
    (format!("{COOKIE}={}", session.id().unwrap()), session)
}

async fn me(app: &TestApp, cookie: &str) -> Answer {
    let request = app
        .stranger()
        .request(Method::GET, "/api/v1/me")
        .header("cookie", cookie);
    Answer::of(request.send().await.unwrap()).await
}

on_each_database! {
    async fn who_is_logged_in_is_known_until_the_session_ends(app: TestApp) {
        let (cookie, session) = logged_in(&app.fleet, Role::Operator).await;
        let who: Me = me(&app, &cookie).await.expect(200);
        assert_eq!(who, Me { name: "anna".into(), role: Role::Operator });
        session.delete().await.unwrap();
        me(&app, &cookie).await.problem(ProblemCode::Unauthenticated);
        me(&app, &format!("{COOKIE}=AAAAAAAAAAAAAAAAAAAAAA")).await.problem(ProblemCode::Unauthenticated);
    }
}

on_each_database! {
    async fn a_new_password_ends_sessions(app: TestApp) {
        let (cookie, _) = logged_in(&app.fleet, Role::Operator).await;
        app.fleet.set_password(&Actor::Console, "anna", "another horse battery").await.unwrap();
        me(&app, &cookie).await.problem(ProblemCode::Unauthenticated);
    }
}

on_each_database! {
    async fn a_cookie_changes_things_only_from_our_own_pages(app: TestApp) {
        let (cookie, _) = logged_in(&app.fleet, Role::Operator).await;
        let put = async |name: &str, value: &str| {
            let request = app.stranger().request(Method::PUT, "/api/v1/groups/north").header("cookie", &cookie);
            let body = serde_json::json!({"name": "north"});
            Answer::of(request.header(name, value).json(&body).send().await.unwrap()).await
        };
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("x-nothing", "1"),
        ] {
            put(name, value).await.problem(ProblemCode::Forbidden);
        }
        put("sec-fetch-site", "same-origin").await.expect_status(200);
        put("origin", &format!("http://{}", app.address)).await.expect_status(200);
        let page: serde_json::Value = app.viewer().get("/api/v1/audit?subject=north").await.expect(200);
        assert_eq!(page["items"][0]["actor"], "user:anna");
    }
}
