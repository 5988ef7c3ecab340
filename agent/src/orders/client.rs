//! Hands an order to the agent that runs.

use std::io;
use std::path::Path;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::attend::RESTARTS;
use super::{News, Order, Outcome, Place, SOCKET};

/// Hands an order to the agent that runs on a state folder, and waits for what becomes of it; `None` where none runs.
pub async fn hand_over(
    state: &Path,
    order: &Order,
    mut say: impl FnMut(&str),
) -> anyhow::Result<Option<Outcome>> {
    let connected = connect(state).await.with_context(|| {
        format!(
            "the agent that works in {} can't be asked; do this as its own user, or as root",
            state.display()
        )
    });
    let Some(stream) = connected? else {
        return Ok(None);
    };
    let (reading, mut writing) = stream.into_split();
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    writing.write_all(&line).await?;
    let mut lines = BufReader::new(reading).lines();
    let mut restarts = false;
    // An agent that is gone says nothing more.
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line)? {
            News::Says(text) => {
                restarts |= text == RESTARTS;
                say(&text);
            }
            News::Ends(outcome) => return Ok(Some(outcome)),
        }
    }
    if restarts {
        return Ok(Some(Outcome::Restarts));
    }
    let why = "the agent stopped before it was done; the next one goes on with what was begun";
    Ok(Some(Outcome::Refused(why.to_owned())))
}

/// Connects, unless nobody is there: no folder, no socket, or one that an agent left when it was killed.
async fn connect(state: &Path) -> io::Result<Option<UnixStream>> {
    let connected = match Place::of(state) {
        Ok(place) => UnixStream::connect(place.named(SOCKET)).await,
        Err(error) => Err(error),
    };
    match connected {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
