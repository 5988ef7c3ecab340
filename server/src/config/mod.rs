//! How the server is set up: by flags, else the environment, else `otter.toml`, else as usual.

mod artifacts;
mod check;
mod firmware;
mod settings;
mod transport;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use axum::http::HeaderName;
use otter_fleet::FleetConfig;
use url::Url;

use crate::audit_heads::Destinations;
use crate::limits::LimitsConfig;
use crate::proxies::TrustedProxies;
use crate::tls::TlsFiles;

pub use check::describe;
pub use firmware::{FirmwareApi, FirmwareAuth};
pub use settings::{Secret, Settings};

/// Where the server listens unless it is told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// What can be wrong with how the server is set up.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file doesn't say what it should.
    #[error("{path}, line {line}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// A value that can't be.
    #[error("{key}: {why}")]
    Value {
        /// The environment's name for it.
        key: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
}

/// How the server is set up, complete and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where people and devices reach it; by default where it listens.
    pub public_url: Option<Url>,
    /// The files of its own TLS; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// The header in which a trusted proxy names the device whose certificate it verified.
    pub device_header: Option<HeaderName>,
    /// Where its own files lie.
    pub data_dir: PathBuf,
    /// An admin's key that is to exist.
    pub api_key: Option<Secret>,
    /// Reverse proxies that are believed.
    pub trusted_proxies: TrustedProxies,
    /// Where signed heads of the audit log go.
    pub audit_heads: Destinations,
    /// How often who may ask.
    pub limits: LimitsConfig,
    /// Whom the plain firmware API believes.
    pub firmware_api: FirmwareApi,
    /// What is logged, as `tracing` filters are written.
    pub log: Option<String>,
    /// What the fleet needs.
    pub fleet: FleetConfig,
}

impl Config {
    /// Completes and checks settings.
    pub fn new(settings: Settings) -> Result<Self, ConfigError> {
        let listen = settings.listen.unwrap_or(LISTEN);
        let tls = transport::tls_files(&settings)?;
        transport::check_plain_http(listen, tls.as_ref(), settings.allow_http == Some(true))?;
        let data_dir = settings.data_dir.unwrap_or_else(|| "data".into());
        let database_url = match settings.database_url {
            Some(url) => checked_database(url.expose().to_owned())?,
            None => format!("sqlite://{}", data_dir.join("otter.db").display()),
        };
        let mut fleet = FleetConfig::new(database_url, data_dir.join("artifacts"));
        artifacts::set(
            &mut fleet,
            settings.artifacts.as_deref(),
            settings.artifacts_redirect.as_deref(),
        )?;
        set(
            &mut fleet.artifacts_grace_hours,
            settings.artifacts_grace_hours,
        );
        set(&mut fleet.max_artifact_bytes, settings.max_artifact_bytes);
        set(
            &mut fleet.check_in_interval_sec,
            settings.check_in_interval_sec,
        );
        set(
            &mut fleet.busy_check_in_interval_sec,
            settings.busy_check_in_interval_sec,
        );
        set(
            &mut fleet.webhooks_allow_private,
            settings.webhooks_allow_private,
        );
        fleet.audit_keep_days = settings.audit_keep_days;
        check_intervals(&fleet)?;
        let mut limits = LimitsConfig::default();
        set(
            &mut limits.device_requests_per_min,
            settings.device_requests_per_min,
        );
        set(
            &mut limits.enrollments_per_min,
            settings.enrollments_per_min,
        );
        set(
            &mut limits.unknown_tokens_per_min,
            settings.unknown_tokens_per_min,
        );
        let trusted_proxies = trusted_proxies(settings.trusted_proxies)?;
        Ok(Self {
            listen,
            tls,
            device_header: transport::device_header(settings.device_header, &trusted_proxies)?,
            public_url: settings.public_url.map(checked_public_url).transpose()?,
            data_dir,
            api_key: settings.api_key.filter(|key| !key.expose().is_empty()),
            trusted_proxies,
            audit_heads: Destinations {
                file: settings.audit_heads_file,
                syslog: settings.audit_heads_syslog,
            },
            limits,
            firmware_api: FirmwareApi {
                auth: settings.firmware_api_auth.unwrap_or_default(),
                open_reads: settings.firmware_api_open_reads == Some(true),
            },
            log: settings.log,
            fleet,
        })
    }

    /// Returns where the server is reached, given where it really listens.
    pub fn public_url(&self, listening: SocketAddr) -> Url {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let host = if listening.ip().is_unspecified() {
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listening.port())
        } else {
            listening
        };
        let mut url = FALLBACK_URL.clone();
        if self.tls.is_some() {
            let _ = url.set_scheme("https");
        }
        // Both can only fail for addresses without a host, which this one has.
        let _ = url.set_ip_host(host.ip());
        let _ = url.set_port(Some(host.port()));
        url
    }
}

static FALLBACK_URL: std::sync::LazyLock<Url> = std::sync::LazyLock::new(|| {
    #[allow(clippy::expect_used, reason = "a constant that a test reads")]
    Url::parse("http://127.0.0.1/").expect("a constant address")
});

fn set<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}

fn checked_database(url: String) -> Result<String, ConfigError> {
    let is_known = ["sqlite:", "postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    if is_known {
        return Ok(url);
    }
    let why = "the database's address must begin with sqlite:// or postgres://".to_owned();
    Err(ConfigError::Value {
        key: "DATABASE_URL",
        why,
    })
}

fn trusted_proxies(networks: Option<Vec<String>>) -> Result<TrustedProxies, ConfigError> {
    let proxies = TrustedProxies::parse(&networks.unwrap_or_default());
    proxies.map_err(|why| ConfigError::Value {
        key: "OTTER_TRUSTED_PROXIES",
        why,
    })
}

fn checked_public_url(url: Url) -> Result<Url, ConfigError> {
    let wrong = |why: String| ConfigError::Value {
        key: "OTTER_PUBLIC_URL",
        why,
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong(format!(
            "it must begin with https:// or http:// and name a host, unlike {url}"
        )));
    }
    if url.path() != "/" || url.query().is_some() {
        return Err(wrong(format!(
            "the server must be at the root of its host, not at {}",
            url.path()
        )));
    }
    Ok(url)
}

fn check_intervals(fleet: &FleetConfig) -> Result<(), ConfigError> {
    let intervals = [
        ("OTTER_CHECK_IN_INTERVAL_SEC", fleet.check_in_interval_sec),
        (
            "OTTER_BUSY_CHECK_IN_INTERVAL_SEC",
            fleet.busy_check_in_interval_sec,
        ),
    ];
    for (key, seconds) in intervals {
        if !(1..=86_400).contains(&seconds) {
            let why = format!("give from 1 to 86400 seconds, not {seconds}");
            return Err(ConfigError::Value { key, why });
        }
    }
    if fleet.audit_keep_days.is_some_and(|days| days < 30) {
        return Err(ConfigError::Value {
            key: "OTTER_AUDIT_KEEP_DAYS",
            why: "keep events for 30 days at least".to_owned(),
        });
    }
    if fleet.artifacts_grace_hours == 0 {
        return Err(ConfigError::Value {
            key: "OTTER_ARTIFACTS_GRACE_HOURS",
            why: "with 0 an artifact could go before its release is made".to_owned(),
        });
    }
    if fleet.max_artifact_bytes == 0 {
        let why = "with 0 nothing could ever be uploaded".to_owned();
        return Err(ConfigError::Value {
            key: "OTTER_MAX_ARTIFACT_BYTES",
            why,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use otter_fleet::ArtifactPlace;

    use super::*;

    fn wrong(settings: Settings) -> String {
        Config::new(settings).unwrap_err().to_string()
    }

    #[test]
    fn everything_lies_in_the_data_folder_unless_told_otherwise() {
        let settings = Settings {
            data_dir: Some("/var/lib/otter".into()),
            ..Settings::default()
        };
        let config = Config::new(settings).unwrap();
        assert_eq!(
            config.fleet.database_url,
            "sqlite:///var/lib/otter/otter.db"
        );
        assert_eq!(
            config.fleet.artifacts,
            ArtifactPlace::Folder("/var/lib/otter/artifacts".into())
        );
        assert_eq!(config.listen, LISTEN);
    }

    #[test]
    fn what_can_not_be_names_its_key() {
        let url = |text: &str| Some(Url::parse(text).unwrap());
        let cases = [
            (
                Settings {
                    artifacts: Some("gs://bucket/otter".to_owned()),
                    ..Settings::default()
                },
                "OTTER_ARTIFACTS",
            ),
            (
                Settings {
                    artifacts_redirect: Some("signed".to_owned()),
                    ..Settings::default()
                },
                "OTTER_ARTIFACTS_REDIRECT",
            ),
            (
                Settings {
                    artifacts_grace_hours: Some(0),
                    ..Settings::default()
                },
                "OTTER_ARTIFACTS_GRACE_HOURS",
            ),
            (
                Settings {
                    database_url: Some(Secret::new("mysql://x")),
                    ..Settings::default()
                },
                "DATABASE_URL",
            ),
            (
                Settings {
                    public_url: url("ftp://x"),
                    ..Settings::default()
                },
                "OTTER_PUBLIC_URL",
            ),
            (
                Settings {
                    public_url: url("https://x/otter"),
                    ..Settings::default()
                },
                "OTTER_PUBLIC_URL",
            ),
            (
                Settings {
                    check_in_interval_sec: Some(0),
                    ..Settings::default()
                },
                "OTTER_CHECK_IN_INTERVAL_SEC",
            ),
            (
                Settings {
                    trusted_proxies: Some(vec!["proxy.example".to_owned()]),
                    ..Settings::default()
                },
                "OTTER_TRUSTED_PROXIES",
            ),
            (
                Settings {
                    max_artifact_bytes: Some(0),
                    ..Settings::default()
                },
                "OTTER_MAX_ARTIFACT_BYTES",
            ),
        ];
        for (settings, key) in cases {
            let error = wrong(settings);
            assert!(error.starts_with(&format!("{key}: ")), "{error}");
        }
    }

    #[test]
    fn without_a_public_address_it_is_where_the_server_listens() {
        let config = Config::new(Settings::default()).unwrap();
        let at = |text: &str| config.public_url(text.parse().unwrap()).to_string();
        assert_eq!(at("127.0.0.1:4000"), "http://127.0.0.1:4000/");
        assert_eq!(at("0.0.0.0:8080"), "http://127.0.0.1:8080/");
        assert_eq!(at("[::1]:8080"), "http://[::1]:8080/");
    }
}
