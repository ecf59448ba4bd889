//! The loop that takes connections, and the end of it.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use s3s::service::S3Service;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long replies under way may take once the server is told to stop.
const GRACE: Duration = Duration::from_secs(5);
/// A pause after a connection that could not be taken: most likely there are no file handles left.
const BREATH: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then lets what is under way finish.
pub(super) async fn serve(listener: TcpListener, service: S3Service, shutdown: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    let graceful = GracefulShutdown::new();
    let connections = TaskTracker::new();
    let end = CancellationToken::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the embedded S3 server could not take a connection");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            },
            () = shutdown.cancelled() => break,
        };
        // Replies are whole when they are written; waiting to fill a packet costs 40 ms each.
        drop(stream.set_nodelay(true));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        let end = end.clone();
        connections.spawn(async move {
            if let Some(Err(error)) = end.run_until_cancelled(connection).await {
                tracing::debug!(%error, "a connection to the embedded S3 server broke off");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("the embedded S3 server stopped before every reply was finished");
    }
    end.cancel();
    connections.close();
    connections.wait().await;
}
