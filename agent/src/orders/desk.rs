//! The socket at which a running agent takes orders.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::{News, Order, Outcome, Place, SOCKET};
use crate::agent::Agent;

/// Longest order, in bytes.
const LONGEST: u64 = 16 << 10;
/// How long an order may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// What nobody but the agent's own user may talk to.
const OWN: u32 = 0o600;

/// The socket of a running agent; gone when it is dropped.
#[derive(Debug)]
pub struct Desk {
    listener: UnixListener,
    path: std::path::PathBuf,
}

impl Desk {
    /// Opens it in a state folder, which must be held: what an agent before this one left is replaced.
    pub fn open(state: &Path) -> io::Result<Self> {
        let place = Place::of(state)?;
        let (new, path) = (place.named("agent.sock.new"), place.named(SOCKET));
        if let Err(error) = fs::remove_file(&new)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(OWN))?;
        fs::rename(&new, &path)?;
        Ok(Self {
            listener,
            path: state.join(SOCKET),
        })
    }

    /// Takes orders for an agent, any number at a time, for ever.
    pub async fn serve(&self, agent: &Agent) {
        let mut talks = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => talks.push(talk(agent, stream)),
                    Err(error) => {
                        tracing::warn!("no order can be taken: {error}");
                        tokio::time::sleep(PATIENCE).await;
                    }
                },
                Some(result) = talks.next(), if !talks.is_empty() => {
                    if let Err(error) = result {
                        tracing::debug!("whoever gave an order is gone: {error}");
                    }
                }
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // One that stays answers nobody, which is as good as none.
        fs::remove_file(&self.path).ok();
    }
}

async fn talk(agent: &Agent, stream: UnixStream) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading.take(LONGEST));
    let mut line = Vec::new();
    tokio::time::timeout(PATIENCE, reading.read_until(b'\n', &mut line)).await??;
    let order: Order = match serde_json::from_slice(&line) {
        Ok(order) => order,
        Err(error) => {
            let why = format!("the agent that runs does not know this order: {error}");
            return write(&mut writing, &News::Ends(Outcome::Refused(why))).await;
        }
    };
    tracing::info!("somebody at the device asks for: {order:?}");
    let (say, mut said) = mpsc::unbounded_channel();
    let attended = agent.attend(order, move |text| {
        say.send(text.to_owned()).ok();
    });
    tokio::pin!(attended);
    let mut rest = Vec::new();
    let outcome = loop {
        tokio::select! {
            biased;
            Some(text) = said.recv() => write(&mut writing, &News::Says(text)).await?,
            outcome = &mut attended => break outcome,
            // Who doesn't wait any more gets no answer; what has begun goes on.
            _ = reading.read_to_end(&mut rest) => return Ok(()),
        }
    };
    while let Ok(text) = said.try_recv() {
        write(&mut writing, &News::Says(text)).await?;
    }
    let outcome = outcome.unwrap_or_else(|error| Outcome::Refused(format!("{error:#}")));
    write(&mut writing, &News::Ends(outcome)).await
}

async fn write(writing: &mut OwnedWriteHalf, news: &News) -> io::Result<()> {
    let mut line = serde_json::to_vec(news)?;
    line.push(b'\n');
    writing.write_all(&line).await
}
