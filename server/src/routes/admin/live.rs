//! Live changes, as server-sent events that say what changed; the page then asks for it.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt as _};
use otter_protocol::admin::Change;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::extract::Viewer;
use crate::server::Server;

/// How often a stream says that it lives, while nothing changes.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a browser waits before it connects anew.
const RETRY: Duration = Duration::from_secs(2);

/// Streams changes: `change` with what changed, `reset` where some were missed and everything has to be looked at anew.
#[utoipa::path(get, path = "/api/v1/live", tag = "Server", operation_id = "live",
    responses((status = 200, description = "Events `change` and `reset`", content_type = "text/event-stream",
        body = Change)))]
pub(crate) async fn live(_: Viewer, State(server): State<Server>) -> impl IntoResponse {
    let changes = events(BroadcastStream::new(server.fleet().changes()));
    let hello = futures::stream::once(async { Ok(Event::default().retry(RETRY).comment("live")) });
    let stop = server.stop().clone();
    let stream = hello
        .chain(changes)
        .take_until(async move { stop.cancelled().await });
    let no_buffering = (
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    ([no_buffering], Sse::new(stream).keep_alive(keep_alive))
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
