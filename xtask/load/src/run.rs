//! Connections that send requests as fast as they are answered.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};

use crate::answer;

/// Time before anything counts.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long one read may take.
const STALL: Duration = Duration::from_secs(20);
/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    answers: u64,
    bad: u64,
    bytes: u64,
    seconds: f64,
}

impl Measured {
    /// The figures as an object.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "answers_per_s": self.answers as f64 / self.seconds,
            "mib_per_s": self.bytes as f64 / f64::from(1 << 20) / self.seconds,
            "answers": self.answers,
            "bad": self.bad,
        })
    }
}

/// What all connections count.
#[derive(Debug, Default)]
struct Counts {
    answers: Cell<u64>,
    bad: Cell<u64>,
    bytes: Cell<u64>,
}

impl Counts {
    fn add(counter: &Cell<u64>, more: u64) {
        counter.set(counter.get() + more);
    }
}

/// Sends requests over so many connections, each taking its own in turn, and counts answers for a time.
pub(crate) async fn measure(
    server: SocketAddr,
    requests: Vec<Vec<u8>>,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Measured> {
    let counts = Rc::new(Counts::default());
    let requests = Rc::new(requests);
    let connections = connections.clamp(1, requests.len());
    let local = LocalSet::new();
    let mut senders = JoinSet::new();
    for first in 0..connections {
        let (counts, requests) = (Rc::clone(&counts), Rc::clone(&requests));
        senders.spawn_local_on(
            async move { send(server, &requests, first, connections, &counts).await },
            &local,
        );
    }
    let counting = async {
        sleep(WARM_UP).await;
        let before = (counts.answers.get(), counts.bytes.get());
        let began = Instant::now();
        sleep(time).await;
        Measured {
            answers: counts.answers.get() - before.0,
            bytes: counts.bytes.get() - before.1,
            bad: counts.bad.get(),
            seconds: began.elapsed().as_secs_f64(),
        }
    };
    let measured = local
        .run_until(async {
            tokio::select! {
                measured = counting => Ok(measured),
                Some(ended) = senders.join_next() => {
                    ended.context("a connection's task failed")?.context("a connection broke")?;
                    anyhow::bail!("a connection ended")
                }
            }
        })
        .await?;
    ensure!(
        measured.bad == 0,
        "{} of {} answers were errors",
        measured.bad,
        measured.answers
    );
    Ok(measured)
}

/// Sends every `step`th request from `first` on, again and again.
async fn send(
    server: SocketAddr,
    requests: &[Vec<u8>],
    first: usize,
    step: usize,
    counts: &Counts,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        for request in requests.iter().skip(first).step_by(step) {
            stream.write_all(request).await?;
            receive(&mut stream, &mut buffer, counts).await?;
        }
    }
}

/// Reads one answer.
async fn receive(stream: &mut TcpStream, buffer: &mut [u8], counts: &Counts) -> anyhow::Result<()> {
    let mut filled = 0;
    let head = loop {
        filled += read(stream, buffer.get_mut(filled..).unwrap_or_default()).await?;
        if let Some(head) = answer::head(buffer.get(..filled).unwrap_or_default()) {
            break head;
        }
    };
    let mut body = (filled - head.length) as u64;
    Counts::add(&counts.bytes, body);
    while body < head.body {
        let more = read(stream, buffer).await? as u64;
        Counts::add(&counts.bytes, more);
        body += more;
    }
    ensure!(body == head.body, "an answer was longer than it said");
    Counts::add(&counts.answers, 1);
    Counts::add(&counts.bad, u64::from(!head.is_good));
    Ok(())
}

async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<usize> {
    let length = timeout(STALL, stream.read(buffer))
        .await
        .context("the server stopped in the middle of an answer")??;
    ensure!(length > 0, "the server closed a connection");
    Ok(length)
}
