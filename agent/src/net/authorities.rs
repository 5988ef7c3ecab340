//! Whom the system trusts to vouch for servers.

use reqwest::{Certificate, Client, ClientBuilder};

/// A client, and what it knows of certificate authorities.
#[derive(Debug)]
pub(crate) enum Made {
    /// It knows those of the system, and one's own.
    Whole(Client),
    /// The system has none that can be read: it speaks to whom needs none but one's own, and to others it says what is wrong.
    WithoutSystems(Client),
}

/// Makes a client that knows one's own authorities beside the system's. A system that lost its own must not keep an agent from
/// its work on the device.
pub(crate) fn client(
    builder: impl Fn() -> ClientBuilder,
    own: &[Certificate],
) -> reqwest::Result<Made> {
    let own = || own.iter().cloned();
    let error = match builder().tls_certs_merge(own()).build() {
        Ok(client) => return Ok(Made::Whole(client)),
        Err(error) => error,
    };
    match builder().tls_certs_only(own()).build() {
        Ok(client) => Ok(Made::WithoutSystems(client)),
        // What is wrong isn't the authorities.
        Err(_) => Err(error),
    }
}
