//! A walk past calls and forms, each of which must leave its event.

use std::collections::BTreeSet;

use axum::http::Method;
use otter_protocol::admin::{AuditEvent, AuditFilter};
use otter_protocol::check_in::EnrollReply;
use otter_protocol::{ReleaseId, Sha256Digest};
use otter_trust::SecretKey;
use serde_json::{Value, json};

use crate::common::{Answer, Publisher, TestApp, TestDatabase, TestDevice, enroll_request};

/// A walk past everything that changes something.
pub(super) struct Walk {
    pub(super) app: TestApp,
    /// Who walks, as events name him.
    pub(super) actor: String,
    pub(super) cookie: Option<String>,
    pub(super) passed: BTreeSet<String>,
}

impl Walk {
    pub(super) async fn start(actor: &str) -> Self {
        Self {
            app: TestApp::start_with(TestDatabase::sqlite(), |settings| {
                settings.webhooks_allow_private = Some(true);
            })
            .await,
            actor: actor.to_owned(),
            cookie: None,
            passed: BTreeSet::new(),
        }
    }

    pub(super) async fn newest(&self) -> AuditEvent {
        let filter = AuditFilter {
            limit: Some(1),
            ..AuditFilter::default()
        };
        let page = self.app.fleet.audit_events(&filter).await.unwrap();
        page.items.into_iter().next().unwrap()
    }

    /// Fails unless an event of this kind by the one who walks came since another.
    pub(super) async fn expect_event(&mut self, call: &str, action: &str, since: i64) {
        let page = self.app.fleet.audit_events(&AuditFilter::default()).await;
        let events = page.unwrap().items;
        let found = events.iter().any(|event| {
            event.sequence > since && event.actor == self.actor && event.action.starts_with(action)
        });
        assert!(found, "{call} left no {action}: {events:?}");
        self.passed.insert(call.to_owned());
    }

    /// Asks as an admin for a change, at an address that is written as the API's description writes it.
    pub(super) async fn call(
        &mut self,
        call: &str,
        names: &[&str],
        body: &Value,
        action: &str,
    ) -> Answer {
        let body = serde_json::to_vec(body).unwrap();
        self.call_with(call, names, body, action).await
    }

    pub(super) async fn call_with(
        &mut self,
        call: &str,
        names: &[&str],
        body: Vec<u8>,
        action: &str,
    ) -> Answer {
        let since = self.newest().await.sequence;
        let (method, template) = call.split_once(' ').unwrap();
        let mut names = names.iter();
        let path: Vec<&str> = template
            .split('/')
            .map(|part| {
                if part.starts_with('{') {
                    names.next().unwrap()
                } else {
                    part
                }
            })
            .collect();
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let admin = self.app.admin();
        let request = admin.request(method, &path.join("/"));
        // Bytes have no type of their own.
        let is_json = body.first().is_some_and(|first| b"{[".contains(first));
        let kind = if is_json {
            "application/json"
        } else {
            "application/octet-stream"
        };
        let request = request.header("content-type", kind).body(body);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert!(answer.status.is_success(), "{call}: {}", answer.text());
        self.expect_event(call, action, since).await;
        answer
    }

    /// Sends a page's form.
    pub(super) async fn form(&mut self, endpoint: &str, fields: &[(&str, &str)], action: &str) {
        let since = self.newest().await.sequence;
        let form = serde_urlencoded::to_string(fields).unwrap();
        let stranger = self.app.stranger();
        let mut request = stranger
            .request(Method::POST, &format!("/ui/{endpoint}"))
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = Answer::of(request.body(form).send().await.unwrap()).await;
        assert!(
            answer.status.as_u16() < 400,
            "{endpoint}: {}",
            answer.text()
        );
        self.expect_event(endpoint, action, since).await;
    }

    /// A device that waits, and its key's fingerprint.
    pub(super) async fn pending(&self, id: &str) -> Sha256Digest {
        let key = SecretKey::generate().unwrap();
        let reply = self.app.fleet.enroll(&enroll_request(id, &key, None)).await;
        match reply.unwrap() {
            EnrollReply::Pending { fingerprint, .. } => fingerprint,
            reply => panic!("{reply:?}"),
        }
    }

    /// Devices that no rollout is done without, so that none ends by itself.
    pub(super) async fn fleet_to_wait_for(&self) {
        for number in 0..10 {
            TestDevice::enroll(&self.app, &format!("gw-{number}")).await;
        }
    }

    pub(super) async fn published(&self, version: &str, publisher: &mut Publisher) -> ReleaseId {
        publisher
            .publish(&self.app, version, version.as_bytes())
            .await
    }

    /// A rollout that somebody else made.
    pub(super) async fn rollout(&self, release: ReleaseId, more: &Value, query: &str) -> String {
        let mut spec = spec(release);
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let path = format!("/api/v1/rollouts{query}");
        let made: Value = self.app.operator().post(&path, &spec).await.expect(201);
        made["id"].to_string()
    }
}

pub(super) fn spec(release: ReleaseId) -> Value {
    let phase = |share: u32| json!({"name": format!("{share} %"), "scope": {"kind": "share", "share": share}, "gate": {"min_finished": 1}});
    json!({"name": "r", "release": release, "phases": [phase(50), phase(100)]})
}

pub(super) fn id_of(answer: &Answer) -> String {
    let made: Value = serde_json::from_str(answer.text()).unwrap();
    made["id"].to_string()
}
