//! The beginning of a connection with TLS.

use std::time::Duration;

use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::ServerTls;
use super::plain_http::answer_plain_http;
use crate::server::ServerSettings;
use crate::server::activity::Activity;
use crate::server::connection::Connection;

/// Maximum time of a handshake. Until its end, the connection is idle: it may be closed for a new one.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Accepts TLS on a connection; `None` if the connection ends without it.
pub(in crate::server) async fn accept_tls(
    stream: Connection,
    tls: &ServerTls,
    activity: &Activity,
    settings: &ServerSettings,
    closing: &CancellationToken,
) -> Option<TlsStream<Connection>> {
    let handshake = async {
        if stream.begins_with_text().await {
            answer_plain_http(stream).await;
            return None;
        }
        match tls.acceptor().accept(stream).await {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::debug!(server = settings.name, %error, "a TLS handshake failed");
                None
            }
        }
    };
    tokio::select! {
        stream = handshake => stream,
        () = activity.closed() => None,
        () = closing.cancelled() => None,
        () = tokio::time::sleep(HANDSHAKE_TIMEOUT.min(settings.head_timeout)) => {
            tracing::debug!(server = settings.name, "a TLS handshake took too long");
            None
        }
    }
}
