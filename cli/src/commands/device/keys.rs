//! Keys that wait for an operator.

use clap::Args;
use otter_protocol::admin::{KeyDecisions, KeyOf, KeysDecided, MAX_DECIDED, WaitingKey};
use otter_protocol::{DeviceId, Sha256Digest};

use crate::api::Client;
use crate::output::Table;
use crate::text::{ago, now};
use crate::{Failure, Output};

/// Which keys are decided on, and why.
#[derive(Debug, Args)]
pub struct Decide {
    /// Ids of the devices.
    #[arg(required_unless_present = "all")]
    ids: Vec<DeviceId>,
    /// The fingerprint that was compared, where one device is named: no other key is decided on.
    #[arg(long, conflicts_with = "all")]
    fingerprint: Option<Sha256Digest>,
    /// All keys that wait now; look at `otter device waiting` first.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Why, for the audit log.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// Lists the keys.
pub(super) async fn list(output: Output, client: &Client) -> Result<(), Failure> {
    let keys = waiting(client).await?;
    output.value(&keys, |output| {
        let mut table = Table::new(["id", "model", "version", "fingerprint", "since", "replaces"]);
        for key in &keys {
            table.row([
                key.id.to_string(),
                key.model.to_string(),
                key.version.to_string(),
                key.fingerprint.to_string(),
                ago(key.since, now()),
                key.replaces.map_or_else(String::new, |one| one.to_string()),
            ]);
        }
        output.table(table, "No key waits.")
    })
}

async fn waiting(client: &Client) -> Result<Vec<WaitingKey>, Failure> {
    client.get(&["devices", "waiting-keys"]).await
}

impl Decide {
    /// Accepts or rejects; fails where some key could not be decided on.
    pub async fn run(self, output: Output, client: &Client, verb: &str) -> Result<(), Failure> {
        let keys = self.keys(client).await?;
        let mut done = KeysDecided::default();
        for part in keys.chunks(MAX_DECIDED) {
            let decisions = KeyDecisions {
                devices: part.to_vec(),
                reason: self.reason.clone(),
            };
            let some: KeysDecided = client.post(&["devices", verb], &decisions).await?;
            done.decided.extend(some.decided);
            done.failed.extend(some.failed);
        }
        output.value(&done, |output| {
            for id in &done.decided {
                output.line(format!("{verb}ed the key of {id}."))?;
            }
            for failed in &done.failed {
                output.line(format!("not {}: {}", failed.id, failed.detail))?;
            }
            Ok(())
        })?;
        match done.failed.len() {
            0 => Ok(()),
            number => Err(Failure::Refused(format!(
                "{number} of {} keys were not {verb}ed",
                keys.len()
            ))),
        }
    }

    /// Finds the keys that are meant, as they wait now.
    async fn keys(&self, client: &Client) -> Result<Vec<KeyOf>, Failure> {
        if let (Some(fingerprint), [id]) = (self.fingerprint, self.ids.as_slice()) {
            return Ok(vec![KeyOf {
                id: id.clone(),
                fingerprint,
            }]);
        }
        if self.fingerprint.is_some() {
            let why = "--fingerprint is one key's: name one device with it";
            return Err(Failure::Usage(why.to_owned()));
        }
        let waiting = waiting(client).await?;
        if self.all {
            return Ok(waiting.iter().map(key_of).collect());
        }
        self.ids.iter().map(|id| only_key(id, &waiting)).collect()
    }
}

fn only_key(id: &DeviceId, waiting: &[WaitingKey]) -> Result<KeyOf, Failure> {
    let mut keys = waiting.iter().filter(|key| key.id == *id);
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(key_of(key)),
        (None, _) => Err(Failure::Refused(format!("no key of {id} waits"))),
        (Some(_), Some(_)) => Err(Failure::Usage(format!(
            "two keys of {id} wait: say which with --fingerprint"
        ))),
    }
}

fn key_of(key: &WaitingKey) -> KeyOf {
    KeyOf {
        id: key.id.clone(),
        fingerprint: key.fingerprint,
    }
}
