//! What `otter webhook` asks of the server, and what it shows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]

mod common;

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use common::House;
use serde_json::{Value, json};

/// What was asked: the method and the address, and the body.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// A server that answers what a webhook's calls answer, and remembers them.
async fn house() -> (House, Asked) {
    let asked = Asked::default();
    let app = axum::Router::new()
        .fallback(answer)
        .with_state(asked.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let house = House {
        address,
        ..House::new().await
    };
    (house, asked)
}

async fn answer(State(asked): State<Asked>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let call = format!("{} {}", parts.method, parts.uri);
    let body = axum::body::to_bytes(body, 100_000).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    asked.lock().unwrap().push((call.clone(), body));
    let hook = json!({
        "id": 4, "name": "chat", "url": "https://example.org/x", "events": ["rollout.*"],
        "enabled": true, "created_by": "key:test", "created_at": "2026-03-01T08:00:00Z",
    });
    let delivery = json!({
        "id": 9, "webhook": 4, "event": "rollout.paused", "rollout": 7, "state": "waiting", "tries": 2,
        "created_at": "2026-03-01T08:00:00Z", "next_at": "2026-03-01T08:00:30Z", "status": 503,
        "took_ms": 12, "error": "the receiver answered 503\u{1b}[2J", "body": {},
    });
    let path = parts.uri.path();
    let value = if path.ends_with("/deliveries") {
        json!({"items": [delivery], "next": "9"})
    } else if path.ends_with("/test") || path.ends_with("/redeliver") {
        delivery
    } else if call == "GET /api/v1/webhooks" {
        json!([hook])
    } else {
        let mut with_secret = hook;
        with_secret["secret"] = json!("otw_new");
        with_secret
    };
    Json(value).into_response()
}

fn last(asked: &Asked) -> (String, Value) {
    asked.lock().unwrap().pop().expect("nothing was asked")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_asks_what_it_says() {
    let (house, asked) = house().await;
    let create = ["webhook", "create", "--name", "chat", "--url"];
    let create = [&create[..], &["https://example.org/x"]].concat();
    let ran = house.otter(&create).await;
    assert_eq!(ran.ok(), "otw_new\n", "the secret alone, for scripts");
    assert!(ran.stderr().contains("shown only now"));
    let sent = json!({"name": "chat", "url": "https://example.org/x", "events": ["rollout.*"], "enabled": true});
    assert_eq!(last(&asked), ("POST /api/v1/webhooks".to_owned(), sent));

    let more = [
        "--event",
        "attempt.failed",
        "--event",
        "rollout.paused",
        "--json",
    ];
    let made = house.otter(&[&create[..], &more].concat()).await.json();
    assert_eq!(made["secret"], "otw_new");
    assert_eq!(
        last(&asked).1["events"],
        json!(["attempt.failed", "rollout.paused"])
    );

    house.otter(&["webhook", "change", "4", "--off"]).await.ok();
    let call = (
        "PATCH /api/v1/webhooks/4".to_owned(),
        json!({"enabled": false}),
    );
    assert_eq!(last(&asked), call);
    house.otter(&["webhook", "change", "4"]).await.fails(2);

    for (arguments, call) in [
        (&["webhook", "delete", "4"][..], "DELETE /api/v1/webhooks/4"),
        (
            &["webhook", "rotate", "4"],
            "POST /api/v1/webhooks/4/rotate",
        ),
        (&["webhook", "test", "4"], "POST /api/v1/webhooks/4/test"),
        (
            &["webhook", "redeliver", "9"],
            "POST /api/v1/webhooks/deliveries/9/redeliver",
        ),
        (
            &[
                "webhook",
                "deliveries",
                "4",
                "--state",
                "given-up",
                "--rollout",
                "7",
            ],
            "GET /api/v1/webhooks/4/deliveries?state=given_up&rollout=7&limit=50",
        ),
    ] {
        house.otter(arguments).await.ok();
        assert_eq!(last(&asked).0, call);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_say_what_waits_and_why() {
    let (house, _) = house().await;
    let table = house.otter(&["webhook", "list"]).await.ok();
    assert!(
        table.contains("chat") && table.contains("rollout.*"),
        "{table}"
    );
    let ran = house.otter(&["webhook", "deliveries", "4"]).await;
    let table = ran.ok();
    for cell in [
        "rollout.paused",
        "again at 2026-03-01T08:00:30Z",
        "503",
        "12",
    ] {
        assert!(table.contains(cell), "{table}");
    }
    assert!(!table.contains('\u{1b}'), "{table}");
    assert!(ran.stderr().contains("--cursor 9"));
}
