//! Somebody who takes a connection.

use tokio::net::TcpStream;

/// Connects to `host:port`; who calls bounds the time.
pub(super) async fn connect(address: &str) -> Result<TcpStream, String> {
    TcpStream::connect(address)
        .await
        .map_err(|error| format!("connecting to {address}: {error}"))
}
