//! How clients reach the server: with TLS of its own, or without, where that is asked for.

use std::net::SocketAddr;

use axum::http::HeaderName;

use super::{ConfigError, Settings};
use crate::proxies::TrustedProxies;
use crate::tls::TlsFiles;

/// Puts TLS's files together; none where the server is to speak plain HTTP.
pub(super) fn tls_files(settings: &Settings) -> Result<Option<TlsFiles>, ConfigError> {
    let wrong = |key, why: &str| {
        Err(ConfigError::Value {
            key,
            why: why.to_owned(),
        })
    };
    match (&settings.tls_cert, &settings.tls_key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: settings.tls_client_ca.clone(),
        })),
        (Some(_), None) => wrong("OTTER_TLS_KEY", "OTTER_TLS_CERT needs its private key"),
        (None, Some(_)) => wrong("OTTER_TLS_CERT", "OTTER_TLS_KEY needs its certificate"),
        (None, None) if settings.tls_client_ca.is_some() => wrong(
            "OTTER_TLS_CLIENT_CA",
            "devices show certificates only where the server has one: set OTTER_TLS_CERT and OTTER_TLS_KEY",
        ),
        (None, None) => Ok(None),
    }
}

/// Refuses plain HTTP where others than this machine could listen on the way, unless that is asked for.
pub(super) fn check_plain_http(
    listen: SocketAddr,
    tls: Option<&TlsFiles>,
    is_allowed: bool,
) -> Result<(), ConfigError> {
    if tls.is_some() || is_allowed || listen.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let why = format!(
        "on {listen} devices' tokens and people's passwords would travel unencrypted. Set OTTER_TLS_CERT and OTTER_TLS_KEY, \
         or OTTER_ALLOW_HTTP=true where a reverse proxy does TLS"
    );
    Err(ConfigError::Value {
        key: "OTTER_LISTEN",
        why,
    })
}

/// Reads the name of the header in which a trusted proxy names the device whose certificate it verified.
pub(super) fn device_header(
    name: Option<String>,
    proxies: &TrustedProxies,
) -> Result<Option<HeaderName>, ConfigError> {
    let wrong = |why: String| ConfigError::Value {
        key: "OTTER_DEVICE_HEADER",
        why,
    };
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    if *proxies == TrustedProxies::default() {
        return Err(wrong(
            "nobody may send this header: set OTTER_TRUSTED_PROXIES to the proxy's address"
                .to_owned(),
        ));
    }
    let header = HeaderName::try_from(&name)
        .map_err(|_| wrong(format!("`{name}` is no header's name, unlike X-Device-Id")))?;
    // Whatever every request has can't be what only the proxy says.
    let is_common = matches!(
        header.as_str(),
        "authorization" | "cookie" | "content-type" | "host" | "x-forwarded-for" | "forwarded"
    );
    if is_common {
        return Err(wrong(format!(
            "`{name}` has a meaning already; take a header of its own, such as X-Device-Id"
        )));
    }
    Ok(Some(header))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn refused(settings: Settings, key: &str) {
        let error = Config::new(settings).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{key}: ")), "{error}");
    }

    fn listening(address: &str) -> Settings {
        Settings {
            listen: Some(address.parse().unwrap()),
            ..Settings::default()
        }
    }

    #[test]
    fn plain_http_beyond_this_machine_has_to_be_asked_for() {
        for address in [
            "0.0.0.0:80",
            "[::]:80",
            "192.0.2.1:80",
            "[::ffff:10.0.0.1]:80",
        ] {
            refused(listening(address), "OTTER_LISTEN");
            let asked = Settings {
                allow_http: Some(true),
                ..listening(address)
            };
            Config::new(asked).unwrap();
            let with_tls = Settings {
                tls_cert: Some("cert.pem".into()),
                tls_key: Some("key.pem".into()),
                ..listening(address)
            };
            Config::new(with_tls).unwrap();
        }
        for address in [
            "127.0.0.1:80",
            "127.8.8.8:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
        ] {
            Config::new(listening(address)).unwrap();
        }
    }

    #[test]
    fn what_belongs_together_comes_together() {
        let file = || Some("a.pem".into());
        let cases = [
            (
                Settings {
                    tls_cert: file(),
                    ..Settings::default()
                },
                "OTTER_TLS_KEY",
            ),
            (
                Settings {
                    tls_key: file(),
                    ..Settings::default()
                },
                "OTTER_TLS_CERT",
            ),
            (
                Settings {
                    tls_client_ca: file(),
                    ..Settings::default()
                },
                "OTTER_TLS_CLIENT_CA",
            ),
            (
                Settings {
                    device_header: Some("X-Device-Id".to_owned()),
                    ..Settings::default()
                },
                "OTTER_DEVICE_HEADER",
            ),
            (
                Settings {
                    device_header: Some("Authorization".to_owned()),
                    trusted_proxies: Some(vec!["10.0.0.1".to_owned()]),
                    ..Settings::default()
                },
                "OTTER_DEVICE_HEADER",
            ),
        ];
        for (settings, key) in cases {
            refused(settings, key);
        }
    }
}
