//! Whom the device trusts at the other end of a connection, and what it shows there.

use std::path::PathBuf;

use serde::Deserialize;

/// Certificates, all in PEM.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Authorities to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// The device's certificate and those between it and its root; the common name is the device's id.
    pub certificate: Option<PathBuf>,
    /// The certificate's private key.
    pub key: Option<PathBuf>,
}

impl TlsConfig {
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let Self {
            ca,
            certificate,
            key,
        } = self;
        ca.iter_mut().chain(certificate).chain(key)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err("`tls.certificate` and `tls.key` go together".to_owned());
        }
        Ok(())
    }
}
