//! Live changes, as server-sent events that say what changed; the page then asks for it.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt as _};
use otter_fleet::Fleet;
use otter_protocol::admin::{Change, ChangeKind};
use tokio::sync::broadcast::error::RecvError;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::extract::{Standing, Viewer};
use crate::server::Server;

/// How often a stream says that it lives, while nothing changes.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a stream goes on at most without a look at whether its caller is still in.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// How long a browser waits before it connects anew.
const RETRY: Duration = Duration::from_secs(2);

/// Streams changes: `change` with what changed, `reset` where some were missed and everything has to be looked at anew.
#[utoipa::path(get, path = "/api/v1/live", tag = "Server", operation_id = "live",
    responses((status = 200, description = "Events `change` and `reset`", content_type = "text/event-stream",
        body = Change)))]
pub(crate) async fn live(
    _: Viewer,
    standing: Standing,
    State(server): State<Server>,
) -> impl IntoResponse {
    let changes = events(BroadcastStream::new(server.fleet().changes()));
    let hello = futures::stream::once(async { Ok(Event::default().retry(RETRY).comment("live")) });
    let stop = server.stop().clone();
    let stream = hello
        .chain(changes)
        .take_until(async move { stop.cancelled().await })
        .take_until(lost(standing, server.fleet().clone()));
    let no_buffering = (
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    ([no_buffering], Sse::new(stream).keep_alive(keep_alive))
}

/// Waits until the caller is out: his session ended, or the key was taken back.
async fn lost(standing: Standing, fleet: Fleet) {
    let mut changes = fleet.changes();
    loop {
        let concerns = async {
            loop {
                match changes.recv().await {
                    Ok(change) if change.kind != ChangeKind::Settings => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                }
            }
        };
        // Where nobody says that it changed, it is looked at all the same: a session also ends by time.
        let looked = tokio::time::timeout(LOOK_AGAIN, concerns).await;
        drop(looked);
        if !standing.counts(&fleet).await {
            return;
        }
    }
}

fn events(
    changes: impl Stream<Item = Result<Change, BroadcastStreamRecvError>>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    changes.filter_map(async |change| {
        let event = match change {
            Ok(change) => Event::default().event("change").json_data(change).ok()?,
            Err(BroadcastStreamRecvError::Lagged(_)) => Event::default().event("reset").data("{}"),
        };
        Some(Ok(event))
    })
}
