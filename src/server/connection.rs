//! One connection: reading, writing and closing it.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::{BoxError, ServerSettings};

/// How long a connection may be idle after the server begins to stop. In this time its last reply is written.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_millis(100);

/// Serves a connection until it ends.
pub(super) async fn drive_connection<I, S, B>(
    connection: auto::Connection<'_, TokioIo<I>, S, TokioExecutor>,
    activity: &Activity,
    settings: &ServerSettings,
    closing: &CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let mut connection = pin!(connection);
    let mut stopping = false;
    loop {
        let allowed = if stopping { LAST_WRITE_TIMEOUT } else { settings.head_timeout };
        let left = activity.idle_for().map_or(allowed, |idle| allowed.saturating_sub(idle));
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(server = settings.name, %error, "a connection ended with an error");
                }
                return;
            }
            () = activity.closed() => return,
            () = closing.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep(left) => {
                if activity.idle_for().is_some_and(|idle| idle >= allowed) {
                    return;
                }
            }
        }
    }
}

/// The bytes of a connection. A write fails if the client has read nothing for too long.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    activity: Arc<Activity>,
    stall_timeout: Duration,
    /// Runs while a write is blocked.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>, stall_timeout: Duration) -> Self {
        Self { stream, activity, stall_timeout, stalled: None }
    }

    /// Waits for the first byte. Returns whether it is the one of HTTP without TLS: the first letter of a method.
    pub(super) async fn begins_with_text(&self) -> bool {
        let mut first = [0];
        matches!(self.stream.peek(&mut first).await, Ok(1) if first[0].is_ascii_uppercase())
    }

    fn watch<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stalled.take().is_some() {
                self.activity.set_blocked(false);
            }
            return written;
        }
        if self.stalled.is_none() {
            self.activity.set_blocked(true);
        }
        let timeout = self.stall_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
