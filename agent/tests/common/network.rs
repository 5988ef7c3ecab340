//! What lies between a device and its server: a proxy that can cut, stall, garble, refuse and mislead.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub at: Instant,
    /// Who asked.
    pub peer: IpAddr,
    /// What was asked for.
    pub target: String,
    /// The whole head.
    pub head: String,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn is_for(&self, part: &str) -> bool {
        self.target.contains(part)
    }
}

/// What is done to one exchange. Places are bytes of the whole answer, or bits of its head or body, counted around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mischief {
    None,
    /// Ends after so many bytes.
    Cut(usize),
    /// Says nothing after so many bytes.
    Stall(usize),
    /// Loses so many bytes of the body, and says nothing of it.
    Truncate(usize),
    FlipHead(usize),
    FlipBody(usize),
    /// A status, and when to come back.
    Answer(u16, Option<u32>),
    Redirect(u16, String),
    /// These bytes, as if they were the answer.
    Give(Vec<u8>),
}

type Plan = Box<dyn FnMut(&Asked) -> Mischief + Send>;

struct Shared {
    upstream: String,
    plan: Mutex<Plan>,
    asked: Mutex<Vec<Asked>>,
}

#[derive(Clone)]
pub struct Network {
    pub address: String,
    shared: Arc<Shared>,
}

impl Network {
    /// Stands before a server, and asks `plan` what to do to each request. What is sent to it as to an HTTP proxy reaches the
    /// server as well.
    pub async fn start(
        server: &str,
        plan: impl FnMut(&Asked) -> Mischief + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, server, plan)
    }

    /// The same, on a listener that is there already.
    pub fn on(
        listener: TcpListener,
        server: &str,
        plan: impl FnMut(&Asked) -> Mischief + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            upstream: server.trim_start_matches("http://").to_owned(),
            plan: Mutex::new(Box::new(plan)),
            asked: Mutex::default(),
        });
        let address = format!("http://{}", listener.local_addr().unwrap());
        let network = Self {
            address,
            shared: shared.clone(),
        };
        tokio::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                // A client that goes away is its own business.
                tokio::spawn(exchange(shared.clone(), stream, peer.ip()));
            }
        });
        network
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }
}

async fn exchange(shared: Arc<Shared>, mut stream: TcpStream, peer: IpAddr) -> std::io::Result<()> {
    let (head, body) = read_request(&mut stream).await?;
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let asked = Asked {
        at: Instant::now(),
        peer,
        target,
        head,
        body,
    };
    let mischief = (shared.plan.lock().unwrap())(&asked);
    shared.asked.lock().unwrap().push(asked.clone());
    let mut answer = match &mischief {
        Mischief::Answer(status, retry_after) => {
            let wait = retry_after.map_or(String::new(), |sec| format!("retry-after: {sec}\r\n"));
            made(*status, &wait, b"")
        }
        Mischief::Redirect(status, to) => made(*status, &format!("location: {to}\r\n"), b""),
        Mischief::Give(bytes) => made(200, "", bytes),
        _ => forwarded(&shared.upstream, &asked).await?,
    };
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let begin = end.map_or(answer.len(), |end| end + 4);
    match mischief {
        Mischief::FlipHead(bit) => flip(&mut answer[..begin], bit),
        Mischief::FlipBody(bit) => flip(&mut answer[begin..], bit),
        Mischief::Truncate(lost) => {
            let rest = answer.split_off(begin);
            answer = made(200, "", &rest[..rest.len().saturating_sub(lost)]);
        }
        Mischief::Cut(after) | Mischief::Stall(after) => answer.truncate(after),
        _ => {}
    }
    stream.write_all(&answer).await?;
    if matches!(mischief, Mischief::Stall(_)) {
        // Until the client has enough of it.
        stream.read_to_end(&mut Vec::new()).await?;
    }
    stream.shutdown().await
}

fn flip(bytes: &mut [u8], bit: usize) {
    if !bytes.is_empty() {
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

fn made(status: u16, header: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Made\r\n{header}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut wanted = None;
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().unwrap())
            });
            wanted = Some((head, end + 4, length.unwrap_or(0)));
        }
        if let Some((head, begin, length)) = &wanted
            && bytes.len() >= begin + length
        {
            return Ok((head.clone(), bytes[*begin..].to_vec()));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Asks the server, and returns what it sends until it ends.
async fn forwarded(upstream: &str, asked: &Asked) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(upstream).await?;
    let path = match asked.target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => &asked.target,
    };
    let mut lines = asked.head.lines();
    let method = lines.next().and_then(|line| line.split(' ').next());
    let mut head = format!(
        "{} {path} HTTP/1.1\r\nconnection: close\r\n",
        method.unwrap_or_default()
    );
    for line in lines {
        if !line.to_ascii_lowercase().starts_with("connection:") {
            head.push_str(line);
            head.push_str("\r\n");
        }
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&asked.body).await?;
    let mut answer = Vec::new();
    // A server that breaks off is passed on as it is.
    stream.read_to_end(&mut answer).await.ok();
    Ok(answer)
}
