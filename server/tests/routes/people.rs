//! People: how they come in, prove it anew, and are out.

use axum::http::Method;
use otter_fleet::Actor;
use otter_protocol::ProblemCode;
use otter_protocol::admin::{
    Account, ApiKey, Me, OpenSession, Role, SessionsEnded, WithLink, WithSecret,
};
use otter_server::config::Settings;
use serde_json::json;

use crate::common::{Browser, PASSWORD, TestApp, TestDatabase, authenticator, on_each_database};

const OTHER: &str = "another-horse-battery";

async fn is_in(browser: &Browser) -> bool {
    browser.get("/api/v1/me").await.status == 200
}

fn over_tls(settings: &mut Settings) {
    settings.public_url = Some("https://otter.example".parse().unwrap());
}

#[tokio::test]
async fn over_tls_cookies_and_headers_are_for_tls_alone() {
    let app = TestApp::start_with(TestDatabase::sqlite(), over_tls).await;
    let added = app
        .fleet
        .add_person(&Actor::Console, "ada", PASSWORD, Role::Admin);
    added.await.unwrap();
    let browser = Browser::new(&app);
    let answer = browser.log_in("ada", PASSWORD).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-otter_session="), "{cookie}");
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(attribute), "{attribute}: {cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    let key = [("name", "ci"), ("role", "viewer")];
    let made = browser.form("/ui/create-key", &key).await;
    let theme = browser.form("/ui/theme", &[("theme", "dark")]).await;
    for (answer, name) in [(made, "__Host-otter_made="), (theme, "__Host-otter_theme=")] {
        let cookie = answer.header("set-cookie");
        assert!(
            cookie.starts_with(name) && cookie.contains("; Secure"),
            "{cookie}"
        );
    }
    for path in ["/login", "/api/v1/me", "/favicon.svg"] {
        let answer = browser.get(path).await;
        let policy = answer.header("strict-transport-security");
        assert!(policy.starts_with("max-age=63072000"), "{path}: {policy}");
    }
}

#[tokio::test]
async fn without_tls_browsers_are_not_told_to_come_back_over_it() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let answer = Browser::new(&app).get("/login").await;
    assert_eq!(answer.header("strict-transport-security"), "");
}

#[tokio::test]
async fn what_people_see_is_kept_nowhere() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = Browser::of(&app, "ada", Role::Admin).await;
    for path in ["/", "/settings", "/api/v1/me", "/ui/settings"] {
        let answer = browser.get(path).await;
        answer.expect_status(200);
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}

on_each_database! {
    async fn a_login_makes_a_new_session_and_ends_the_one_before(app: TestApp) {
        let browser = Browser::of(&app, "ada", Role::Viewer).await;
        let first = browser.session().unwrap();
        assert!(first.len() >= 22, "128 bits in base64: {first}");
        browser.log_in("ada", PASSWORD).await.expect_status(302);
        let second = browser.session().unwrap();
        assert_ne!(first, second);
        browser.set_session(&first);
        assert!(!is_in(&browser).await);
        // An id of somebody's choice is no session, before a login or after.
        browser.set_session("AAAAAAAAAAAAAAAAAAAAAA");
        browser.log_in("ada", PASSWORD).await.expect_status(302);
        assert_ne!(browser.session().unwrap(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert!(is_in(&browser).await);
    }
}

on_each_database! {
    async fn logging_out_ends_the_session_for_good(app: TestApp) {
        let browser = Browser::of(&app, "ada", Role::Viewer).await;
        let id = browser.session().unwrap();
        browser.form("/ui/log-out", &[]).await.expect_status(302);
        browser.set_session(&id);
        assert!(!is_in(&browser).await);
    }
}

on_each_database! {
    async fn a_new_password_ends_every_session_but_the_new_one(app: TestApp) {
        let (here, there) = (Browser::of(&app, "ada", Role::Viewer).await, Browser::new(&app));
        there.log_in("ada", PASSWORD).await.expect_status(302);
        let before = here.session().unwrap();
        let change = [("current", PASSWORD), ("new", OTHER)];
        here.call(Method::POST, "/ui/change-password", &change).await.expect_status(200);
        assert!(is_in(&here).await && !is_in(&there).await);
        assert_ne!(here.session().unwrap(), before);
        there.call(Method::POST, "/ui/log-in", &[("name", "ada"), ("password", PASSWORD)]).await.expect_status(401);
        there.log_in("ada", OTHER).await.expect_status(302);

        let answer = there.api(Method::POST, "/api/v1/me/password", &json!({"current": "x", "new": PASSWORD})).await;
        assert_eq!(answer.problem(ProblemCode::InvalidRequest).field.as_deref(), Some("current"));
        let body = json!({"current": OTHER, "new": PASSWORD});
        there.api(Method::POST, "/api/v1/me/password", &body).await.expect_status(204);
        assert!(!is_in(&here).await && !is_in(&there).await);
    }
}

on_each_database! {
    async fn people_end_their_sessions_elsewhere(app: TestApp) {
        let (here, there) = (Browser::of(&app, "ada", Role::Viewer).await, Browser::new(&app));
        there.log_in("ada", PASSWORD).await.expect_status(302);
        let list: Vec<OpenSession> = here.get("/api/v1/me/sessions").await.expect(200);
        assert_eq!(list.iter().filter(|one| one.current).count(), 1);
        assert_eq!(list[0].address.as_deref(), Some("127.0.0.1"));
        let other = list.iter().find(|one| !one.current).unwrap();
        here.api(Method::DELETE, &format!("/api/v1/me/sessions/{}", other.id), &json!({})).await.expect_status(204);
        assert!(is_in(&here).await && !is_in(&there).await);
        there.log_in("ada", PASSWORD).await.expect_status(302);
        let ended: SessionsEnded = here.api(Method::DELETE, "/api/v1/me/sessions", &json!({})).await.expect(200);
        assert_eq!(ended.ended, 1);
        assert!(is_in(&here).await && !is_in(&there).await);
    }
}

on_each_database! {
    async fn an_admin_adds_people_by_a_link_and_sends_them_away(app: TestApp) {
        let admin = Browser::of(&app, "ada", Role::Admin).await;
        let new = json!({"name": "bob", "role": "operator"});
        let made: WithLink<Account> = admin.api(Method::POST, "/api/v1/people", &new).await.expect(201);
        let (_, secret) = made.link.split_once("/welcome?secret=").unwrap();
        let bob = Browser::new(&app);
        let page = bob.page(&format!("/welcome?secret={secret}")).await;
        assert!(page.text().contains("value=\"bob\""), "{}", page.text());
        let choose = [("secret", secret), ("password", PASSWORD)];
        bob.form("/ui/use-link", &choose).await.expect_status(302);
        bob.call(Method::POST, "/ui/use-link", &choose).await.expect_status(401);
        bob.log_in("bob", PASSWORD).await.expect_status(302);
        let me: Me = bob.get("/api/v1/me").await.expect(200);
        assert_eq!(me, Me { name: "bob".into(), role: Role::Operator });

        let path = format!("/api/v1/people/{}", made.made.id);
        admin.api(Method::PATCH, &path, &json!({"role": "viewer"})).await.expect_status(200);
        bob.api(Method::PUT, "/api/v1/groups/north", &json!({"name": "north"})).await.problem(ProblemCode::Forbidden);
        let ended: SessionsEnded =
            admin.api(Method::POST, &format!("{path}/end-sessions"), &json!({})).await.expect(200);
        assert_eq!(ended.ended, 1);
        assert!(!is_in(&bob).await);
        admin.api(Method::PATCH, &path, &json!({"disabled": true})).await.expect_status(200);
        let login = [("name", "bob"), ("password", PASSWORD)];
        bob.call(Method::POST, "/ui/log-in", &login).await.expect_status(401);
        let list: Vec<Account> = admin.get("/api/v1/people").await.expect(200);
        let names: Vec<&str> = list.iter().map(|account| account.name.as_str()).collect();
        assert_eq!(names, ["ada", "bob"]);
    }
}

on_each_database! {
    async fn a_second_factor_is_asked_for_before_anything_is_shown(app: TestApp) {
        let ada = Browser::of(&app, "ada", Role::Admin).await;
        ada.call(Method::POST, "/ui/offer-factor", &[]).await.expect_status(200);
        let account: serde_json::Value = ada.call(Method::GET, "/ui/account", &[]).await.expect(200);
        let shown = account["offer"]["secret"].as_str().unwrap();
        assert!(ada.page("/account").await.text().contains(shown));
        let secret = shown.replace(' ', "");
        let code = authenticator(&secret, app.fleet.now());
        let made: serde_json::Value = ada.call(Method::POST, "/ui/take-factor", &[("code", &code)]).await.expect(200);
        let codes: Vec<&str> = made["text"].as_str().unwrap().split('.').collect();
        let page = ada.page("/account").await;
        assert!(page.text().contains("10 recovery codes are left"), "{}", page.text());
        assert!(!page.text().contains(shown), "it is shown only while it is set up");

        let other = Browser::new(&app);
        let first = other.form("/ui/log-in", &[("name", "ada"), ("password", PASSWORD), ("next", "/devices")]).await;
        assert_eq!(first.header("location"), "/login/code?next=/devices");
        assert!(!is_in(&other).await);
        assert_eq!(other.page("/devices").await.header("location"), "/login?next=/devices");
        let half = other.session().unwrap();
        // The code that set it up has been used.
        other.call(Method::POST, "/ui/log-in-code", &[("code", &code)]).await.expect_status(401);
        let second = other.form("/ui/log-in-code", &[("code", codes[0]), ("next", "/devices")]).await;
        assert_eq!(second.header("location"), "/devices");
        assert!(is_in(&other).await);
        assert_ne!(other.session().unwrap(), half);
        other.set_session(&half);
        assert!(!is_in(&other).await);
        // Without a password before it, a code is worth nothing.
        let stranger = Browser::new(&app);
        stranger.call(Method::POST, "/ui/log-in-code", &[("code", codes[1])]).await.expect_status(401);
    }
}

on_each_database! {
    async fn who_confirms_that_it_is_he_may_go_on(app: TestApp) {
        let ada = Browser::of(&app, "ada", Role::Admin).await;
        let new = json!({"name": "ci", "role": "viewer"});
        ada.grow_old(&app).await;
        for (method, path, body) in [
            (Method::POST, "/api/v1/api-keys", new.clone()),
            (Method::POST, "/api/v1/enrollment-tokens", json!({"name": "t"})),
            (Method::POST, "/api/v1/people", json!({"name": "bob", "role": "viewer"})),
            (Method::PATCH, "/api/v1/people/1", json!({"disabled": true})),
            (Method::POST, "/api/v1/people/1/link", json!({})),
            (Method::POST, "/api/v1/people/1/end-sessions", json!({})),
            (Method::DELETE, "/api/v1/people/1/second-factor", json!({})),
            (Method::DELETE, "/api/v1/me/sessions", json!({})),
            (Method::DELETE, "/api/v1/me/sessions/x", json!({})),
            (Method::PUT, "/api/v1/trust/root", json!({})),
            (Method::PUT, "/api/v1/trust/targets", json!({})),
        ] {
            let answer = ada.api(method, path, &body).await;
            answer.problem(ProblemCode::ReauthenticationNeeded);
        }
        // What shows or takes back needs no more than before.
        let list: Vec<ApiKey> = ada.get("/api/v1/api-keys").await.expect(200);
        let key = list.iter().find(|key| key.spec.role == Role::Viewer).unwrap();
        ada.api(Method::DELETE, &format!("/api/v1/api-keys/{}", key.id), &json!({})).await.expect_status(204);

        let before = ada.session().unwrap();
        let wrong = ada.call(Method::POST, "/ui/confirm", &[("current", "wrong")]).await;
        wrong.expect_status(422);
        assert_eq!(ada.session().unwrap(), before);
        let right = ada.form("/ui/confirm", &[("current", PASSWORD), ("next", "/settings")]).await;
        assert_eq!(right.header("location"), "/settings");
        assert_ne!(ada.session().unwrap(), before, "a new id, here too");
        let made: WithSecret<ApiKey> = ada.api(Method::POST, "/api/v1/api-keys", &new).await.expect(201);
        let program = app.stranger().with(&made.secret);
        program.get("/api/v1/me").await.expect_status(200);
    }
}

on_each_database! {
    async fn a_stream_ends_with_what_it_stands_on(app: TestApp) {
        use futures::StreamExt as _;
        let ada = Browser::of(&app, "ada", Role::Viewer).await;
        let stream = ada.request(Method::GET, "/api/v1/live").send().await.unwrap();
        assert_eq!(stream.status(), 200);
        let mut bytes = stream.bytes_stream();
        bytes.next().await.unwrap().unwrap();
        app.fleet.set_password(&Actor::Console, "ada", OTHER).await.unwrap();
        let to_its_end = async { while let Some(Ok(_)) = bytes.next().await {} };
        let patience = std::time::Duration::from_secs(20);
        tokio::time::timeout(patience, to_its_end).await.expect("the stream goes on");
    }
}

#[tokio::test]
async fn there_is_no_account_that_nobody_made() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    assert!(app.fleet.accounts().await.unwrap().is_empty());
    let browser = Browser::new(&app);
    for (name, password) in [("admin", "admin"), ("otter", "otter"), ("admin", "")] {
        let fields = [("name", name), ("password", password)];
        let answer = browser.call(Method::POST, "/ui/log-in", &fields).await;
        answer.expect_status(401);
    }
}
