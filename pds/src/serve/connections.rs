//! Connections: so many at a time, and none that does not say what it wants, or does not take what it asked for.
//!
//! Each takes a file descriptor, and the store needs some for its files. At the bound the next connection waits until
//! one that is open ends, and those behind it in the kernel's queue. A WebSocket counts for as long as it is open.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};

use super::Timing;
use crate::closing::Closing;

/// How long to wait after the system refused a connection, for want of memory or descriptors.
const PAUSE: Duration = Duration::from_millis(500);

/// The bounds that all listeners share.
#[derive(Clone)]
pub(super) struct Connections {
    free: Arc<Semaphore>,
    head: Duration,
    take: Duration,
}

impl Connections {
    /// At most `max` at a time. Each may take as long as `timing` says for the head of a request, and for taking something
    /// of an answer.
    pub fn new(max: usize, timing: Timing) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), head: timing.head, take: timing.take }
    }

    /// Serves whoever comes until the host ends, and then waits for the requests that run.
    pub async fn serve(self, listener: TcpListener, router: Router, closing: Closing) {
        let mut open = JoinSet::new();
        let mut ending = pin!(closing.clone().begun());
        loop {
            let connection = tokio::select! {
                () = &mut ending => break,
                connection = self.accept(&listener) => connection,
            };
            while open.try_join_next().is_some() {}
            open.spawn(talk(connection, router.clone(), self.head, closing.clone()));
        }
        drop(listener);
        while open.join_next().await.is_some() {}
    }

    /// The next connection, once there is room for it.
    async fn accept(&self, listener: &TcpListener) -> Connection {
        let stream = loop {
            match listener.accept().await {
                Ok((stream, _)) => break stream,
                Err(e) if is_callers(&e) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be taken");
                    sleep(PAUSE).await;
                }
            }
        };
        // An event is sent when it comes, not when the one before it was acknowledged.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection sends late");
        }
        let permit = Arc::clone(&self.free).acquire_owned().await.expect("nobody closes the semaphore");
        Connection { stream, take: self.take, late: None, _permit: permit }
    }
}

/// True if a connection went before it was taken.
fn is_callers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers the requests of one connection, until it ends or becomes a WebSocket.
async fn talk(connection: Connection, router: Router, head: Duration, closing: Closing) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head);
    let talk = http.serve_connection(TokioIo::new(connection), TowerToHyperService::new(router)).with_upgrades();
    let mut talk = pin!(talk);
    let ended = tokio::select! {
        ended = talk.as_mut() => ended,
        () = closing.begun() => {
            talk.as_mut().graceful_shutdown();
            talk.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// A connection with its place among those that may be open.
struct Connection {
    stream: TcpStream,
    /// How long it may take nothing while there is something for it.
    take: Duration,
    /// When that is over, since it takes nothing.
    late: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// What came of writing to it, unless nothing did for too long.
    fn in_time(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.late = None;
            return written;
        }
        let take = self.take;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(take)));
        ready!(late.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nobody takes the answer")))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
