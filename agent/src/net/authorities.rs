//! Whom the system trusts to vouch for servers.

use reqwest::{Certificate, Client, ClientBuilder};

/// A client, and what it knows of certificate authorities.
#[derive(Debug)]
pub(crate) enum Made {
    /// It knows those of the system.
    Whole(Client),
    /// The system has none that can be read: it speaks to whom needs none, and to others it says what is wrong.
    WithoutAuthorities(Client),
}

/// Makes a client. A system that lost its certificate authorities must not keep an agent from its work on the device.
pub(crate) fn client(builder: impl Fn() -> ClientBuilder) -> reqwest::Result<Made> {
    let error = match builder().build() {
        Ok(client) => return Ok(Made::Whole(client)),
        Err(error) => error,
    };
    let none: [Certificate; 0] = [];
    match builder().tls_certs_only(none).build() {
        Ok(client) => Ok(Made::WithoutAuthorities(client)),
        // What is wrong isn't the authorities.
        Err(_) => Err(error),
    }
}
