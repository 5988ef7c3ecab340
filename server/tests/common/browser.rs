//! A person's browser: it keeps cookies, and says where its requests come from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::http::Method;
use otter_fleet::Actor;
use otter_protocol::admin::Role;
use otter_server::sessions::{AUTHENTICATED_AT, RECENT_SEC, Sessions};
use reqwest::RequestBuilder;
use tower_sessions::Session;

use super::{Answer, Caller, TestApp};

/// Everybody's password, until he changes it.
pub const PASSWORD: &str = "correct-horse-battery";

/// A browser on one server.
pub struct Browser {
    caller: Caller,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    /// One that nobody is logged in with.
    pub fn new(app: &TestApp) -> Self {
        Self {
            caller: app.stranger(),
            cookies: Mutex::default(),
        }
    }

    /// Makes an account of a role and logs in with it.
    pub async fn of(app: &TestApp, name: &str, role: Role) -> Self {
        let added = app.fleet.add_person(&Actor::Console, name, PASSWORD, role);
        added.await.unwrap();
        let browser = Self::new(app);
        browser.log_in(name, PASSWORD).await.expect_status(302);
        assert!(browser.session().is_some());
        browser
    }

    pub async fn log_in(&self, name: &str, password: &str) -> Answer {
        self.form("/ui/log-in", &[("name", name), ("password", password)])
            .await
    }

    /// Sends a form as a page does that has no script.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(encoded(fields))).await
    }

    /// Calls a server function as the page's script does.
    pub async fn call(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Answer {
        let text = encoded(fields);
        let request = match method {
            Method::GET => self.request(method, &format!("{path}?{text}")),
            _ => self
                .request(method, path)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(text),
        };
        self.send(request.header("accept", "application/json"))
            .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// Loads a page.
    pub async fn page(&self, path: &str) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(request.header("accept", "text/html")).await
    }

    pub async fn api(&self, method: Method, path: &str, body: &serde_json::Value) -> Answer {
        self.send(self.request(method, path).json(body)).await
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies = self.cookies.lock().unwrap();
        let pairs: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = self.caller.request(method, path);
        let request = request.header("sec-fetch-site", "same-origin");
        if pairs.is_empty() {
            request
        } else {
            request.header("cookie", pairs.join("; "))
        }
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if value.is_empty() || cookie.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Answer::of(response).await
    }

    /// The session's id, where there is one.
    pub fn session(&self) -> Option<String> {
        let cookies = self.cookies.lock().unwrap();
        cookies.get("otter_session").cloned()
    }

    /// Lets the login be so long ago that it no longer counts as recent.
    pub async fn grow_old(&self, app: &TestApp) {
        let id = self.session().unwrap().parse().unwrap();
        let store = Arc::new(Sessions::new(app.fleet.clone()));
        let session = Session::new(Some(id), store, None);
        let at = app.fleet.now().minus_sec(RECENT_SEC);
        session.insert(AUTHENTICATED_AT, at.0).await.unwrap();
        session.save().await.unwrap();
    }

    pub fn set_session(&self, id: &str) {
        let mut cookies = self.cookies.lock().unwrap();
        cookies.insert("otter_session".to_owned(), id.to_owned());
    }
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(fields);
    text.finish()
}
