//! The loop that accepts HTTP connections. It limits their number and the time that a client may take. It has no
//! routes.

mod activity;
mod body_progress;
mod connection;
mod files;
mod tls;
mod tracked;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

pub use body_progress::BodyProgress;
pub use tls::{CertificateFacts, ServerTls, TlsError, TlsSettings, check_pair};

use activity::Activity;
use connection::{Connection, drive_connection};
use tls::accept_tls;
use tracked::Tracked;

/// An error of a service or of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The limits of one server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The name of the server in the log.
    pub name: &'static str,
    /// Maximum number of connections. One more closes the connection that has been idle for the longest time.
    pub max_connections: usize,
    /// How long a connection may be idle. The head of a request must arrive within this time.
    pub head_timeout: Duration,
    /// How long a reply waits for a client that reads nothing.
    pub stall_timeout: Duration,
    /// Whether HTTP/2 is served in addition to HTTP/1.
    pub http2: bool,
    /// The certificate; `None`: HTTP without TLS.
    pub tls: Option<ServerTls>,
}

impl ServerSettings {
    /// Returns the limits of every server of this program.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            max_connections: files::max_connections(),
            head_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_mins(2),
            http2: true,
            tls: None,
        }
    }
}

/// The pause after a connection that could not be accepted (most likely no file handles are left), and between two
/// attempts to make room for one.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// How long a connection must have been idle before it may be closed for a new one: before that, its first request may
/// still arrive.
const MIN_IDLE: Duration = Duration::from_secs(1);
/// HTTP/2 pings a client that is silent this often, and closes the connection if there is no answer within the same
/// time.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Maximum number of concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;

/// Serves until `closing` is cancelled. Then nothing new is accepted, idle connections are closed, and requests under
/// way are finished; the call returns once no connection is left. Dropping it cuts those that are left.
///
/// The peer's address is in the extensions of each request, as `ConnectInfo<SocketAddr>`.
pub async fn serve<S, B>(listener: TcpListener, service: S, settings: ServerSettings, closing: CancellationToken)
where
    S: Service<Request<Incoming>, Response = hyper::Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let builder = builder(&settings);
    let mut tasks = JoinSet::new();
    let mut open: HashMap<Id, Arc<Activity>> = HashMap::new();
    loop {
        let too_many = open.len() > settings.max_connections;
        let (stream, peer) = tokio::select! {
            () = closing.cancelled() => break,
            Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => {
                open.remove(&task_id(ended));
                continue;
            }
            accepted = listener.accept(), if !too_many => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(server = settings.name, %error, "a connection could not be accepted");
                    tokio::time::sleep(RETRY_DELAY).await;
                    continue;
                }
            },
            () = tokio::time::sleep(RETRY_DELAY), if too_many => {
                close_longest_idle(&open);
                continue;
            }
        };
        let activity = Arc::new(Activity::default());
        let tracked = Tracked::new(service.clone(), activity.clone(), peer);
        let (builder, limits, closing) = (builder.clone(), settings.clone(), closing.clone());
        let stream = Connection::new(with_socket_options(stream), activity.clone(), settings.stall_timeout);
        let watched = activity.clone();
        let task = tasks.spawn(async move {
            let Some(tls) = &limits.tls else {
                let connection = builder.serve_connection(TokioIo::new(stream), tracked);
                return drive_connection(connection, &watched, &limits, &closing).await;
            };
            if let Some(stream) = accept_tls(stream, tls, &watched, &limits, &closing).await {
                let connection = builder.serve_connection(TokioIo::new(stream), tracked);
                drive_connection(connection, &watched, &limits, &closing).await;
            }
        });
        open.insert(task.id(), activity);
        if open.len() > settings.max_connections {
            close_longest_idle(&open);
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

fn builder(settings: &ServerSettings) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // `drive_connection` has its own timeout for heads: that of hyper also runs while the end of a reply is still being written.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL)
        .max_concurrent_streams(MAX_STREAMS);
    if settings.http2 { builder } else { builder.http1_only() }
}

/// Sets the options of a socket. `TCP_NODELAY`: replies are written as a whole, and waiting to fill a packet would cost
/// 40 ms each. A small limit of unsent bytes in the kernel distinguishes a client that reads slowly from one that reads
/// nothing.
fn with_socket_options(stream: TcpStream) -> TcpStream {
    /// Maximum number of unsent bytes in the kernel.
    #[cfg(target_os = "linux")]
    const MAX_UNSENT_BYTES: u32 = 128 * 1024;
    drop(stream.set_nodelay(true));
    #[cfg(target_os = "linux")]
    drop(socket2::SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT_BYTES));
    stream
}

fn task_id(ended: Result<(Id, ()), tokio::task::JoinError>) -> Id {
    ended.map_or_else(|panicked| panicked.id(), |(id, ())| id)
}

/// Closes the longest idle connection to make room for a new one. If no connection is idle, the new one waits.
fn close_longest_idle(open: &HashMap<Id, Arc<Activity>>) {
    let idle = open.values().filter_map(|activity| Some((activity.idle_for()?, activity)));
    let idle = idle.filter(|(idle, _)| *idle >= MIN_IDLE);
    if let Some((_, activity)) = idle.max_by_key(|(idle, _)| *idle) {
        activity.close();
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
