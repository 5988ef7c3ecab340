//! A receiver of webhooks that behaves as a test says, and remembers what it got.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use otter_protocol::admin::WebhookNotice;
use sha2::Sha256;
use tokio::net::TcpListener;

/// What the next call gets for an answer.
#[derive(Debug, Clone)]
pub enum Manner {
    /// A status, and a few words.
    Answer(u16),
    /// Nothing, ever.
    Hang,
    /// Another address.
    Redirect(String),
    /// 200, and bytes without end.
    Endless,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub fn delivery(&self) -> i64 {
        self.header("otter-delivery").parse().unwrap()
    }

    pub fn notice(&self) -> WebhookNotice {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Tells whether a secret signed it, as a receiver has to find out.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let value = self.header("otter-signature");
        let (at, signatures) = value.strip_prefix("t=").unwrap().split_once(',').unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{at}.{}", self.body).as_bytes());
        let expected = mac.finalize().into_bytes();
        let expected: String = expected.iter().map(|b| format!("{b:02x}")).collect();
        let expected = format!("v1={expected}");
        signatures.split(',').any(|signature| signature == expected)
    }

    /// Returns when it was signed, in seconds since 1970.
    pub fn signed_at(&self) -> i64 {
        let value = self.header("otter-signature").strip_prefix("t=").unwrap();
        value.split(',').next().unwrap().parse().unwrap()
    }
}

#[derive(Default)]
struct Inner {
    calls: Mutex<Vec<Call>>,
    manners: Mutex<VecDeque<Manner>>,
    sent: AtomicU64,
}

/// A receiver.
#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

impl Receiver {
    /// Answers the first calls in these manners, and all after them by 204.
    pub async fn start(manners: impl IntoIterator<Item = Manner>) -> Self {
        let inner = Arc::new(Inner {
            manners: Mutex::new(manners.into_iter().collect()),
            ..Inner::default()
        });
        let app = Router::new().fallback(take).with_state(inner.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, inner }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.inner.calls.lock().unwrap().clone()
    }

    /// Returns what the calls told, in the order in which they came.
    pub fn events(&self) -> Vec<String> {
        let calls = self.calls();
        calls.iter().map(|call| call.notice().event).collect()
    }

    /// Returns the bytes of endless answers that were taken off its hands.
    pub fn sent(&self) -> u64 {
        self.inner.sent.load(Ordering::SeqCst)
    }
}

async fn take(
    State(inner): State<Arc<Inner>>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    inner.calls.lock().unwrap().push(Call {
        path: uri.path().to_owned(),
        headers,
        body,
    });
    let manner = inner.manners.lock().unwrap().pop_front();
    match manner.unwrap_or(Manner::Answer(204)) {
        Manner::Answer(204) => StatusCode::NO_CONTENT.into_response(),
        Manner::Answer(status) => {
            (StatusCode::from_u16(status).unwrap(), "not now").into_response()
        }
        Manner::Hang => std::future::pending().await,
        Manner::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Manner::Endless => {
            let chunks = futures::stream::repeat_with(move || {
                let chunk = Bytes::from_static(&[b'x'; 16 << 10]);
                inner.sent.fetch_add(chunk.len() as u64, Ordering::SeqCst);
                Ok::<_, std::io::Error>(chunk)
            });
            Body::from_stream(chunks).into_response()
        }
    }
}
