//! Each server function × each role, as the router has them: one that is missing here fails the test.

use std::collections::BTreeSet;

use axum::http::Method;
use leptos::server_fn::axum::server_fn_paths;
use otter_protocol::admin::Role::{self, Admin, Approver, Operator, Viewer};

use crate::common::{Browser, TestApp, TestDatabase};

type Fields = &'static [(&'static str, &'static str)];

const ID: Fields = &[("id", "999999")];
const NONE: Fields = &[];
const DEVICE: Fields = &[
    ("id", "nobody"),
    (
        "fingerprint",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ),
];

/// Those that need a role, with names that name nothing: whoever may call is then told what is wrong.
const FUNCTIONS: [(&str, Role, Fields); 43] = [
    ("/ui/me", Viewer, NONE),
    ("/ui/account", Viewer, NONE),
    (
        "/ui/change-password",
        Viewer,
        &[("current", "x"), ("new", "y")],
    ),
    ("/ui/end-session", Viewer, &[("id", "nothing")]),
    ("/ui/end-other-sessions", Viewer, NONE),
    ("/ui/confirm", Viewer, &[("current", "x")]),
    ("/ui/offer-factor", Viewer, NONE),
    ("/ui/take-factor", Viewer, &[("code", "1")]),
    ("/ui/remove-factor", Viewer, NONE),
    ("/ui/renew-recovery-codes", Viewer, NONE),
    ("/ui/overview", Viewer, NONE),
    ("/ui/find", Viewer, &[("text", "x")]),
    ("/ui/devices", Viewer, NONE),
    ("/ui/device", Viewer, &[("id", "nobody")]),
    ("/ui/device-labels", Operator, &[("id", "nobody")]),
    ("/ui/device-hold", Operator, &[("id", "nobody")]),
    ("/ui/device-accept", Operator, DEVICE),
    ("/ui/device-reject", Operator, DEVICE),
    ("/ui/device-revoke", Admin, &[("id", "nobody")]),
    ("/ui/releases", Viewer, NONE),
    ("/ui/release", Viewer, ID),
    ("/ui/create-release", Operator, NONE),
    ("/ui/withdraw-release", Operator, ID),
    ("/ui/rollouts", Viewer, NONE),
    ("/ui/rollout", Viewer, ID),
    ("/ui/rollout-choices", Viewer, NONE),
    ("/ui/create-rollout", Operator, NONE),
    (
        "/ui/steer-rollout",
        Operator,
        &[("id", "999999"), ("steering", "pause")],
    ),
    (
        "/ui/steer-rollout",
        Approver,
        &[("id", "999999"), ("steering", "approve")],
    ),
    (
        "/ui/steer-rollout",
        Approver,
        &[("id", "999999"), ("steering", "approve_gate")],
    ),
    ("/ui/audit", Viewer, NONE),
    ("/ui/verify-audit", Viewer, NONE),
    ("/ui/settings", Admin, NONE),
    (
        "/ui/create-key",
        Admin,
        &[("name", "k"), ("role", "viewer")],
    ),
    ("/ui/create-token", Admin, &[("name", "t")]),
    ("/ui/revoke-key", Admin, ID),
    ("/ui/revoke-token", Admin, ID),
    (
        "/ui/add-person",
        Admin,
        &[("name", " "), ("role", "viewer")],
    ),
    ("/ui/make-link", Admin, ID),
    (
        "/ui/change-role",
        Admin,
        &[("id", "999999"), ("role", "viewer")],
    ),
    ("/ui/close-account", Admin, ID),
    ("/ui/end-sessions-of", Admin, ID),
    ("/ui/remove-factor-of", Admin, ID),
];

/// Those that anybody may call: they are how one gets in, or out, or change only what one's own browser keeps.
const PUBLIC: [&str; 8] = [
    "/ui/is-set-up",
    "/ui/log-in",
    "/ui/log-in-code",
    "/ui/log-out",
    "/ui/set-up",
    "/ui/link-owner",
    "/ui/use-link",
    "/ui/theme",
];

/// What needs to be sure that it is still the same person.
const RECENT: [&str; 14] = [
    "/ui/end-session",
    "/ui/end-other-sessions",
    "/ui/create-key",
    "/ui/create-token",
    "/ui/add-person",
    "/ui/make-link",
    "/ui/change-role",
    "/ui/close-account",
    "/ui/end-sessions-of",
    "/ui/remove-factor-of",
    "/ui/offer-factor",
    "/ui/take-factor",
    "/ui/remove-factor",
    "/ui/renew-recovery-codes",
];

fn method_of(path: &str) -> Method {
    let found = server_fn_paths().find(|(known, _)| *known == path);
    found
        .unwrap_or_else(|| panic!("{path} is no server function"))
        .1
}

#[tokio::test]
async fn the_list_is_complete() {
    // Those that the program has are those that a router serves.
    let _app = TestApp::start(TestDatabase::sqlite()).await;
    let served: BTreeSet<&str> = server_fn_paths().map(|(path, _)| path).collect();
    let listed = FUNCTIONS.iter().map(|(path, ..)| *path).chain(PUBLIC);
    assert_eq!(served, listed.collect());
}

#[tokio::test]
async fn each_role_may_call_its_own_and_no_more() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let stranger = Browser::new(&app);
    for (path, needed, fields) in FUNCTIONS {
        let status = status(&stranger, path, fields).await;
        assert_eq!(status, 401, "{path} as nobody");
        assert!(needed >= Viewer);
    }
    for role in Role::ALL {
        let browser = Browser::of(&app, role.as_str(), role).await;
        for (path, needed, fields) in FUNCTIONS {
            let status = status(&browser, path, fields).await;
            if role >= needed {
                assert!(
                    ![401, 403].contains(&status),
                    "{path} as {}: {status}",
                    role.as_str()
                );
            } else {
                assert_eq!(status, 403, "{path} as {}", role.as_str());
            }
        }
    }
}

/// Pages that anybody may see.
const PUBLIC_PAGES: [&str; 4] = ["/login", "/login/code", "/setup", "/welcome"];

#[tokio::test]
async fn every_other_page_asks_who_is_there() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let stranger = Browser::new(&app);
    let pages = leptos_axum::generate_route_list(otter_app::App);
    assert!(pages.len() > PUBLIC_PAGES.len());
    for page in pages {
        let path = page.path().replace("{id}", "1");
        let answer = stranger.page(&path).await;
        let asks = answer.status == 302 && answer.header("location").starts_with("/login");
        assert_eq!(
            asks,
            !PUBLIC_PAGES.contains(&path.as_str()),
            "{path}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn no_session_of_old_may_change_keys_people_or_second_factors() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = Browser::of(&app, "ada", Admin).await;
    let events = app.events().await;
    browser.grow_old(&app).await;
    for (path, _, fields) in FUNCTIONS {
        if !RECENT.contains(&path) {
            continue;
        }
        let answer = browser.call(method_of(path), path, fields).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(
            answer.text().contains("reauthentication_needed"),
            "{path}: {}",
            answer.text()
        );
    }
    assert_eq!(app.events().await, events);
    browser
        .call(Method::GET, "/ui/settings", NONE)
        .await
        .expect_status(200);
}

async fn status(browser: &Browser, path: &'static str, fields: Fields) -> u16 {
    browser
        .call(method_of(path), path, fields)
        .await
        .status
        .as_u16()
}
