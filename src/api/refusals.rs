//! The log of refused keys: bounded, so that a guesser cannot fill the disk, and without the key.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines in one [`WINDOW`].
const MAX_LINES: u32 = 20;
const WINDOW: Duration = Duration::from_mins(1);
/// Characters of a path that are repeated.
const MAX_PATH: usize = 100;

/// How many refusals were logged.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Option<Window>>);

#[derive(Debug)]
struct Window {
    begun: Instant,
    logged: u32,
    left_out: u64,
}

/// What to do about one refusal.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// Log it, and that so many were left out before it.
    Log {
        left_out: u64,
    },
    LeaveOut,
}

impl Refusals {
    /// Logs that a request had no valid key.
    pub(super) fn log(&self, peer: Option<SocketAddr>, method: &str, path: &str, reason: &str) {
        let Line::Log { left_out } = self.next() else { return };
        let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        let path = shortened_path(path);
        tracing::warn!(%peer, method, path, reason, left_out, "a request was refused with 401");
    }

    fn next(&self) -> Line {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Window { begun: Instant::now(), logged: 0, left_out: 0 };
        let now = window.get_or_insert_with(fresh);
        let left_out = if now.begun.elapsed() >= WINDOW { std::mem::replace(now, fresh()).left_out } else { 0 };
        if now.logged < MAX_LINES {
            now.logged += 1;
            return Line::Log { left_out };
        }
        now.left_out += 1;
        Line::LeaveOut
    }
}

/// The beginning of a path from outside, for one line of the log.
pub(super) fn shortened_path(path: &str) -> &str {
    let end = path.char_indices().nth(MAX_PATH).map_or(path.len(), |(at, _)| at);
    path.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minute_has_so_many_lines_and_the_next_says_how_many_were_left_out() {
        let refusals = Refusals::default();
        for _ in 0..MAX_LINES {
            assert_eq!(refusals.next(), Line::Log { left_out: 0 });
        }
        for _ in 0..5 {
            assert_eq!(refusals.next(), Line::LeaveOut);
        }
        tokio::time::advance(WINDOW).await;
        assert_eq!(refusals.next(), Line::Log { left_out: 5 });
        assert_eq!(refusals.next(), Line::Log { left_out: 0 });
    }

    #[test]
    fn long_paths_are_cut_between_characters() {
        assert_eq!(shortened_path("/jobs"), "/jobs");
        assert_eq!(shortened_path(&"é".repeat(500)), "é".repeat(MAX_PATH));
    }
}
