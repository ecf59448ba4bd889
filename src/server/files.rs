//! How many connections a server may have: each is an open file of the process.

use std::sync::OnceLock;

/// Maximum number of connections of one server. A job may have 1,000 workers; each has one for the request that waits for
/// work, one for its heartbeats and one for its reports.
const MAX_CONNECTIONS: usize = 4_096;
/// The files that the process opens if it is allowed to: connections of the service and of the embedded bucket, those to other
/// services, and its own files.
#[cfg(unix)]
const WANTED_FILES: u64 = 16_384;
/// The part of all files that are connections of one server.
const PART: usize = 4;

/// Returns the maximum number of connections of one server. The first call raises the limit of open files (`ulimit -n`),
/// as far as the system allows it.
pub(super) fn max_connections() -> usize {
    static FILES: OnceLock<usize> = OnceLock::new();
    connections_for(*FILES.get_or_init(raise_file_limit))
}

fn connections_for(files: usize) -> usize {
    (files / PART).clamp(1, MAX_CONNECTIONS)
}

/// Returns the limit of open files afterwards.
#[cfg(unix)]
fn raise_file_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let (now, highest) = (current.unwrap_or(WANTED_FILES), maximum.unwrap_or(WANTED_FILES));
    let wanted = WANTED_FILES.min(highest);
    let limit = if now >= wanted {
        now
    } else {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
            Ok(()) => wanted,
            Err(error) => {
                tracing::warn!(%error, limit = now, wanted, "cannot raise the limit of open files (ulimit -n)");
                now
            }
        }
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
fn raise_file_limit() -> usize {
    MAX_CONNECTIONS * PART
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_a_part_of_the_open_files() {
        for (files, connections) in [(0, 1), (256, 64), (1_024, 256), (16_384, 4_096), (1_048_576, 4_096)] {
            assert_eq!(connections_for(files), connections, "{files} files");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_limit_of_open_files_is_raised() {
        use rustix::process::{Resource, getrlimit};
        let connections = max_connections();
        let limit = getrlimit(Resource::Nofile);
        let (now, highest) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
        assert!(now >= WANTED_FILES.min(highest), "{limit:?}");
        assert!(connections > 0 && connections as u64 * 4 <= now.max(4), "{connections} of {limit:?}");
    }
}
