//! Signed heads of the audit log, taken off this machine: into a file, and to syslog. (Webhooks that hear `audit.head` are told,
//! too.) Who can change the database can't take them back.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use otter_fleet::Fleet;
use otter_protocol::audit_chain::{ExportLine, SignedHead};
use tokio_util::sync::CancellationToken;

/// How often it is looked for new heads; one a day comes.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Most heads that are taken at once.
const PART: u64 = 100;

/// Facility 13, log audit, and severity 5, notice (RFC 5424, section 6.2.1).
const PRIORITY: u8 = 13 * 8 + 5;

/// Where signed heads go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destinations {
    /// A file that they are added to, a line of JSON each.
    pub file: Option<PathBuf>,
    /// A socket's path, or a host and port over UDP.
    pub syslog: Option<String>,
}

impl fmt::Display for Destinations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(|path| path.display().to_string());
        let syslog = self.syslog.as_ref().map(|to| format!("syslog at {to}"));
        let all: Vec<String> = file.into_iter().chain(syslog).collect();
        if all.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&all.join(", "))
    }
}

/// A destination, and how far it was told.
struct Outlet {
    to: To,
    told: i64,
    is_failing: bool,
}

#[derive(Clone)]
enum To {
    File(PathBuf),
    Syslog(String),
}

/// Takes new heads to where they are to go until told to stop; what doesn't get there is tried again.
pub async fn run(fleet: Fleet, destinations: Destinations, stop: CancellationToken) {
    let mut outlets = Vec::new();
    if let Some(path) = destinations.file {
        outlets.push(Outlet::new(To::File(path)));
    }
    if let Some(address) = destinations.syslog {
        outlets.push(Outlet::new(To::Syslog(address)));
    }
    if outlets.is_empty() {
        return;
    }
    loop {
        for outlet in &mut outlets {
            outlet.tell(&fleet).await;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

impl Outlet {
    fn new(to: To) -> Self {
        let told = match &to {
            To::File(path) => last_in(path),
            // Nobody knows what syslog has: all that are here go there once more after a restart.
            To::Syslog(_) => 0,
        };
        Self {
            to,
            told,
            is_failing: false,
        }
    }

    async fn tell(&mut self, fleet: &Fleet) {
        let heads = match fleet.audit_heads(self.told, PART).await {
            Ok(heads) => heads,
            Err(error) => {
                tracing::warn!(%error, "signed heads of the audit log can't be read now");
                return;
            }
        };
        for head in heads {
            let sequence = head.link.sequence;
            let to = self.to.clone();
            let sent = tokio::task::spawn_blocking(move || to.send(&head)).await;
            match sent.map_err(io::Error::other).flatten() {
                Ok(()) => (self.told, self.is_failing) = (sequence, false),
                Err(error) => {
                    // Said once, until it works again.
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::error!(
                            "signed heads of the audit log don't get to {}: {error}; it is tried again",
                            self.to
                        );
                    }
                    return;
                }
            }
        }
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Syslog(address) => write!(f, "syslog at {address}"),
        }
    }
}

impl To {
    fn send(&self, head: &SignedHead) -> io::Result<()> {
        match self {
            Self::File(path) => add(path, &line(head)?),
            Self::Syslog(address) => syslog(address, head),
        }
    }
}

fn line(head: &SignedHead) -> io::Result<String> {
    Ok(serde_json::to_string(&ExportLine::Head(head.clone()))?)
}

/// Adds a line, and is done when it is on the disk.
fn add(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    // One write: a reader, or a crash, finds it whole or not at all.
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()
}

/// Returns the last event that a file has a head of; 0 where it has none.
fn last_in(path: &Path) -> i64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let heads = text
        .lines()
        .filter_map(|line| match serde_json::from_str(line) {
            Ok(ExportLine::Head(head)) => Some(head.link.sequence),
            _ => None,
        });
    heads.max().unwrap_or(0)
}

/// Sends a message as RFC 5424 has it, in one datagram.
fn syslog(address: &str, head: &SignedHead) -> io::Result<()> {
    let (at, text) = (head.signed_at, line(head)?);
    let message = format!("<{PRIORITY}>1 {at} - otter-server - audit-head - {text}");
    if address.starts_with('/') {
        let socket = UnixDatagram::unbound()?;
        socket.send_to(message.as_bytes(), address)?;
        return Ok(());
    }
    let to = address
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::other("the name has no address"))?;
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0))?.send_to(message.as_bytes(), to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use otter_protocol::Timestamp;
    use otter_protocol::audit_chain::{BEGINNING, Link};

    use super::*;

    fn head(sequence: i64) -> SignedHead {
        SignedHead {
            link: Link {
                sequence,
                ..BEGINNING
            },
            signed_at: Timestamp(0),
            public_key: String::new(),
            signature: String::new(),
        }
    }

    #[test]
    fn a_file_goes_on_where_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads");
        assert_eq!(last_in(&path), 0);
        let to = To::File(path.clone());
        to.send(&head(7)).unwrap();
        to.send(&head(9)).unwrap();
        assert_eq!(last_in(&path), 9);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn syslog_gets_one_message_by_udp_and_by_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let local = UnixDatagram::bind(&path).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let patience = Some(Duration::from_secs(20));
        local.set_read_timeout(patience).unwrap();
        udp.set_read_timeout(patience).unwrap();
        let addresses = [
            path.display().to_string(),
            udp.local_addr().unwrap().to_string(),
        ];
        for address in addresses {
            To::Syslog(address).send(&head(7)).unwrap();
        }
        let mut buffer = [0; 4096];
        for length in [
            local.recv(&mut buffer).unwrap(),
            udp.recv(&mut buffer).unwrap(),
        ] {
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            let begin = "<109>1 1970-01-01T00:00:00Z - otter-server - audit-head - {\"kind\":\"head\",\"sequence\":7,";
            assert!(text.starts_with(begin), "{text}");
        }
    }
}
