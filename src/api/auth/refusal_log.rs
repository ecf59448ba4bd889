//! Logs requests with an invalid key. The number of lines is limited, so that an attacker cannot fill the disk. The key
//! is not logged.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use super::identity::ClientAddress;
use crate::api::http::UnauthorizedReason;
use crate::lock::lock;

/// Maximum number of lines in one [`WINDOW`].
const MAX_LINES: u32 = 20;
const WINDOW: Duration = Duration::from_mins(1);
/// Maximum number of characters of a path in the log.
const MAX_PATH: usize = 100;

/// The number of refusals that were logged in the current window.
#[derive(Debug, Default)]
pub(in crate::api) struct RefusalLog(Mutex<Option<Window>>);

#[derive(Debug)]
struct Window {
    started: Instant,
    logged: u32,
    left_out: u64,
}

/// Whether a refusal is logged.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// Log it, with the number of refusals that were left out before it.
    Log {
        left_out: u64,
    },
    LeaveOut,
}

impl RefusalLog {
    /// Logs that a request had no valid key.
    fn log(&self, peer: Option<SocketAddr>, client: Option<IpAddr>, method: &str, path: &str, reason: &str) {
        let Line::Log { left_out } = self.next() else { return };
        let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        // The address that a trusted proxy reports.
        let client = client.map_or_else(|| "unknown".to_owned(), |client| client.to_string());
        tracing::warn!(%peer, %client, method, path, reason, left_out, "a request was refused, because it has no valid key, token or signature");
    }

    fn next(&self) -> Line {
        let mut window = lock(&self.0);
        let fresh = || Window { started: Instant::now(), logged: 0, left_out: 0 };
        let now = window.get_or_insert_with(fresh);
        let left_out = if now.started.elapsed() >= WINDOW { std::mem::replace(now, fresh()).left_out } else { 0 };
        if now.logged < MAX_LINES {
            now.logged += 1;
            return Line::Log { left_out };
        }
        now.left_out += 1;
        Line::LeaveOut
    }
}

/// Middleware that logs each reply 401, and 403 to forged messages.
pub(in crate::api) async fn log_refusals(State(log): State<Arc<RefusalLog>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let (method, path) = (request.method().clone(), shortened_path(request.uri().path()).to_owned());
    let response = next.run(request).await;
    if let Some(UnauthorizedReason(reason)) = response.extensions().get() {
        let client = response.extensions().get().and_then(|ClientAddress(client)| *client);
        log.log(peer, client, method.as_str(), &path, reason);
    }
    response
}

/// Returns the beginning of an untrusted path, for the log.
pub(in crate::api) fn shortened_path(path: &str) -> &str {
    let end = path.char_indices().nth(MAX_PATH).map_or(path.len(), |(at, _)| at);
    path.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_per_minute_are_limited_and_the_next_minute_reports_how_many_were_left_out() {
        let log = RefusalLog::default();
        for _ in 0..MAX_LINES {
            assert_eq!(log.next(), Line::Log { left_out: 0 });
        }
        for _ in 0..5 {
            assert_eq!(log.next(), Line::LeaveOut);
        }
        tokio::time::advance(WINDOW).await;
        assert_eq!(log.next(), Line::Log { left_out: 5 });
        assert_eq!(log.next(), Line::Log { left_out: 0 });
    }

    #[test]
    fn long_paths_are_cut_between_characters() {
        assert_eq!(shortened_path("/jobs"), "/jobs");
        assert_eq!(shortened_path(&"é".repeat(500)), "é".repeat(MAX_PATH));
    }
}
