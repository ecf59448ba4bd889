//! The answer to a client that sends HTTP without TLS to a port with TLS.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::connection::Connection;

const BODY: &str = "{\"error\":\"Bad Request\",\"message\":\"this port serves HTTPS: use an address that begins with https://\",\"code\":\"https_required\",\"request_id\":null}";
/// Maximum number of bytes that are read after the answer, and the time for it. A connection that is closed while bytes of the
/// client are unread is reset, and then the client does not see the answer.
const MAX_LEFT_BYTES: u64 = 64 * 1024;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Answers with 400 and closes the connection.
pub(super) async fn answer_plain_http(mut stream: Connection) {
    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length:";
    let reply = format!("{head} {}\r\n\r\n{BODY}", BODY.len());
    let close = async {
        stream.write_all(reply.as_bytes()).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MAX_LEFT_BYTES), &mut tokio::io::sink()).await
    };
    // The client gets the answer or not; there is nothing else to do.
    tokio::time::timeout(CLOSE_TIMEOUT, close).await.ok();
}
