//! The setup as a person reads it, without its secrets.

use url::Url;

use super::Config;

/// Describes a setup, a line each.
pub fn describe(config: &Config) -> String {
    let fleet = &config.fleet;
    let yes_or_no = |is: bool| if is { "given" } else { "none" };
    let public_url = config.public_url(config.listen);
    let lines = [
        ("listen", config.listen.to_string()),
        ("public_url", public_url.to_string()),
        (
            "tls",
            config.tls.as_ref().map_or_else(
                || "none".to_owned(),
                |files| files.certificate.display().to_string(),
            ),
        ),
        (
            "tls_client_ca",
            config
                .tls
                .as_ref()
                .and_then(|files| files.client_ca.as_ref())
                .map_or_else(|| "none".to_owned(), |path| path.display().to_string()),
        ),
        ("database_url", without_password(&fleet.database_url)),
        ("data_dir", config.data_dir.display().to_string()),
        ("artifacts", fleet.artifacts.to_string()),
        ("artifacts_redirect", fleet.artifacts_redirect.to_string()),
        (
            "artifacts_grace_hours",
            fleet.artifacts_grace_hours.to_string(),
        ),
        ("api_key", yes_or_no(config.api_key.is_some()).to_owned()),
        ("trusted_proxies", config.trusted_proxies.to_string()),
        (
            "device_header",
            config
                .device_header
                .as_ref()
                .map_or_else(|| "none".to_owned(), ToString::to_string),
        ),
        (
            "check_in_interval_sec",
            fleet.check_in_interval_sec.to_string(),
        ),
        (
            "busy_check_in_interval_sec",
            fleet.busy_check_in_interval_sec.to_string(),
        ),
        (
            "device_requests_per_min",
            config.limits.device_requests_per_min.to_string(),
        ),
        (
            "enrollments_per_min",
            config.limits.enrollments_per_min.to_string(),
        ),
        (
            "unknown_tokens_per_min",
            config.limits.unknown_tokens_per_min.to_string(),
        ),
        ("max_artifact_bytes", fleet.max_artifact_bytes.to_string()),
        (
            "webhooks_allow_private",
            fleet.webhooks_allow_private.to_string(),
        ),
        (
            "audit_keep_days",
            fleet
                .audit_keep_days
                .map_or_else(|| "all".to_owned(), |days| days.to_string()),
        ),
        ("audit_heads", config.audit_heads.to_string()),
        ("firmware_api_auth", config.firmware_api.auth.to_string()),
        (
            "firmware_api_open_reads",
            config.firmware_api.open_reads.to_string(),
        ),
        ("log", config.log.clone().unwrap_or_else(|| "info".into())),
    ];
    let lines = lines.map(|(key, value)| format!("{key:<27} {value}\n"));
    lines.concat()
}

/// Hides the password in a database's address, wherever it stands.
fn without_password(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else {
        return address
            .split(':')
            .next()
            .map_or_else(String::new, |scheme| format!("{scheme}:…"));
    };
    if url.password().is_some() {
        let _ = url.set_password(Some("…"));
    }
    if url.query().is_some() {
        url.set_query(Some("…"));
    }
    url.to_string().replace("%E2%80%A6", "…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, Settings};

    #[test]
    fn secrets_are_not_shown() {
        let settings = Settings {
            database_url: Some(Secret::new(
                "postgres://otter:hidden@db/otter?password=hidden",
            )),
            api_key: Some(Secret::new("hidden")),
            ..Settings::default()
        };
        let text = describe(&Config::new(settings).unwrap());
        assert!(!text.contains("hidden"), "{text}");
        assert!(text.contains("postgres://otter:…@db/otter"), "{text}");
    }
}
