//! Runs the server until its shutdown, plus a grace period for the replies in progress.

use std::time::Duration;

use s3s::service::S3Service;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::{ServerSettings, serve as serve_http};

/// How long the replies in progress can take after the shutdown signal.
const GRACE_PERIOD: Duration = Duration::from_secs(2);

/// Serves until `shutdown`, then waits at most [`GRACE_PERIOD`] for the replies in progress.
pub(super) async fn serve(listener: TcpListener, service: S3Service, shutdown: CancellationToken) {
    // Signatures include the header `Host`, which HTTP/2 does not have.
    let settings = ServerSettings { http2: false, ..ServerSettings::new("the embedded S3 server") };
    let grace_period_ends = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE_PERIOD).await;
    };
    tokio::select! {
        () = serve_http(listener, service, settings, shutdown.clone()) => {}
        () = grace_period_ends => tracing::warn!("the embedded S3 server stopped before all replies were complete"),
    }
}
