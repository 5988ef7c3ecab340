//! The least that an axum server can do.

use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt as _;

/// Serves until it is killed, with the runtime and the listener that `otter-server` has.
#[tokio::main]
pub(crate) async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let listener = listener.tap_io(|connection| {
        // Without it answers only come later.
        let _ = connection.set_nodelay(true);
    });
    let app = Router::new().route(
        crate::requests::CHECK_IN,
        post(|| async { StatusCode::NO_CONTENT }),
    );
    axum::serve(listener, app).await?;
    Ok(())
}
