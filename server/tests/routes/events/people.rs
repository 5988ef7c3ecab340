//! Accounts and second factors, by the API and by the pages' forms.

use axum::http::Method;
use otter_protocol::admin::{Account, OpenSession, Role, WithLink};
use serde_json::{Value, json};

use super::walk::Walk;
use crate::common::{Answer, Browser, PASSWORD, authenticator};

const OTHER: &str = "another long password";

/// Sets a second factor up; returns its first recovery code.
async fn take_factor(walk: &mut Walk, browser: &Browser) -> String {
    let offer = browser.call(Method::POST, "/ui/offer-factor", &[]).await;
    offer.expect_status(200);
    let account: Value = browser
        .call(Method::GET, "/ui/account", &[])
        .await
        .expect(200);
    let secret = account["offer"]["secret"]
        .as_str()
        .unwrap()
        .replace(' ', "");
    let code = authenticator(&secret, walk.app.fleet.now());
    let made: Value = form(
        walk,
        browser,
        "take-factor",
        &[("code", &code)],
        "person.second_factor",
    )
    .await
    .expect(200);
    made["text"]
        .as_str()
        .unwrap()
        .split('.')
        .next()
        .unwrap()
        .to_owned()
}

async fn form(
    walk: &mut Walk,
    browser: &Browser,
    endpoint: &str,
    fields: &[(&str, &str)],
    action: &str,
) -> Answer {
    let since = walk.newest().await.sequence;
    let answer = browser
        .call(Method::POST, &format!("/ui/{endpoint}"), fields)
        .await;
    assert!(
        answer.status.as_u16() < 400,
        "{endpoint}: {}",
        answer.text()
    );
    walk.expect_event(endpoint, action, since).await;
    answer
}

async fn api(
    walk: &mut Walk,
    browser: &Browser,
    call: &str,
    path: &str,
    body: &Value,
    action: &str,
) {
    let since = walk.newest().await.sequence;
    let (method, _) = call.split_once(' ').unwrap();
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let answer = browser.api(method, path, body).await;
    assert!(answer.status.is_success(), "{call}: {}", answer.text());
    walk.expect_event(call, action, since).await;
}

/// The calls of the admin API that are about people.
pub(super) async fn calls(walk: &mut Walk) {
    let none = json!({});
    let new = json!({"name": "berta", "role": "viewer"});
    let made = walk
        .call("post /api/v1/people", &[], &new, "person.add")
        .await;
    let made: WithLink<Account> = serde_json::from_str(made.text()).unwrap();
    let berta = made.made.id.to_string();
    let patch = json!({"role": "operator"});
    walk.call(
        "patch /api/v1/people/{id}",
        &[&berta],
        &patch,
        "person.change",
    )
    .await;
    walk.call(
        "post /api/v1/people/{id}/link",
        &[&berta],
        &none,
        "person.link",
    )
    .await;

    let here = Browser::of(&walk.app, "carla", Role::Viewer).await;
    let there = Browser::new(&walk.app);
    there.log_in("carla", PASSWORD).await.expect_status(302);
    let program = std::mem::replace(&mut walk.actor, "user:carla".to_owned());
    let list: Vec<OpenSession> = here.get("/api/v1/me/sessions").await.expect(200);
    let other = list.iter().find(|session| !session.current).unwrap();
    let path = format!("/api/v1/me/sessions/{}", other.id);
    api(
        walk,
        &here,
        "delete /api/v1/me/sessions/{id}",
        &path,
        &none,
        "person.end_sessions",
    )
    .await;
    there.log_in("carla", PASSWORD).await.expect_status(302);
    let path = "/api/v1/me/sessions";
    api(
        walk,
        &here,
        "delete /api/v1/me/sessions",
        path,
        &none,
        "person.end_sessions",
    )
    .await;
    let path = "/api/v1/me/password";
    let change = json!({"current": PASSWORD, "new": OTHER});
    api(
        walk,
        &here,
        "post /api/v1/me/password",
        path,
        &change,
        "person.password",
    )
    .await;
    here.log_in("carla", OTHER).await.expect_status(302);
    take_factor(walk, &here).await;
    walk.passed.remove("take-factor");
    walk.actor = program;
    let people: Vec<Account> = walk.app.admin().get("/api/v1/people").await.expect(200);
    let carla = people
        .iter()
        .find(|person| person.name == "carla")
        .unwrap()
        .id
        .to_string();
    let path = "delete /api/v1/people/{id}/second-factor";
    walk.call(path, &[&carla], &none, "person.second_factor_removed")
        .await;
    here.log_in("carla", OTHER).await.expect_status(302);
    let path = "post /api/v1/people/{id}/end-sessions";
    walk.call(path, &[&carla], &none, "person.end_sessions")
        .await;
}

/// The forms of pages that are about people.
pub(super) async fn forms(walk: &mut Walk) {
    let admin = Browser::of(&walk.app, "ada", Role::Admin).await;
    let before = std::mem::replace(&mut walk.actor, "user:ada".to_owned());
    let new = [("name", "berta"), ("role", "viewer")];
    form(walk, &admin, "add-person", &new, "person.add").await;
    let people: Vec<Account> = admin.get("/api/v1/people").await.expect(200);
    let berta = people
        .iter()
        .find(|person| person.name == "berta")
        .unwrap()
        .id
        .to_string();
    let role = [("id", berta.as_str()), ("role", "operator")];
    form(walk, &admin, "change-role", &role, "person.change").await;
    let made: Value = form(walk, &admin, "make-link", &[("id", &berta)], "person.link")
        .await
        .expect(200);
    let link = made["text"].as_str().unwrap();
    let (_, secret) = link.split_once("secret=").unwrap();

    let one = Browser::new(&walk.app);
    walk.actor = "user:berta".to_owned();
    let choose = [("secret", secret), ("password", PASSWORD)];
    form(walk, &one, "use-link", &choose, "person.").await;
    one.log_in("berta", PASSWORD).await.expect_status(302);
    let two = Browser::new(&walk.app);
    two.log_in("berta", PASSWORD).await.expect_status(302);
    let list: Vec<OpenSession> = one.get("/api/v1/me/sessions").await.expect(200);
    let other = list.iter().find(|session| !session.current).unwrap();
    form(
        walk,
        &one,
        "end-session",
        &[("id", &other.id)],
        "person.end_sessions",
    )
    .await;
    two.log_in("berta", PASSWORD).await.expect_status(302);
    form(walk, &one, "end-other-sessions", &[], "person.end_sessions").await;
    let change = [("current", PASSWORD), ("new", OTHER)];
    form(walk, &one, "change-password", &change, "person.password").await;
    let code = take_factor(walk, &one).await;
    two.log_in("berta", OTHER).await.expect_status(302);
    form(
        walk,
        &two,
        "log-in-code",
        &[("code", &code)],
        "person.recovery_code_used",
    )
    .await;
    form(
        walk,
        &one,
        "renew-recovery-codes",
        &[],
        "person.recovery_codes",
    )
    .await;
    form(
        walk,
        &one,
        "remove-factor",
        &[],
        "person.second_factor_removed",
    )
    .await;
    take_factor(walk, &one).await;

    walk.actor = "user:ada".to_owned();
    let id = [("id", berta.as_str())];
    form(
        walk,
        &admin,
        "remove-factor-of",
        &id,
        "person.second_factor_removed",
    )
    .await;
    one.log_in("berta", OTHER).await.expect_status(302);
    form(walk, &admin, "end-sessions-of", &id, "person.end_sessions").await;
    form(walk, &admin, "close-account", &id, "person.change").await;
    walk.actor = before;
}
