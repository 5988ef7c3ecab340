//! Every key, as a flag, in the environment and in `otter.toml`.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::{ConfigError, FirmwareAuth};

/// The file that is read where none is named and it is there.
const USUAL_FILE: &str = "otter.toml";

/// Something that no log and no error shows.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Every key; what isn't given stays as usual.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Settings (also in otter.toml, without the prefix)")]
pub struct Settings {
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, env = "OTTER_LISTEN", global = true, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where people and devices reach the server [default: where it listens]
    #[arg(long, env = "OTTER_PUBLIC_URL", global = true, value_name = "URL")]
    pub public_url: Option<Url>,
    /// The server's certificate and those between it and its root, PEM; read anew when it changes
    #[arg(long, env = "OTTER_TLS_CERT", global = true, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, env = "OTTER_TLS_KEY", global = true, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Authorities whose certificates devices may show in place of a token, PEM; the common name is the device's id
    #[arg(long, env = "OTTER_TLS_CLIENT_CA", global = true, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// Allows plain HTTP on an address that others reach, where a reverse proxy does TLS [default: false]
    #[arg(
        long,
        env = "OTTER_ALLOW_HTTP",
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub allow_http: Option<bool>,
    /// The database, sqlite://… or postgres://… [default: otter.db in the data folder]
    #[arg(long, env = "DATABASE_URL", global = true, value_name = "URL", hide_env_values = true, value_parser = secret)]
    pub database_url: Option<Secret>,
    /// The server's own folder [default: ./data]
    #[arg(long, env = "OTTER_DATA_DIR", global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Where artifacts lie: a folder, or s3://BUCKET/PREFIX with the store's address and credentials in AWS_ENDPOINT_URL,
    /// AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the like [default: artifacts in the data folder]
    #[arg(long, env = "OTTER_ARTIFACTS", global = true, value_name = "PLACE")]
    pub artifacts: Option<String>,
    /// Where devices are sent for artifacts: off (they get them here), signed (to the bucket, by an address signed for them), or
    /// an address under which all of them are, such as a content delivery network's [default: off]
    #[arg(
        long,
        env = "OTTER_ARTIFACTS_REDIRECT",
        global = true,
        value_name = "WHERE"
    )]
    pub artifacts_redirect: Option<String>,
    /// Hours after which an artifact goes that is part of no release [default: 24]
    #[arg(
        long,
        env = "OTTER_ARTIFACTS_GRACE_HOURS",
        global = true,
        value_name = "HOURS"
    )]
    pub artifacts_grace_hours: Option<u32>,
    /// A key that is to be an admin's
    #[arg(long, env = "OTA_API_KEY", global = true, value_name = "SECRET", hide_env_values = true, value_parser = secret)]
    pub api_key: Option<Secret>,
    /// Reverse proxies that say the truth of who asks, addresses or networks such as 10.0.0.0/8 [default: none]
    #[arg(
        long,
        env = "OTTER_TRUSTED_PROXIES",
        global = true,
        value_name = "NETWORKS",
        value_delimiter = ','
    )]
    pub trusted_proxies: Option<Vec<String>>,
    /// The header in which a trusted proxy names the device whose certificate it verified, such as X-Device-Id [default: none]
    #[arg(
        long,
        env = "OTTER_DEVICE_HEADER",
        global = true,
        value_name = "HEADER"
    )]
    pub device_header: Option<String>,
    /// Seconds between two check-ins of an idle device [default: 60]
    #[arg(
        long,
        env = "OTTER_CHECK_IN_INTERVAL_SEC",
        global = true,
        value_name = "SECONDS"
    )]
    pub check_in_interval_sec: Option<u32>,
    /// Seconds between two check-ins of a device that updates [default: 10]
    #[arg(
        long,
        env = "OTTER_BUSY_CHECK_IN_INTERVAL_SEC",
        global = true,
        value_name = "SECONDS"
    )]
    pub busy_check_in_interval_sec: Option<u32>,
    /// Requests of one device in a minute, 0 for any number [default: 600]
    #[arg(
        long,
        env = "OTTER_DEVICE_REQUESTS_PER_MIN",
        global = true,
        value_name = "NUMBER"
    )]
    pub device_requests_per_min: Option<u32>,
    /// Asks to enroll from one address in a minute, 0 for any number [default: 6000]
    #[arg(
        long,
        env = "OTTER_ENROLLMENTS_PER_MIN",
        global = true,
        value_name = "NUMBER"
    )]
    pub enrollments_per_min: Option<u32>,
    /// Tokens that are nobody's from one address in a minute, before all that are new from there are looked up slowly; 0 for any number [default: 600]
    #[arg(
        long,
        env = "OTTER_UNKNOWN_TOKENS_PER_MIN",
        global = true,
        value_name = "NUMBER"
    )]
    pub unknown_tokens_per_min: Option<u32>,
    /// Most bytes of one artifact [default: 8 GiB]
    #[arg(
        long,
        env = "OTTER_MAX_ARTIFACT_BYTES",
        global = true,
        value_name = "BYTES"
    )]
    pub max_artifact_bytes: Option<u64>,
    /// Lets webhooks go to addresses that aren't public [default: false]
    #[arg(
        long,
        env = "OTTER_WEBHOOKS_ALLOW_PRIVATE",
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub webhooks_allow_private: Option<bool>,
    /// Days that events of the audit log are kept, 30 at least [default: all are kept]
    #[arg(
        long,
        env = "OTTER_AUDIT_KEEP_DAYS",
        global = true,
        value_name = "DAYS"
    )]
    pub audit_keep_days: Option<u32>,
    /// A file that every signed head of the audit log is added to, best on another machine's disk [default: none]
    #[arg(
        long,
        env = "OTTER_AUDIT_HEADS_FILE",
        global = true,
        value_name = "FILE"
    )]
    pub audit_heads_file: Option<PathBuf>,
    /// Where signed heads of the audit log go as syslog messages, a socket's path or host:port over UDP [default: none]
    #[arg(
        long,
        env = "OTTER_AUDIT_HEADS_SYSLOG",
        global = true,
        value_name = "ADDRESS"
    )]
    pub audit_heads_syslog: Option<String>,
    /// What devices of the plain firmware API show: open for their name, token for a device token, off for none of them [default: open]
    #[arg(
        long,
        env = "OTTER_FIRMWARE_API_AUTH",
        global = true,
        value_name = "WHAT"
    )]
    pub firmware_api_auth: Option<FirmwareAuth>,
    /// Lets everybody read the plain firmware API's lists and /metrics, without a key [default: false]
    #[arg(
        long,
        env = "OTTER_FIRMWARE_API_OPEN_READS",
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub firmware_api_open_reads: Option<bool>,
    /// What to log, such as info or otter_server=debug [default: info]
    #[arg(long, env = "OTTER_LOG", global = true, value_name = "FILTER")]
    pub log: Option<String>,
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

impl Settings {
    /// Adds what the file says to what flags and environment leave open. A file that is named must be there.
    pub fn with_file(self, named: Option<&Path>) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(Path::new(USUAL_FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(self.or(Self::parse(&text, path)?)),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(self)
            }
            Err(error) => Err(ConfigError::Read {
                path: path.to_owned(),
                error,
            }),
        }
    }

    /// Reads a file's text. The error names the key, not the line's text: that may be a secret.
    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            ConfigError::File {
                path: path.to_owned(),
                line: before.unwrap_or_default().matches('\n').count() + 1,
                why: error.message().to_owned(),
            }
        })
    }

    fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            public_url: self.public_url.or(other.public_url),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            tls_client_ca: self.tls_client_ca.or(other.tls_client_ca),
            allow_http: self.allow_http.or(other.allow_http),
            database_url: self.database_url.or(other.database_url),
            data_dir: self.data_dir.or(other.data_dir),
            artifacts: self.artifacts.or(other.artifacts),
            artifacts_redirect: self.artifacts_redirect.or(other.artifacts_redirect),
            artifacts_grace_hours: self.artifacts_grace_hours.or(other.artifacts_grace_hours),
            api_key: self.api_key.or(other.api_key),
            trusted_proxies: self.trusted_proxies.or(other.trusted_proxies),
            device_header: self.device_header.or(other.device_header),
            check_in_interval_sec: self.check_in_interval_sec.or(other.check_in_interval_sec),
            busy_check_in_interval_sec: self
                .busy_check_in_interval_sec
                .or(other.busy_check_in_interval_sec),
            device_requests_per_min: self
                .device_requests_per_min
                .or(other.device_requests_per_min),
            enrollments_per_min: self.enrollments_per_min.or(other.enrollments_per_min),
            unknown_tokens_per_min: self.unknown_tokens_per_min.or(other.unknown_tokens_per_min),
            max_artifact_bytes: self.max_artifact_bytes.or(other.max_artifact_bytes),
            webhooks_allow_private: self.webhooks_allow_private.or(other.webhooks_allow_private),
            audit_keep_days: self.audit_keep_days.or(other.audit_keep_days),
            audit_heads_file: self.audit_heads_file.or(other.audit_heads_file),
            audit_heads_syslog: self.audit_heads_syslog.or(other.audit_heads_syslog),
            firmware_api_auth: self.firmware_api_auth.or(other.firmware_api_auth),
            firmware_api_open_reads: self
                .firmware_api_open_reads
                .or(other.firmware_api_open_reads),
            log: self.log.or(other.log),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(text, Path::new("otter.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_go_before_the_file() {
        let file = parse("listen = \"0.0.0.0:80\"\nlog = \"debug\"").unwrap();
        let flags = Settings {
            log: Some("warn".to_owned()),
            ..Settings::default()
        };
        let settings = flags.or(file);
        assert_eq!(settings.log.as_deref(), Some("warn"));
        assert_eq!(settings.listen, Some("0.0.0.0:80".parse().unwrap()));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_file_and_line() {
        let error = parse("log = \"info\"\nlisten_adress = \"x\"").unwrap_err();
        assert!(
            error.starts_with("otter.toml, line 2: unknown field `listen_adress`"),
            "{error}"
        );
    }

    #[test]
    fn no_error_and_no_debug_print_shows_a_secret() {
        let error = parse("api_kee = \"otk_hidden\"").unwrap_err();
        assert!(!error.contains("otk_hidden"), "{error}");
        let settings = parse("api_key = \"otk_hidden\"").unwrap();
        assert_eq!(
            settings.api_key.as_ref().map(Secret::expose),
            Some("otk_hidden")
        );
        assert!(!format!("{settings:?}").contains("otk_hidden"));
    }
}
