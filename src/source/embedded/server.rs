//! The server's life: until it is told to stop, and a little longer for what is under way.

use std::time::Duration;

use s3s::service::S3Service;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::{ServerSettings, serve as serve_http};

/// How long replies under way may take once the server is told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until `shutdown`, then lets what is under way finish.
pub(super) async fn serve(listener: TcpListener, service: S3Service, shutdown: CancellationToken) {
    // Signatures cover the header `Host`, which HTTP/2 does not have.
    let settings = ServerSettings { http2: false, ..ServerSettings::new("the embedded S3 server") };
    let too_long = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = serve_http(listener, service, settings, shutdown.clone()) => {}
        () = too_long => tracing::warn!("the embedded S3 server stopped before every reply was finished"),
    }
}
