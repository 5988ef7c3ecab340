use std::time::Duration;

use axum::http::Method;
use reqwest::Response;
use serde_json::json;

use crate::common::{TestApp, TestDevice, on_each_database};

async fn open(app: &TestApp) -> Response {
    let response = app
        .viewer()
        .request(Method::GET, "/api/v1/live")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(!response.headers().contains_key("content-encoding"));
    response
}

/// Reads until the text so far holds all of this; `None` where the stream ends before.
async fn read_until(stream: &mut Response, wanted: &[&str]) -> Option<String> {
    let mut text = String::new();
    let reading = async {
        while !wanted.iter().all(|part| text.contains(part)) {
            let chunk = stream.chunk().await.unwrap()?;
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        Some(())
    };
    let outcome = tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .expect("waited in vain for events");
    outcome.map(|()| text)
}

on_each_database! {
    async fn an_open_page_hears_what_changed(app: TestApp) {
        let mut stream = open(&app).await;
        read_until(&mut stream, &["retry:"]).await.unwrap();
        TestDevice::enroll(&app, "d").await;
        read_until(&mut stream, &["event: change", "\"kind\":\"device\"", "\"id\":\"d\""]).await.unwrap();
        let group = json!({"name": "north"});
        app.operator().put("/api/v1/groups/north", &group).await.expect_status(200);
        read_until(&mut stream, &["\"kind\":\"group\"", "\"id\":\"north\""]).await.unwrap();
    }
}

on_each_database! {
    async fn streams_end_when_the_server_stops(app: TestApp) {
        let mut app = app;
        let mut stream = open(&app).await;
        read_until(&mut stream, &["retry:"]).await.unwrap();
        app.stop.cancel();
        assert_eq!(read_until(&mut stream, &["never"]).await, None);
        let serving = app.serving.take().unwrap();
        tokio::time::timeout(Duration::from_secs(20), serving).await.unwrap().unwrap().unwrap();
    }
}
