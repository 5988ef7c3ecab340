//! Whether anything goes on on a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What goes on on one connection. Only its own task writes here, and few read: nothing of it costs a request anything.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// A handler is at work.
    is_at_work: AtomicBool,
    /// Counts writes, round and round.
    writes: AtomicU32,
}

impl Activity {
    /// Notes that a handler is at work, until its future is over.
    pub(super) async fn during<T>(self: Arc<Self>, handling: impl Future<Output = T>) -> T {
        self.is_at_work.store(true, Ordering::Relaxed);
        let result = handling.await;
        self.is_at_work.store(false, Ordering::Relaxed);
        result
    }

    /// Returns when for this long no handler was at work and nothing was written; at most half of it later.
    pub(super) async fn ceases(&self, patience: Duration) {
        const LOOKS: u32 = 2;
        let mut quiet = 0;
        let mut before = self.writes.load(Ordering::Relaxed);
        while quiet < LOOKS {
            tokio::time::sleep(patience / LOOKS).await;
            let writes = self.writes.load(Ordering::Relaxed);
            let is_quiet = writes == before && !self.is_at_work.load(Ordering::Relaxed);
            quiet = if is_quiet { quiet + 1 } else { 0 };
            before = writes;
        }
    }
}

/// A stream whose writes are noted.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    /// Notes what is written to a stream.
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }

    fn noted<T>(&self, written: Poll<T>) -> Poll<T> {
        if written.is_ready() {
            self.activity.writes.fetch_add(1, Ordering::Relaxed);
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.noted(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
