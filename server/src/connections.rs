//! Connections: taken in, limited in how long a client may take to ask, and ended without cutting off an answer.

mod activity;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{HeaderName, Request};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use self::activity::{Activity, Watched};
use crate::device_certificate::{self, Certified};
use crate::proxies::TrustedProxies;
use crate::tls::{self, Tls};

/// How long a client may take for a request's head, from its connection's beginning or from the answer before; and how long
/// it may take nothing of an answer. It is measured coarsely, and may be half as long again.
///
/// So it is also how long an idle connection is kept: longer than the minute after which devices check in and proxies close
/// a connection themselves, so that none of them sends a request into a connection that ends.
pub const PATIENCE: Duration = Duration::from_secs(75);

/// How clients are met.
#[derive(Debug, Clone)]
pub struct Manner {
    /// How long a client may take for a request's head, and for its part of TLS's beginning.
    pub patience: Duration,
    /// Who is believed where a request comes from.
    pub proxies: TrustedProxies,
    /// The header in which a trusted proxy names the device whose certificate it verified.
    pub device_header: Option<HeaderName>,
    /// TLS, where no proxy does it.
    pub tls: Option<Arc<Tls>>,
}

/// Serves until `stop` is cancelled and every request that was under way then has its answer.
pub async fn serve(
    mut listener: TcpListener,
    app: Router,
    manner: Manner,
    stop: CancellationToken,
) {
    let tls = manner.tls.clone();
    let host = Arc::new(Host {
        app,
        manner,
        // Its own limit on the time for a head sets a timer anew with every request.
        http: http1::Builder::new(),
    });
    let connections = GracefulShutdown::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = stop.cancelled() => break,
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("cannot set TCP_NODELAY: {error}");
        }
        let (host, watcher) = (host.clone(), connections.watcher());
        let Some(tls) = &tls else {
            tokio::spawn(host.meet(stream, peer, None, watcher));
            continue;
        };
        let (accepting, stop) = (tls.acceptor().accept(stream), stop.clone());
        tokio::spawn(async move {
            let accepted = tokio::select! {
                accepted = tokio::time::timeout(host.manner.patience, accepting) => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok(Ok(stream)) => {
                    let certified = certified(&stream);
                    host.meet(stream, peer, certified, watcher).await;
                }
                Ok(Err(error)) => tracing::debug!(%peer, "TLS did not begin: {error}"),
                Err(_) => tracing::debug!(%peer, "TLS did not begin in time"),
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
}

/// What all connections have in common.
struct Host {
    app: Router,
    manner: Manner,
    http: http1::Builder,
}

impl Host {
    /// Answers a connection's requests, whatever carries them.
    async fn meet<S>(
        self: Arc<Self>,
        stream: S,
        peer: SocketAddr,
        certified: Option<Certified>,
        watcher: Watcher,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let stream = Watched::new(stream, activity.clone());
        let at_work = activity.clone();
        let host = self.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            host.note_who_asks(&mut request, peer, certified.as_ref());
            // A router is always ready.
            at_work.clone().during(host.app.clone().call(request))
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            biased;
            ended = watcher.watch(connection) => if let Err(error) = ended {
                tracing::debug!(%peer, "a connection broke off: {error}");
            },
            () = activity.ceases(self.manner.patience) => {
                tracing::debug!(%peer, "a connection without a request is closed");
            }
        }
    }

    fn note_who_asks(
        &self,
        request: &mut Request<Incoming>,
        peer: SocketAddr,
        certified: Option<&Certified>,
    ) {
        let manner = &self.manner;
        let client = manner.proxies.client(peer.ip(), request.headers());
        let client = SocketAddr::new(client, peer.port());
        request.extensions_mut().insert(ConnectInfo(client));
        let by_proxy = manner.device_header.as_ref().and_then(|header| {
            let headers = request.headers_mut();
            device_certificate::by_proxy(header, headers, peer.ip(), &manner.proxies)
        });
        // A connection's own certificate is a trusted proxy's own, where that speaks for a device.
        if let Some(certified) = by_proxy.or_else(|| certified.cloned()) {
            request.extensions_mut().insert(certified);
        }
    }
}

/// Returns what the certificate proves that a client showed at TLS's beginning; it was verified there.
fn certified(stream: &TlsStream<TcpStream>) -> Option<Certified> {
    let shown = stream.get_ref().1.peer_certificates()?.first()?;
    Some(tls::device_of(shown).map_or(
        Certified::Refused("The certificate's subject must have one common name, the device's id."),
        Certified::Device,
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_secs(1);
    const DEADLINE: Duration = Duration::from_secs(20);

    async fn start(
        app: Router,
        patience: Duration,
    ) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let manner = Manner {
            patience,
            proxies: TrustedProxies::parse(&["127.0.0.1".to_owned()]).unwrap(),
            device_header: None,
            tls: None,
        };
        let serving = tokio::spawn(serve(listener, app, manner, stop.clone()));
        (address, stop, serving)
    }

    async fn client(address: SocketAddr, sent: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        stream
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut answer = Vec::new();
        let read = timeout(DEADLINE, stream.read_to_end(&mut answer));
        read.await.expect("the connection stays open").unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_client_that_never_ends_its_request_is_hung_up_on() {
        let app = Router::new().route("/", get(async || "here"));
        let (address, _stop, _serving) = start(app, SHORT).await;
        let asked = "GET / HTTP/1.1\r\nHost: otter\r\n\r\n";
        let begun = Instant::now();
        let hung_up_on = ["", "GET / HTTP/1.1\r\nHost: ot", asked].map(async |sent| {
            let answer = rest(client(address, sent).await).await;
            assert!(begun.elapsed() >= SHORT, "{sent:?} was cut off too soon");
            assert_eq!(answer.contains("here"), sent == asked, "{answer}");
        });
        futures::future::join_all(hung_up_on).await;
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_of_its_answer_is_hung_up_on_and_a_slow_one_is_not() {
        const LENGTH: usize = 64 << 20;
        let app = Router::new().route("/", get(async || vec![b'x'; LENGTH]));
        let (address, _stop, _serving) = start(app, SHORT).await;
        let asked = "GET / HTTP/1.1\r\nHost: otter\r\nConnection: close\r\n\r\n";
        let mut slow = client(address, asked).await;
        let mut received = 0;
        let mut piece = vec![0; 4 << 20];
        let begun = Instant::now();
        while begun.elapsed() < SHORT * 3 {
            tokio::time::sleep(SHORT / 4).await;
            received += timeout(DEADLINE, slow.read(&mut piece))
                .await
                .unwrap()
                .unwrap();
        }
        let lazy = client(address, asked).await;
        tokio::time::sleep(SHORT * 4).await;
        let (mut rest, mut cut) = (Vec::new(), Vec::new());
        timeout(DEADLINE, slow.read_to_end(&mut rest))
            .await
            .unwrap()
            .ok();
        assert!(received > 4 << 20, "{received} bytes");
        let mut lazy = lazy;
        timeout(DEADLINE, lazy.read_to_end(&mut cut))
            .await
            .unwrap()
            .ok();
        assert!(cut.len() < LENGTH, "{} bytes", cut.len());
    }

    #[tokio::test]
    async fn handlers_see_the_client_behind_a_trusted_proxy() {
        let who = async |ConnectInfo(client): ConnectInfo<SocketAddr>| client.ip().to_string();
        let app = Router::new().route("/", get(who));
        let (address, _stop, _serving) = start(app, PATIENCE).await;
        let asked = "GET / HTTP/1.1\r\nHost: otter\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";
        let answer = rest(client(address, asked).await).await;
        assert!(answer.ends_with("\r\n\r\n203.0.113.9"), "{answer}");
    }

    #[tokio::test]
    async fn a_body_may_take_its_time() {
        let app = Router::new().route("/", post(async |body: String| body));
        let (address, _stop, _serving) = start(app, SHORT).await;
        let head =
            "POST / HTTP/1.1\r\nHost: otter\r\nConnection: close\r\nContent-Length: 4\r\n\r\n";
        let mut stream = client(address, head).await;
        for letter in ["s", "l", "o", "w"] {
            tokio::time::sleep(SHORT / 2).await;
            stream.write_all(letter.as_bytes()).await.unwrap();
        }
        let answer = rest(stream).await;
        assert!(answer.ends_with("\r\n\r\nslow"), "{answer}");
    }

    #[tokio::test]
    async fn at_the_end_idle_connections_close_and_answers_are_finished() {
        let (asked, mut is_asked) = mpsc::channel(1);
        let (answer, answered) = tokio::sync::watch::channel(false);
        let slow = async move || {
            asked.send(()).await.unwrap();
            let mut answered = answered.clone();
            answered.wait_for(|is| *is).await.unwrap();
            "at last"
        };
        let app = Router::new().route("/", get(slow));
        let (address, stop, serving) = start(app, PATIENCE).await;
        let idle = client(address, "").await;
        let busy = client(address, "GET / HTTP/1.1\r\nHost: otter\r\n\r\n").await;
        timeout(DEADLINE, is_asked.recv()).await.unwrap().unwrap();
        stop.cancel();
        assert_eq!(rest(idle).await, "");
        assert!(!serving.is_finished(), "a request is under way");
        answer.send(true).unwrap();
        let answer = rest(busy).await;
        assert!(answer.ends_with("at last"), "{answer}");
        timeout(DEADLINE, serving).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
