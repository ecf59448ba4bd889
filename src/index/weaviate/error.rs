//! Classifies Weaviate's errors. Its gRPC service reports most of them with the code `Unknown` and a message, so the
//! message is read if the code is not specific. The server's own messages go only to the log.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tonic::{Code, Status};

use super::NAME;
use super::limit::find_limit;
use crate::domain::{CollectionName, FailureKind};
use crate::http::{one_line, parse_json, parse_retry_after};
use crate::index::IndexError;

/// The delay before the next attempt if a busy server does not state one.
const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Returns the error for a failure of the store itself.
pub(super) fn failed(failure: FailureKind, detail: impl Into<String>) -> IndexError {
    IndexError::store_failed(NAME, failure, detail)
}

/// Parses the body of a REST reply.
pub(super) fn parse_reply<T: DeserializeOwned>(body: &[u8]) -> Result<T, IndexError> {
    parse_json(body).map_err(|error| failed(FailureKind::Failed, error))
}

/// Converts the status of a failed gRPC call about `collection`.
pub(super) fn from_status(status: &Status, collection: &CollectionName) -> IndexError {
    let message = status.message();
    if status.code() == Code::Unknown && reports_missing_class(message) {
        return IndexError::UnknownCollection(collection.clone());
    }
    if let Some(limit) = find_limit(status) {
        return limit.into();
    }
    failed(failure_kind(status), describe(status))
}

/// Returns the kind of failure of a call that failed.
pub(super) fn failure_kind(status: &Status) -> FailureKind {
    let message = status.message();
    match status.code() {
        Code::DeadlineExceeded => FailureKind::TimedOut,
        // Our own deadline: as tonic reports it if it notices first, and as Go reports it in the server.
        Code::Cancelled | Code::Unknown if TIMEOUT_PHRASES.iter().any(|phrase| message.contains(phrase)) => {
            FailureKind::TimedOut
        }
        // Limits of messages and results have the codes of other errors, and a retry does not help.
        _ if find_limit(status).is_some() => FailureKind::Misconfigured,
        Code::ResourceExhausted => FailureKind::Busy { retry_after: retry_delay(status) },
        // A wrong key, a restriction of this server, a server that is not Weaviate, or a request that it never accepts.
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::OutOfRange
        | Code::Unimplemented => FailureKind::Refused,
        // Older versions report a wrong key like this, and every version reports requests like this that it never
        // accepts.
        Code::Unknown if REFUSAL_PHRASES.iter().any(|phrase| message.contains(phrase)) => FailureKind::Refused,
        // `Unavailable` is reported for a failed connection, and in maintenance and read-only mode.
        Code::Ok
        | Code::Unknown
        | Code::Internal
        | Code::DataLoss
        | Code::Aborted
        | Code::Cancelled
        | Code::Unavailable => FailureKind::Failed,
    }
}

const TIMEOUT_PHRASES: [&str; 2] = ["Timeout expired", "context deadline exceeded"];
const REFUSAL_PHRASES: [&str; 5] = ["extract auth", "unauthorized", "forbidden", "vector lengths", "no such prop"];

fn retry_delay(status: &Status) -> Duration {
    let header = status.metadata().get("retry-after").and_then(|value| value.to_str().ok());
    header.and_then(parse_retry_after).unwrap_or(DEFAULT_RETRY_DELAY)
}

/// Returns a status as a line for the log, without its metadata.
pub(super) fn describe(status: &Status) -> String {
    format!("{:?}: {}", status.code(), one_line(status.message().as_bytes()))
}

/// Returns whether the class is missing or is being dropped. Each layer of the server has its own message for it.
fn reports_missing_class(message: &str) -> bool {
    // `class "DocumentsImages" not found`, as the error of a search names it.
    let named = message.split_once("class \"").and_then(|(_, rest)| rest.split_once('"'));
    NO_CLASS_PHRASES.iter().any(|phrase| message.contains(phrase))
        || named.is_some_and(|(_, rest)| rest.starts_with(" not found"))
}

pub(super) const NO_CLASS_PHRASES: [&str; 8] = [
    "could not find index for class",
    "cannot find index for class",
    "could not find class",
    "not present in schema",
    "not found in schema",
    "given class does not exist",
    "non-existing index",
    "class not found",
];

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
