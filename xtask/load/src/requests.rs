//! The bytes of requests, put together before anything is measured.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

/// Where devices check in.
pub(crate) const CHECK_IN: &str = "/device/v1/check-in";

/// A check-in of each device, as an agent sends it.
pub(crate) fn check_ins(devices: &Path, server: SocketAddr) -> anyhow::Result<Vec<Vec<u8>>> {
    let requests = tokens(devices)?.into_iter().map(|(version, token)| {
        let body = json!({
            "version": version,
            "agent_version": "0.1.0",
            "metadata": {"location": "warehouse", "simulated": "true"},
            "conditions": {"on_mains": true, "free_bytes": 8_589_934_592_u64, "crashes_since_boot": 0},
        })
        .to_string();
        format!(
            "POST {CHECK_IN} HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    });
    Ok(requests.collect())
}

/// A download of an artifact by each device.
pub(crate) fn downloads(
    devices: &Path,
    server: SocketAddr,
    sha256: &str,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let requests = tokens(devices)?.into_iter().map(|(_, token)| {
        format!(
            "GET /device/v1/artifacts/{sha256} HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        .into_bytes()
    });
    Ok(requests.collect())
}

/// The version and the token of each device that has one.
fn tokens(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let path = folder.join("devices.jsonl");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let tokens = tokens_in(&text);
    ensure!(
        !tokens.is_empty(),
        "{} has no device with a token",
        path.display()
    );
    Ok(tokens)
}

/// The last line of a device counts.
fn tokens_in(text: &str) -> Vec<(String, String)> {
    let records = text.lines().filter_map(|line| {
        let record: Value = serde_json::from_str(line).ok()?;
        let field = |name: &str| Some(record.get(name)?.as_str()?.to_owned());
        Some((field("id")?, (field("version")?, field("token")?)))
    });
    records.collect::<BTreeMap<_, _>>().into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_devices_last_token_counts() {
        let text = "{\"id\":\"a\",\"version\":\"1\",\"token\":null}\n\
            {\"id\":\"a\",\"version\":\"1\",\"token\":\"otd_1\"}\n\
            {\"id\":\"b\",\"version\":\"1\",\"token\":null}\n{\"id\":\"a\",\"ver";
        assert_eq!(tokens_in(text), [("1".to_owned(), "otd_1".to_owned())]);
    }
}
