//! TLS without a proxy: the server's certificate, whom it asks for one, and both read anew when their files change.

mod name;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use otter_protocol::Sha256Digest;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub(crate) use name::device_of;

/// How often the files are looked at. Certificates change every few weeks; who changes one by hand watches the log.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The files that TLS is made of, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and after it those between it and its root.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The authorities whose certificates devices may show in place of a token.
    pub client_ca: Option<PathBuf>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file doesn't hold what it should.
    #[error("{path} holds no {what} in PEM: {error}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why it can't be read.
        error: pem::Error,
    },
    /// Certificate and key can't be used.
    #[error("the certificate {path} can't be used with its key: {error}")]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        error: rustls::Error,
    },
    /// The authorities can't be used.
    #[error("the client authorities in {path} can't be used: {error}")]
    Authorities {
        /// Their file.
        path: PathBuf,
        /// Why.
        error: VerifierBuilderError,
    },
}

/// TLS as it is now; connections that stand keep what they began with.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
    /// The hash of what was read last, good or not, so that a bad file is complained of once.
    seen: Mutex<Sha256Digest>,
}

/// What the files held at one moment.
struct Contents {
    certificate: Vec<u8>,
    key: zeroize::Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files, which must be right at the start.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        Ok(Self {
            current: ArcSwap::from_pointee(contents.to_config(&files)?),
            seen: Mutex::new(contents.digest()),
            files,
        })
    }

    /// Returns what takes in a connection now.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Tells whether devices may show certificates.
    pub fn asks_for_certificates(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// Reads the files anew, and tells whether new ones count from now on. Where they are wrong, the old ones stay.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.files)?;
        let digest = contents.digest();
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == digest {
                return Ok(false);
            }
            *seen = digest;
        }
        self.current
            .store(Arc::new(contents.to_config(&self.files)?));
        Ok(true)
    }

    /// Looks at the files every now and then until told to stop.
    pub async fn follow(&self, every: Duration, stop: CancellationToken) {
        let mut is_missing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            match self.reload() {
                Ok(true) => tracing::info!("new connections get the new TLS certificate"),
                Ok(false) => is_missing = false,
                // Said once: between two renames a file may be missing for a moment, or for long.
                Err(TlsError::Read { .. }) if is_missing => {}
                Err(error) => {
                    is_missing = matches!(error, TlsError::Read { .. });
                    tracing::error!("{error}; the TLS certificate from before stays in use");
                }
            }
        }
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let client_ca = files.client_ca.as_deref();
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?.into(),
            client_ca: client_ca.map(read).transpose()?,
        })
    }

    fn digest(&self) -> Sha256Digest {
        let parts = [
            Some(&self.certificate),
            Some(&self.key),
            self.client_ca.as_ref(),
        ];
        let digests = parts.map(|part| part.map(|part| Sha256Digest::of(part).to_string()));
        let text: Vec<String> = digests.into_iter().flatten().collect();
        Sha256Digest::of(text.concat().as_bytes())
    }

    fn to_config(&self, files: &TlsFiles) -> Result<ServerConfig, TlsError> {
        let chain = certificates(&self.certificate, &files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError::Pem {
            path: files.key.clone(),
            what: "private key",
            error,
        })?;
        let unusable = |error| TlsError::Certificate {
            path: files.certificate.clone(),
            error,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match (&self.client_ca, &files.client_ca) {
            (Some(pem), Some(path)) => {
                let roots = Arc::new(authorities(pem, path)?);
                // People's browsers have no certificate, and come to the same door.
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .allow_unauthenticated()
                    .build();
                builder.with_client_cert_verifier(verifier.map_err(|error| {
                    TlsError::Authorities {
                        path: path.clone(),
                        error,
                    }
                })?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read {
        path: path.to_owned(),
        error,
    })
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |error| TlsError::Pem {
        path: path.to_owned(),
        what: "certificate",
        error,
    };
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrong)?;
    if certificates.is_empty() {
        return Err(wrong(pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn authorities(pem: &[u8], path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Certificate {
                path: path.to_owned(),
                error,
            })?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pair(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let paths = (
            folder.join(format!("{name}.crt")),
            folder.join(format!("{name}.key")),
        );
        fs::write(&paths.0, certificate.pem()).unwrap();
        fs::write(&paths.1, key.serialize_pem()).unwrap();
        paths
    }

    #[test]
    fn what_is_wrong_at_the_start_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (one, its_key) = pair(folder.path(), "one");
        let (_, other_key) = pair(folder.path(), "other");
        let missing = folder.path().join("missing");
        let junk = folder.path().join("junk");
        fs::write(&junk, "no pem").unwrap();
        let cases = [
            (&missing, &its_key, None, "missing"),
            (&junk, &its_key, None, "junk holds no certificate"),
            (&one, &junk, None, "junk holds no private key"),
            (&one, &other_key, None, "one.crt can't be used with its key"),
            (&one, &its_key, Some(&junk), "junk holds no certificate"),
        ];
        for (certificate, key, client_ca, expected) in cases {
            let error = Tls::load(TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: client_ca.cloned(),
            })
            .unwrap_err()
            .to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("PRIVATE"), "{error}");
        }
    }

    #[test]
    fn a_half_written_change_leaves_what_was_and_a_whole_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = pair(folder.path(), "used");
        let (new, new_key) = pair(folder.path(), "new");
        let tls = Tls::load(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: None,
        })
        .unwrap();
        assert!(!tls.reload().unwrap(), "nothing changed");
        let before = tls.current.load_full();
        fs::copy(&new, &certificate).unwrap();
        assert!(tls.reload().is_err(), "the key is another's");
        assert!(!tls.reload().unwrap(), "complained of once");
        assert!(Arc::ptr_eq(&before, &tls.current.load_full()));
        fs::copy(&new_key, &key).unwrap();
        assert!(tls.reload().unwrap());
        assert!(!Arc::ptr_eq(&before, &tls.current.load_full()));
    }
}
