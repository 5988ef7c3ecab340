//! An MQTT broker that must let a client in, over plain TCP.

mod packet;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::tcp;
use crate::config::MqttLogin;

/// Longest password that MQTT can say, in bytes.
const LONGEST_PASSWORD: u64 = 65_535;

/// Logs in once and leaves.
pub(super) async fn probe(login: &MqttLogin) -> Result<(), String> {
    let said = |what: String| format!("MQTT broker at {}: {what}", login.address);
    let password = login.password_file.as_deref().map(password).transpose()?;
    let connect = packet::connect(packet::Login {
        client_id: &login.client_id,
        user: login.user.as_deref(),
        password: password.as_deref(),
    })
    .ok_or_else(|| said("`client_id`, `user` or the password is too long for MQTT".to_owned()))?;
    let mut connection = tcp::connect(&login.address).await?;
    let written = connection.write_all(&connect).await;
    written.map_err(|error| said(format!("expected to log in, but: {error}")))?;
    let mut answer = Vec::new();
    let read = (&mut connection)
        .take(packet::CONNACK_LEN as u64)
        .read_to_end(&mut answer)
        .await;
    read.map_err(|error| said(format!("expected CONNACK, but: {error}")))?;
    packet::connack(&answer).map_err(said)?;
    // It let the client in, and that is all that was asked: whether it hears the goodbye is its own affair.
    connection.write_all(&packet::DISCONNECT).await.ok();
    connection.shutdown().await.ok();
    Ok(())
}

/// Reads a password; the line's end is not part of it.
fn password(file: &Path) -> Result<Vec<u8>, String> {
    let said = |what: String| format!("`password_file` {} {what}", file.display());
    let mut password = Vec::new();
    File::open(file)
        .and_then(|file| file.take(LONGEST_PASSWORD + 1).read_to_end(&mut password))
        .map_err(|error| said(format!("can't be read: {error}")))?;
    if password.len() as u64 > LONGEST_PASSWORD {
        return Err(said(format!("has more than {LONGEST_PASSWORD} bytes")));
    }
    while matches!(password.last(), Some(b'\n' | b'\r')) {
        password.pop();
    }
    Ok(password)
}

#[cfg(test)]
mod tests;
