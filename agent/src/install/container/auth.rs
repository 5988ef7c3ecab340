//! Credentials of registries, in the file that `docker login` writes.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::Deserialize;
use serde_json::json;

use crate::disk::{self, Disk};

const LARGEST: u64 = 256 << 10;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: Option<String>,
}

/// Returns the header's value for a registry, `None` where the file knows no login for it. Errors tell no secret.
pub(super) fn header(
    disk: &dyn Disk,
    file: &Path,
    registry: &str,
) -> Result<Option<String>, String> {
    let bytes = disk::read(disk, file, LARGEST).map_err(|error| error.to_string())?;
    let bytes = bytes.ok_or("there is no such file")?;
    value(&bytes, registry)
}

fn value(bytes: &[u8], registry: &str) -> Result<Option<String>, String> {
    // What serde says may quote the secret.
    let file: File = serde_json::from_slice(bytes)
        .map_err(|error| format!("it is no file of `docker login` (line {})", error.line()))?;
    let Some((address, login)) = file
        .auths
        .iter()
        .find(|(key, _)| host(key) == host(registry))
    else {
        return Ok(None);
    };
    let header = match &login.identitytoken {
        Some(token) => json!({"identitytoken": token, "serveraddress": address}),
        None => {
            let broken = || {
                format!(
                    "its login for {registry} is in a credential store or broken; put `auth` there itself"
                )
            };
            let plain = STANDARD.decode(&login.auth).map_err(|_| broken())?;
            let plain = String::from_utf8(plain).map_err(|_| broken())?;
            let (user, password) = plain.split_once(':').ok_or_else(broken)?;
            json!({"username": user, "password": password, "serveraddress": address})
        }
    };
    Ok(Some(URL_SAFE.encode(header.to_string())))
}

/// Returns the host of a registry's address: Docker's own stands in files by its oldest one.
fn host(address: &str) -> &str {
    let bare = address.split_once("://").map_or(address, |(_, rest)| rest);
    match bare.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(file: &str, registry: &str) -> Option<serde_json::Value> {
        let header = value(file.as_bytes(), registry).unwrap()?;
        Some(serde_json::from_slice(&URL_SAFE.decode(header).unwrap()).unwrap())
    }

    #[test]
    fn the_login_of_the_registry_is_taken() {
        let login = STANDARD.encode("otter:fi:sh");
        let file = json!({"auths": {
            "https://index.docker.io/v1/": {"auth": login}, "127.0.0.1:5000": {"identitytoken": "t"},
        }});
        let file = file.to_string();
        let docker = decoded(&file, "docker.io").unwrap();
        assert_eq!(
            (&docker["username"], &docker["password"]),
            (&json!("otter"), &json!("fi:sh"))
        );
        assert_eq!(
            decoded(&file, "127.0.0.1:5000").unwrap()["identitytoken"],
            "t"
        );
        assert_eq!(decoded(&file, "127.0.0.1"), None);
        assert_eq!(decoded("{}", "docker.io"), None);
    }

    #[test]
    fn what_is_broken_tells_no_secret() {
        for file in [
            "{\"auths\": {\"a.b\": {\"auth\": \"c2VjcmV0\"}}}",
            "{\"auths\": \"c2VjcmV0\"}",
            "{\"auths\": {\"a.b\": {}}}",
        ] {
            let error = value(file.as_bytes(), "a.b").unwrap_err();
            assert!(
                !error.contains("c2V") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
