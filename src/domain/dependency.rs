//! How a dependency (the bucket, the embedding provider, a store) failed, in words that a client may see.

use std::time::Duration;

/// A dependency's failure, reduced to what a caller needs to know. What it said itself is in `detail`,
/// which is for the log and never for a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{dependency} {trouble}: {detail}")]
pub struct DependencyError {
    /// `s3`, `local`, `clip`, `qdrant`, `embedded`…
    pub dependency: String,
    /// What kind of failure.
    pub trouble: Trouble,
    /// The dependency's own words, for the log.
    pub detail: String,
}

/// The kinds of failure that a client is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Known to be down: its breaker is open, or it has not passed its probe.
    #[error("is unavailable")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// Did not answer in time.
    #[error("did not answer in time")]
    TimedOut,
    /// Has no room for more at the moment.
    #[error("is busy")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Answered with an error, or could not be reached.
    #[error("failed")]
    Failed,
}
