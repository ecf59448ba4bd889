//! The metrics of the queue.

use super::super::parse::Form;
use crate::telemetry::metrics::{counter, families, gauge};

/// The content of a message that cannot be read.
pub(super) const UNREADABLE: &str = "unreadable";

/// What failed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    /// Messages could not be received.
    Receive,
    /// The ledger could not record the events of messages.
    Record,
    /// Messages could not be deleted.
    Delete,
}

impl Failure {
    const ALL: [Self; 3] = [Self::Receive, Self::Record, Self::Delete];

    fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Record => "record",
            Self::Delete => "delete",
        }
    }
}

/// Creates the series of the counters. A rate would miss the first message of a counter that appears with it.
pub(super) fn create_series() {
    for content in Form::ALL.into_iter().map(Form::as_str).chain([UNREADABLE]) {
        received(content, 0);
    }
    deleted(0);
    for failure in Failure::ALL {
        failed(failure, 0);
    }
}

/// Counts messages that were received, by their content.
pub(super) fn received(content: &'static str, count: u64) {
    counter!(families::QUEUE_RECEIVED, "content" => content).increment(count);
}

/// Counts messages that were deleted.
pub(super) fn deleted(count: u64) {
    counter!(families::QUEUE_DELETED).increment(count);
}

/// Counts failures.
pub(super) fn failed(failure: Failure, count: u64) {
    counter!(families::QUEUE_FAILURES, "operation" => failure.as_str()).increment(count);
}

/// Records whether messages can be received: whether one of the last calls succeeded.
pub(super) fn connected(is_connected: bool) {
    gauge!(families::QUEUE_CONNECTED).set(if is_connected { 1.0 } else { 0.0 });
}
